//! What a client's attempts say of an outage. No IO.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// One new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Before its SYN.
    pub began: Instant,
    /// Until it was served, or had failed.
    pub took: Duration,
    /// Why it was not served.
    pub failure: Option<String>,
}

/// What a client suffered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// From the beginning of the first attempt that was not served to the beginning of the first
    /// one from which on all were; zero when all were.
    pub length: Duration,
    /// Attempts.
    pub attempts: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// The slowest of those that were served.
    pub slowest: Duration,
    /// Whether the last one was served.
    pub over: bool,
    /// Why how many failed.
    pub reasons: BTreeMap<String, usize>,
}

impl Outage {
    /// Judges attempts in the order of their beginnings.
    pub fn of(attempts: &[Attempt]) -> Self {
        let failed = |attempt: &&Attempt| attempt.failure.is_some();
        let first = attempts.iter().find(failed).map(|attempt| attempt.began);
        let last = attempts.iter().rposition(|attempt| attempt.failure.is_some());
        let served_again = last.map(|last| attempts.get(last + 1).unwrap_or(&attempts[last]).began);
        let mut reasons = BTreeMap::new();
        for reason in attempts.iter().filter_map(|attempt| attempt.failure.clone()) {
            *reasons.entry(reason).or_default() += 1;
        }
        let served = attempts.iter().filter(|attempt| attempt.failure.is_none());
        Self {
            length: first.zip(served_again).map_or(Duration::ZERO, |(from, to)| to - from),
            attempts: attempts.len(),
            failed: attempts.iter().filter(failed).count(),
            slowest: served.map(|attempt| attempt.took).max().unwrap_or_default(),
            over: attempts.last().is_some_and(|attempt| attempt.failure.is_none()),
            reasons,
        }
    }
}

#[cfg(test)]
mod tests;
