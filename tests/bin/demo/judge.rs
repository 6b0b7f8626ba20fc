//! Which failures were to be expected, and sums over requests.

use std::{collections::BTreeMap, time::Instant};

use crate::load::Request;

/// From a backend's death until its verdict, new connections that are hashed to it fail.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) death: Instant,
    /// When each VIP's agent was seen to have taken it out of rotation.
    pub(crate) verdicts: Vec<Instant>,
}

impl Outage {
    /// Whether the request was under way, or begun, while nobody knew of the death.
    pub(crate) fn covers(&self, request: &Request) -> bool {
        request.ended >= self.death
            && self.verdicts.get(request.vip).is_some_and(|verdict| request.began <= *verdict)
    }

    /// When the last agent knew.
    pub(crate) fn end(&self) -> Instant {
        self.verdicts.iter().copied().fold(self.death, Instant::max)
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
