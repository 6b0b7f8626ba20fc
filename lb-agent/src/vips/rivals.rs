//! Others that claim our VIPs: whom to report, and when to contradict.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use lb_common::net::MacAddr;

use super::limit::Limit;
use crate::{frame::Claim, vrrp::time::Time};

/// From one report of a rival to the next.
const REPORTS: Duration = Duration::from_secs(10);
/// From one contradiction to the next: two nodes that both believe to be active must not fill the
/// link with their quarrel.
const CONTRADICTIONS: Duration = Duration::from_secs(1);
/// Rivals that are remembered. Whoever makes up more than these is reported as one of them when
/// the eldest is forgotten.
const MOST: usize = 64;

/// What a claim calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// Report it, with so many claims since the last report.
    pub(super) report: Option<u64>,
    /// Announce the VIP anew, at once.
    pub(super) contradict: bool,
}

/// Who has claimed what.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    heard: BTreeMap<(IpAddr, MacKey), Heard>,
    contradicted: BTreeMap<IpAddr, Limit>,
}

type MacKey = [u8; 6];

#[derive(Debug, Default)]
struct Heard {
    reported: Time,
    claims: u64,
}

impl Rivals {
    /// A claim of a VIP that is held here, by an Ethernet address that is not ours.
    pub(super) fn hear(&mut self, claim: Claim, now: Time) -> Response {
        let key = (claim.address, claim.mac.0);
        if !self.heard.contains_key(&key) {
            self.make_room();
        }
        let heard = self.heard.entry(key).or_default();
        heard.claims += 1;
        let first = heard.reported == Time::default();
        let report = (first || now >= heard.reported + REPORTS).then(|| {
            heard.reported = now;
            std::mem::take(&mut heard.claims)
        });
        let limit = self.contradicted.entry(claim.address).or_insert(Limit::new(1, CONTRADICTIONS));
        Response { report, contradict: limit.take(now) }
    }

    /// The VIP is not held any more.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.heard.retain(|(claimed, _), _| *claimed != address);
        self.contradicted.remove(&address);
    }

    fn make_room(&mut self) {
        if self.heard.len() < MOST {
            return;
        }
        let eldest = self.heard.iter().min_by_key(|(_, heard)| heard.reported);
        if let Some(key) = eldest.map(|(key, _)| *key) {
            self.heard.remove(&key);
        }
    }
}

/// Whether a claim is somebody else's.
pub(super) fn is_foreign(claim: Claim, own: impl IntoIterator<Item = MacAddr>) -> bool {
    claim.mac != MacAddr::UNSET && own.into_iter().all(|mac| mac != claim.mac)
}

#[cfg(test)]
mod tests;
