//! Run-time settings of the data plane.

use crate::net::Addr;

/// Own Ethernet addresses that [`Config`] holds.
pub const MAX_OWN_MACS: usize = 16;
/// 64-bit words of the VIP filter.
pub const FILTER_WORDS: usize = 64;

/// The single value of `config`. Written by the agent, read by the XDP program once per packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// [`LAYOUT_VERSION`](crate::abi::LAYOUT_VERSION) of the agent that made the maps.
    pub layout_version: u32,
    /// Always zero.
    pub pad: u32,
    /// Ethernet addresses that packets for a VIP may be sent to, in the form of
    /// [`MacAddr::to_u64`](crate::net::MacAddr::to_u64); zero ends the list.
    pub own_macs: [u64; MAX_OWN_MACS],
    /// One-hash Bloom filter of the VIPs: bit [`filter_bit`] is set for each. A packet whose
    /// destination's bit is clear is not for us, at the cost of no table look-up.
    pub vip_filter: [u64; FILTER_WORDS],
}
map_type!(Config {
    layout_version: u32,
    pad: u32,
    own_macs: [u64; MAX_OWN_MACS],
    vip_filter: [u64; FILTER_WORDS],
} size 648 align 8);

impl Config {
    /// Nothing is ours: no address, no VIP.
    pub const EMPTY: Self = Self {
        layout_version: 0,
        pad: 0,
        own_macs: [0; MAX_OWN_MACS],
        vip_filter: [0; FILTER_WORDS],
    };
}

/// Position of an address in [`Config::vip_filter`], 0..4096: bit `n % 64` of word `n / 64`.
#[inline(always)]
pub const fn filter_bit(addr: &Addr) -> usize {
    let (hi, lo) = addr.halves();
    ((hi.rotate_left(29) ^ lo).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}
