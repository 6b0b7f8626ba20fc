//! The clock of VRRP and of the VIPs.

use nix::time::{ClockId, clock_gettime};

use super::time::Time;

const NANOS: u64 = 1_000_000_000;

/// Now, by the clock that the XDP program judges leases by.
#[must_use]
pub fn now() -> Time {
    // invariant: the clock exists on every Linux, and the argument is the kernel's own.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC");
    // invariant: it counts from boot, so neither part is negative.
    Time::from_nanos(now.tv_sec() as u64 * NANOS + now.tv_nsec() as u64)
}
