//! One VIP that is to be held.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::{Term, Vip, limit::Limit, schedule::Schedule};
use crate::{
    netlink::{self, Interface, Look, NewVip, same_subnet},
    vrrp::time::Time,
};

/// Longest pause between two refreshments: the end of a term is looked at so often, too.
const REFRESH: Duration = Duration::from_millis(500);
/// Additions of one that somebody keeps removing, in a span.
const READDITIONS: usize = 5;
const SPAN: Duration = Duration::from_secs(10);

/// Where the address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// It is not there.
    Missing,
    /// We added it, or an earlier run of the agent did.
    Ours(netlink::Vip),
    /// Somebody else added it.
    Theirs,
}

/// A VIP that is to be held.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) vip: Vip,
    term: Option<Term>,
    pub(super) local: Local,
    pub(super) schedule: Schedule,
    /// Whether it has been local since it was ordered.
    pub(super) settled: bool,
    /// When a missing one is tried again.
    pub(super) retry: Option<Time>,
    /// What was reported last.
    pub(super) failure: Option<String>,
    refresh: Option<Time>,
    readditions: Limit,
}

impl Holding {
    pub(super) fn new(vip: Vip, term: Option<Term>, now: Time) -> Self {
        let mut holding = Self {
            vip,
            term: None,
            local: Local::Missing,
            schedule: Schedule::begin(now),
            settled: false,
            retry: None,
            failure: None,
            refresh: None,
            readditions: Limit::new(READDITIONS, SPAN),
        };
        holding.set_term(term, now);
        holding
    }

    pub(super) fn set_term(&mut self, term: Option<Term>, now: Time) {
        self.term = term;
        self.refresh = self.pause().map(|pause| now + pause);
    }

    /// Whether it may be held and announced now.
    pub(super) fn is_granted(&self, now: Time) -> bool {
        self.term.as_ref().is_none_or(|term| now < term.end())
    }

    /// Whether its lifetime is to be renewed now; that then counts as done.
    pub(super) fn take_refresh(&mut self, now: Time) -> bool {
        let due = self.refresh.is_some_and(|at| now >= at);
        if due {
            self.refresh = self.pause().map(|pause| now + pause);
        }
        due
    }

    /// Whether a VIP that somebody has removed may be added again now; otherwise it is due later.
    pub(super) fn take_readdition(&mut self, now: Time) -> bool {
        let allowed = self.readditions.take(now);
        if !allowed {
            self.retry = Some(self.readditions.next());
        }
        allowed
    }

    /// When something is to be done.
    pub(super) fn next(&self) -> Time {
        let announcement = (self.local != Local::Missing).then(|| self.schedule.due());
        let due = [announcement, self.refresh, self.retry];
        due.into_iter().flatten().min().unwrap_or(Time::from_nanos(u64::MAX))
    }

    /// How the kernel is to have it on this interface.
    pub(super) fn wanted(&self, interface: &Interface) -> NewVip {
        let Vip { address, prefix, ref label, .. } = self.vip;
        let valid = self.term.as_ref().map(|term| {
            let seconds = term.valid.as_nanos().div_ceil(1_000_000_000);
            u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
        });
        let label = label.clone().unwrap_or_else(|| interface.name.clone());
        // One of the same length makes the VIP a secondary address of IPv4, which has no route
        // either way, and needs it once the first is removed and the kernel promotes the VIP.
        let rival = |(other, length): &(_, u8)| {
            same_subnet(address, *other, prefix) && !(address.is_ipv4() && *length == prefix)
        };
        NewVip {
            vip: netlink::Vip {
                ifindex: interface.index,
                address,
                prefix,
                label: address.is_ipv4().then_some(label),
            },
            route: !interface.addresses.iter().any(rival),
            valid,
        }
    }

    /// Where a look has found it.
    pub(super) fn find(&self, look: &Look) -> Local {
        let interface = look.interfaces.iter().find(|one| one.name == self.vip.interface);
        let wanted = interface.map(|interface| self.wanted(interface).vip);
        if let Some(ours) = wanted.as_ref().filter(|wanted| look.vips.contains(wanted)) {
            return Local::Ours(ours.clone());
        }
        let has = |one: &&Interface| one.addresses.iter().any(|(a, _)| *a == self.vip.address);
        match (&self.local, look.interfaces.iter().find(has)) {
            // A kernel that does not keep the tag.
            (Local::Ours(before), Some(place)) if before.ifindex == place.index => {
                self.local.clone()
            }
            (_, Some(_)) => Local::Theirs,
            (_, None) => Local::Missing,
        }
    }

    fn pause(&self) -> Option<Duration> {
        self.term.as_ref().map(|term| (term.valid.max(Duration::from_secs(1)) / 3).min(REFRESH))
    }
}

#[cfg(test)]
mod tests;
