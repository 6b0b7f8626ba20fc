//! The protocol's two spans, exact to the nanosecond: everything is multiplied first and divided
//! once, last.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use crate::vrrp::Version;

/// Advertisements missed in a row before the active router counts as dead (RFC 9568 §6.1).
pub(crate) const MISSED: u32 = 3;

/// What skew is a fraction of: the active router's interval in version 3 (RFC 9568 §6.1), always
/// one second in version 2, whatever its interval (RFC 3768 §6.1).
pub(crate) const fn basis(version: Version, interval: Duration) -> Duration {
    match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    }
}

/// `Skew_Time` (RFC 9568 §6.1): the part `(256 - priority) / 256` of `basis`, rounded down to a
/// nanosecond.
pub(crate) fn skew(priority: u8, basis: Duration) -> Duration {
    let parts = 256 - u128::from(priority);
    let nanos = basis.as_nanos() * parts / 256;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// `Active_Down_Interval` (RFC 9568 §6.1): three intervals and the skew.
pub(crate) fn active_down(version: Version, priority: u8, interval: Duration) -> Duration {
    interval.saturating_mul(MISSED).saturating_add(skew(priority, basis(version, interval)))
}
