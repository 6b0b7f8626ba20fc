//! What was told about each backend's way, and what of a new finding is worth telling.
//!
//! - A finding is told when it differs from what was told last.
//! - A neighbour that falls silent changes nothing: a dead backend is the health check's business,
//!   and one that answers again must not wait for a report.
//! - A neighbour that was never heard of has [`GRACE`] to answer before its silence is told, so
//!   that a start or a change of route does not look like a failure for the length of one ARP
//!   exchange.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use lb_common::backend::NextHop;

use super::way::{Resolved, Unresolved, Way};

/// How long a new neighbour may take to answer: until the kernel repeats its first request.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How a backend is reached, told when it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The backend.
    pub address: IpAddr,
    /// The way to it, or why there is none, in words.
    pub hop: Result<NextHop, String>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: HashMap<IpAddr, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    told: Option<Result<NextHop, String>>,
    /// The way of the last finding that had one.
    way: Option<Way>,
    /// The way by which the hop that was told leads.
    told_way: Option<Way>,
    /// Present while the neighbour of `way` is awaited.
    silence: Option<Silence>,
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Instant,
    /// It has lasted for [`GRACE`].
    over: bool,
}

impl Ledger {
    /// Forgets every backend that is not among these.
    pub(super) fn retain(&mut self, addresses: &[IpAddr]) {
        self.entries.retain(|address, _| addresses.contains(address));
    }

    /// Takes a finding about a backend; the report that it is worth, if any.
    pub(super) fn settle(
        &mut self,
        address: IpAddr,
        finding: Result<Resolved, Unresolved>,
        now: Instant,
    ) -> Option<Report> {
        let entry = self.entries.entry(address).or_default();
        let hop = entry.judge(finding, now)?;
        if entry.told.as_ref() == Some(&hop) {
            return None;
        }
        entry.told = Some(hop.clone());
        Some(Report { address, hop })
    }

    /// Whether a backend is reached, or would be, by this neighbour.
    pub(super) fn uses(&self, way: Way) -> bool {
        self.entries.values().any(|entry| entry.way == Some(way))
    }

    /// When the patience with a silent neighbour ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.entries
            .values()
            .filter_map(|entry| entry.silence)
            .filter(|silence| !silence.over)
            .map(|silence| silence.since + GRACE)
            .min()
    }
}

impl Entry {
    /// What to tell as of now; `None` leaves it at what was told before.
    fn judge(
        &mut self,
        finding: Result<Resolved, Unresolved>,
        now: Instant,
    ) -> Option<Result<NextHop, String>> {
        let silence = self.silence.take();
        let before = self.way;
        self.way = match &finding {
            Ok(Resolved { way, .. }) | Err(Unresolved::NoNeighbour { way, .. }) => Some(*way),
            Err(_) => None,
        };
        if let Err(Unresolved::NoNeighbour { way, .. }) = finding {
            if self.told_way == Some(way) {
                return None;
            }
            let since =
                silence.filter(|_| before == Some(way)).map_or(now, |silence| silence.since);
            let over = now.saturating_duration_since(since) >= GRACE;
            self.silence = Some(Silence { since, over });
            if !over {
                return None;
            }
        }
        self.told_way = finding.as_ref().ok().map(|found| found.way);
        Some(finding.map(|found| found.next_hop).map_err(|unresolved| unresolved.to_string()))
    }
}

#[cfg(test)]
mod tests;
