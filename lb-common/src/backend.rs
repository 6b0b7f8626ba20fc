//! A backend and the way to it.

use crate::net::{Addr, Be16, MacAddr};

/// Where a frame to a backend goes next. Written by the agent, read by the XDP program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NextHop {
    /// Egress interface index; zero = not resolved yet, packets are dropped and counted.
    pub ifindex: u32,
    /// Ethernet address of the backend or of the gateway towards it.
    pub destination: MacAddr,
    /// Ethernet address of the egress interface.
    pub source: MacAddr,
}
map_type!(NextHop { ifindex: u32, destination: MacAddr, source: MacAddr } size 16 align 4);

/// Value of `backends`, indexed by backend id (1..MAX_BACKENDS).
///
/// Written by the agent alone. Address, port and service never change while the id is in use.
/// The kernel copies a whole element on update, so a reader may see a copy in progress: only one
/// byte that matters changes at a time. A new next hop is written into the slot that
/// [`Backend::hop`] does not name, then `hop` is switched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Backend {
    /// The backend's address.
    pub address: Addr,
    /// Its port, network order.
    pub port: Be16,
    /// Id of the service it belongs to; zero = the slot is unused.
    pub service: u16,
    /// [`BackendState`] as a number; zero = the slot is unused.
    pub state: u8,
    /// Index of the valid element of [`Backend::hops`], 0 or 1.
    pub hop: u8,
    /// Always zero.
    pub pad: u16,
    /// Two next hops, one of them valid.
    pub hops: [NextHop; 2],
}
map_type!(Backend {
    address: Addr,
    port: Be16,
    service: u16,
    state: u8,
    hop: u8,
    pad: u16,
    hops: [NextHop; 2],
} size 56 align 8);

/// What becomes of packets of a backend's flows.
///
/// Whether it gets *new* flows is told by the Maglev table alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BackendState {
    /// Flows are forwarded (up, draining, or down with `on_backend_down = "keep"`).
    Forward = 1,
    /// Flows are reset: a packet of either side is answered with RST.
    Reset = 2,
}
