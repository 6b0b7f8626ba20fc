//! The other routers of an instance, as far as they have been heard.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{net::IpAddr, time::Duration};

use crate::vrrp::{Heard, time::Time};

/// A LAN has a few; the bound keeps a forger from filling the memory.
const MOST: usize = 16;

/// Another router of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its primary address.
    pub source: IpAddr,
    /// The priority it advertised last, 1..=255.
    pub priority: u8,
    /// The interval it advertised last.
    pub interval: Duration,
    /// When that was.
    pub heard: Time,
}

/// Routers whose last advertisement was not of priority 0. A backup router is silent, so that one
/// is known says nothing about whether it still lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

impl Peers {
    /// Notes an advertisement: priority 0 makes its sender unknown, and of too many the one that
    /// has been silent longest goes.
    pub(super) fn note(&mut self, heard: &Heard, now: Time) {
        self.forget(heard.source);
        if heard.priority == 0 {
            return;
        }
        if self.0.len() == MOST
            && let Some(stale) = self.0.iter().min_by_key(|peer| peer.heard).map(|peer| peer.source)
        {
            self.forget(stale);
        }
        let Heard { source, priority, interval, .. } = *heard;
        self.0.push(Peer { source, priority, interval, heard: now });
    }

    pub(super) fn forget(&mut self, source: IpAddr) {
        self.0.retain(|peer| peer.source != source);
    }

    /// Forgets whoever would have beaten `priority` and our `source`, had it been there.
    pub(super) fn forget_outranking(&mut self, priority: u8, source: Option<IpAddr>) {
        self.0.retain(|peer| !outranks(peer.priority, peer.source, priority, source));
    }

    /// The best router that would win against us.
    pub(super) fn outranking(&self, priority: u8, source: Option<IpAddr>) -> Option<&Peer> {
        self.0
            .iter()
            .filter(|peer| outranks(peer.priority, peer.source, priority, source))
            .max_by_key(|peer| (peer.priority, peer.source))
    }

    /// Whether somebody has a higher priority, addresses left aside.
    pub(super) fn any_above(&self, priority: u8) -> bool {
        self.0.iter().any(|peer| peer.priority > priority)
    }

    /// Whether anybody has been heard since.
    pub(super) fn any_since(&self, moment: Time) -> bool {
        self.0.iter().any(|peer| peer.heard >= moment)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.0.iter()
    }
}

/// RFC 9568 §6.4.3: a greater priority wins, of equal ones the greater primary address, as an
/// unsigned number in network byte order (which is how `IpAddr` compares within one family).
pub(super) fn outranks(priority: u8, source: IpAddr, own: u8, address: Option<IpAddr>) -> bool {
    priority > own || (priority == own && address.is_none_or(|address| source > address))
}
