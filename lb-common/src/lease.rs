//! Until when this node may claim a VIP.

use crate::net::Addr;

/// Key of `leases`: a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LeaseKey {
    /// The virtual address.
    pub vip: Addr,
}
map_type!(LeaseKey { vip: Addr } size 16 align 8);

/// Value of `leases`. Written by the agent's VRRP thread; read by the XDP program when somebody
/// asks for the VIP (ARP request, neighbour solicitation). A VIP without an entry is held by no
/// virtual router and claimed always.
///
/// Nobody takes a lease back in time from an agent that hangs or was killed: it runs out by itself.
/// Packets *to* the VIP are served all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Lease {
    /// The first moment, in nanoseconds of `CLOCK_MONOTONIC` (the clock of `bpf_ktime_get_ns`), at
    /// which the VIP may not be claimed any more; zero = not at all, [`Lease::FOR_EVER`] = for
    /// ever. One aligned word: a reader sees the old or the new.
    pub deadline: u64,
    /// AH's sequence number of the last advertisement sent, or zero: the agent's next run must not
    /// begin below it, or its peers take its advertisements for replays. Of no meaning to the XDP
    /// program.
    pub sequence: u32,
    /// Always zero.
    pub pad: u32,
}
map_type!(Lease { deadline: u64, sequence: u32, pad: u32 } size 16 align 8);

impl Lease {
    /// The deadline that never comes.
    pub const FOR_EVER: u64 = u64::MAX;
    /// The deadline that was before boot.
    pub const NEVER: u64 = 0;

    /// Whether the VIP may not be claimed at `now`, in nanoseconds of `CLOCK_MONOTONIC`.
    #[inline(always)]
    pub const fn is_over(&self, now: u64) -> bool {
        now >= self.deadline
    }
}
