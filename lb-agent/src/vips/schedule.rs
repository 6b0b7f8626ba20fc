//! When a VIP is announced.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use crate::vrrp::time::Time;

/// Rounds after the first, counted from the beginning. The first is sent twice, for one may be
/// lost; those after 1.1 s are for neighbours that have just learned the old place, which Linux
/// locks for a second.
const OFFSETS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(1100),
    Duration::from_millis(2200),
    Duration::from_millis(5000),
];
/// From a round to the next, after those.
const PERIOD: Duration = Duration::from_secs(60);

/// The announcements of one VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    began: Time,
    due: Time,
    rest: &'static [Duration],
}

impl Schedule {
    /// Begins now.
    pub(super) const fn begin(now: Time) -> Self {
        Self { began: now, due: now, rest: &OFFSETS }
    }

    /// When the next round is due.
    pub(super) const fn due(&self) -> Time {
        self.due
    }

    /// Whether a round is to be sent now; it then counts as sent. One that is late stands for all
    /// that it has met.
    pub(super) fn take(&mut self, now: Time) -> bool {
        if now < self.due {
            return false;
        }
        let taken = self.due;
        while let Some((offset, rest)) = self.rest.split_first() {
            self.rest = rest;
            self.due = self.began + *offset;
            if self.due == taken || self.due > now {
                return true;
            }
        }
        self.due = now + PERIOD;
        true
    }
}

#[cfg(test)]
mod tests;
