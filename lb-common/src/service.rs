//! A load-balanced socket.

use crate::net::{Addr, Be16};

/// Key of `services`: one VIP, port and protocol. Written by the agent; read by the XDP program
/// for every packet that no flow claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ServiceKey {
    /// The virtual address.
    pub vip: Addr,
    /// Destination port, network order; zero only in [`ServiceKey::vip`].
    pub port: Be16,
    /// 6 (TCP) or 17 (UDP); zero only in [`ServiceKey::vip`].
    pub proto: u8,
    /// Always zero: the kernel hashes it.
    pub pad: u8,
    /// Always zero.
    pub pad_end: u32,
}
map_type!(ServiceKey { vip: Addr, port: Be16, proto: u8, pad: u8, pad_end: u32 } size 24 align 8);

impl ServiceKey {
    /// The key of a service.
    #[inline(always)]
    pub const fn new(vip: Addr, port: Be16, proto: u8) -> Self {
        Self { vip, port, proto, pad: 0, pad_end: 0 }
    }

    /// The key that every VIP has besides its services': by it the XDP program tells a VIP from
    /// an address that merely shares its bit in the filter. Its value's id is zero.
    #[inline(always)]
    pub const fn vip(vip: Addr) -> Self {
        Self::new(vip, Be16::new(0), 0)
    }
}

/// Value of `services`. Written by the agent, read by the XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    /// Index into `maglev` and `service_stats`, 1..MAX_SERVICES; zero only under
    /// [`ServiceKey::vip`].
    pub id: u16,
    /// Bits of [`service_flags`].
    pub flags: u8,
    /// [`NoBackend`] as a number.
    pub when_no_backend: u8,
}
map_type!(Service { id: u16, flags: u8, when_no_backend: u8 } size 4 align 2);

/// Bits of [`Service::flags`].
pub mod service_flags {
    /// Choose the backend by the client's address alone (`affinity = "client"`).
    pub const AFFINITY_CLIENT: u8 = 2;
}

/// What a new connection meets when the service has no backend to give it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NoBackend {
    /// TCP RST at once. For UDP the packet is dropped.
    Reject = 1,
    /// Nothing is answered.
    Drop = 2,
}
