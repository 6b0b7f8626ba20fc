//! Which failures were to be expected, and sums over requests.

use std::{collections::BTreeMap, time::Instant};

use crate::load::Request;

/// A time in which new connections may fail.
#[derive(Debug)]
pub(crate) struct Outage {
    /// `between a server's death and its verdict`: what the summary calls it.
    pub(crate) what: &'static str,
    pub(crate) from: Instant,
    /// Until when, by VIP.
    pub(crate) until: [Instant; 2],
}

impl Outage {
    /// Whether the request was under way, or begun, meanwhile.
    pub(crate) fn covers(&self, request: &Request) -> bool {
        request.ended >= self.from
            && self.until.get(request.vip).is_some_and(|until| request.began <= *until)
    }

    /// When it is over for both VIPs.
    pub(crate) fn end(&self) -> Instant {
        self.until.iter().copied().fold(self.from, Instant::max)
    }
}

/// The failed ones.
pub(crate) fn failed<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Vec<&'a Request> {
    requests.into_iter().filter(|request| request.outcome.is_err()).collect()
}

/// Those that began at or after `from`.
pub(crate) fn since(requests: &[Request], from: Instant) -> Vec<&Request> {
    requests.iter().filter(|request| request.began >= from).collect()
}

/// Those of [`since`] that ended before `to`.
pub(crate) fn between(requests: &[Request], from: Instant, to: Instant) -> Vec<&Request> {
    since(requests, from).into_iter().filter(|request| request.ended <= to).collect()
}

/// `cp-01 40, cp-02 38, cp-03 42`: who answered how many.
pub(crate) fn spread<'a>(requests: impl IntoIterator<Item = &'a Request>) -> String {
    let mut servers: BTreeMap<&str, usize> = BTreeMap::new();
    for server in requests.into_iter().filter_map(|request| request.outcome.as_ref().ok()) {
        *servers.entry(server).or_default() += 1;
    }
    let parts: Vec<_> = servers.iter().map(|(name, count)| format!("{name} {count}")).collect();
    parts.join(", ")
}

/// `17 connection refused, 1 connection reset`: what went wrong how often.
pub(crate) fn reasons<'a>(requests: impl IntoIterator<Item = &'a Request>) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in requests.into_iter().filter_map(|request| request.outcome.as_ref().err()) {
        *reasons.entry(reason).or_default() += 1;
    }
    let parts: Vec<_> = reasons.iter().map(|(name, count)| format!("{count} {name}")).collect();
    parts.join(", ")
}
