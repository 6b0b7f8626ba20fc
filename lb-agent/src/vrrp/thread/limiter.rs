//! Tells often-repeated things once, then once a minute with their number.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::BTreeMap, time::Duration};

use crate::vrrp::time::Time;

/// Between two reports of the same thing.
const PAUSE: Duration = Duration::from_secs(60);

/// Kinds remembered. Senders can be forged: what comes beyond is counted, but not told.
const CAPACITY: usize = 256;

/// What was told when, by its kind.
#[derive(Debug)]
pub(super) struct Limiter<K>(BTreeMap<K, Told>);

#[derive(Debug)]
struct Told {
    at: Time,
    since: u64,
}

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Limiter<K> {
    /// How often it has happened since it was last told, this time included; `None` = it is not
    /// to be told again yet.
    pub(super) fn admit(&mut self, kind: K, now: Time) -> Option<u64> {
        match self.0.get_mut(&kind) {
            None => {
                if self.0.len() >= CAPACITY {
                    self.0.retain(|_, told| now < told.at + PAUSE);
                }
                if self.0.len() >= CAPACITY {
                    return None;
                }
                self.0.insert(kind, Told { at: now, since: 0 });
                Some(1)
            }
            Some(told) => {
                told.since += 1;
                if now < told.at + PAUSE {
                    return None;
                }
                told.at = now;
                Some(std::mem::take(&mut told.since))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_once_a_minute_with_their_number() {
        let mut limiter = Limiter::default();
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        assert_eq!(limiter.admit("a", at(1)), Some(1));
        assert_eq!(limiter.admit("a", at(2)), None);
        assert_eq!(limiter.admit("b", at(2)), Some(1), "another kind");
        assert_eq!(limiter.admit("a", at(60)), None);
        assert_eq!(limiter.admit("a", at(61)), Some(3));
        assert_eq!(limiter.admit("a", at(62)), None);
        assert_eq!(limiter.admit("a", at(200)), Some(2));
    }

    #[test]
    fn forged_senders_do_not_fill_the_memory() {
        let mut limiter = Limiter::default();
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let told = (0..10_000).filter(|kind| limiter.admit(*kind, at(1)).is_some()).count();
        assert_eq!((told, limiter.0.len()), (CAPACITY, CAPACITY));
        assert_eq!(limiter.admit(10_000, at(62)), Some(1), "the others were forgotten");
    }
}
