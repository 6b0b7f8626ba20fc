//! What an observer has seen, and what follows from it. No IO; all times since the epoch.

use std::time::Duration;

use lb_common::net::MacAddr;

use super::frame::{SENDERS, Sight};
use crate::vrrp::advert::Advert;

/// Questions with their answers, announcements and advertisements, each in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Record {
    questions: Vec<Asked>,
    /// Gratuitous ARP and unsolicited neighbour advertisements for the VIP.
    pub announcements: Vec<(Duration, MacAddr)>,
    /// VRRP advertisements, priority 0 included.
    pub adverts: Vec<(Duration, Advert)>,
}

#[derive(Clone, Debug)]
struct Asked {
    at: Duration,
    turn: u8,
    /// Each once, in order.
    owners: Vec<MacAddr>,
}

/// How a stretch of time divides by the number of nodes that claimed the VIP. What a question
/// showed holds until the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Nobody did.
    pub nobody: Duration,
    /// Two or more did.
    pub several: Duration,
    /// The longest time between two questions: nothing is known to be finer than this.
    pub coarsest: Duration,
}

impl Record {
    /// A question is about to be asked.
    pub(super) fn ask(&mut self, at: Duration, turn: u8) {
        self.questions.push(Asked { at, turn, owners: Vec::new() });
    }

    /// A frame came by.
    pub(super) fn see(&mut self, at: Duration, sight: Sight) {
        match sight {
            Sight::Announcement(mac) => self.announcements.push((at, mac)),
            Sight::Advert(advert) => self.adverts.push((at, advert)),
            Sight::Answer(turn, mac) => {
                let mut recent = self.questions.iter_mut().rev().take(usize::from(SENDERS));
                let Some(asked) = recent.find(|asked| asked.turn == turn) else { return };
                if let Err(place) = asked.owners.binary_search_by_key(&mac.0, |owner| owner.0) {
                    asked.owners.insert(place, mac);
                }
            }
        }
    }

    /// Questions at or after `from`.
    pub fn asked_since(&self, from: Duration) -> usize {
        self.questions.iter().rev().take_while(|asked| asked.at >= from).count()
    }

    /// Who answered the last `count` questions after `since`, if it was the same for each; the
    /// newest two may still be under way.
    pub(super) fn last_owners(&self, since: Duration, count: usize) -> Option<Vec<MacAddr>> {
        let known = self.questions.len().saturating_sub(2);
        let last = &self.questions[known.saturating_sub(count)..known];
        let owners = &last.first().filter(|asked| asked.at >= since && last.len() == count)?.owners;
        last.iter().all(|asked| asked.owners == *owners).then(|| owners.clone())
    }

    /// Everybody who answered a question at or after `since`.
    pub(super) fn owners(&self, since: Duration) -> Vec<MacAddr> {
        let asked = self.questions.iter().rev().take_while(|asked| asked.at >= since);
        let mut owners: Vec<MacAddr> = asked.flat_map(|asked| asked.owners.clone()).collect();
        owners.sort_by_key(|owner| owner.0);
        owners.dedup();
        owners
    }

    /// Who claimed the VIP how long between two times.
    pub fn ownership(&self, from: Duration, to: Duration) -> Ownership {
        let mut ownership = Ownership::default();
        for pair in self.questions.windows(2) {
            let (begin, end) = (pair[0].at.max(from), pair[1].at.min(to));
            let Some(length) = end.checked_sub(begin) else { continue };
            ownership.coarsest = ownership.coarsest.max(length);
            match pair[0].owners.len() {
                0 => ownership.nobody += length,
                1 => {}
                _ => ownership.several += length,
            }
        }
        ownership
    }

    /// The first question at or after `from` that this node answered.
    pub fn first_claim(&self, mac: MacAddr, from: Duration) -> Option<Duration> {
        let later = self.questions.iter().filter(|asked| asked.at >= from);
        later.filter(|asked| asked.owners.contains(&mac)).map(|asked| asked.at).next()
    }

    /// From the last advertisement of `old` to the first one that another node sent after it and
    /// after `from`.
    pub fn changeover(&self, old: MacAddr, from: Duration) -> Option<Duration> {
        let claims = |advert: &Advert| advert.mac != old && advert.priority > 0;
        let (first, _) = self.adverts.iter().find(|(at, advert)| *at >= from && claims(advert))?;
        let mut before = self.adverts.iter().rev().filter(|(at, _)| at <= first);
        let (last, _) = before.find(|(_, advert)| advert.mac == old)?;
        Some(*first - *last)
    }
}

#[cfg(test)]
mod tests;
