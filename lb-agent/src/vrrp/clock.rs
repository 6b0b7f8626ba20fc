//! Reads the clock that the leases are written in.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::time::Time;

/// `CLOCK_MONOTONIC`, now.
#[must_use]
pub fn now() -> Time {
    // It fails for clocks that do not exist; this one does on every Linux.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    Time::default() + now
}
