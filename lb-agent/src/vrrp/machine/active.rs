//! The state Active (RFC 9568 §6.4.3).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::{
    Action, Cause, Machine, Send, State,
    peers::outranks,
    timers::{MISSED, basis, skew},
};
use crate::vrrp::{Heard, SHORTEST_INTERVAL, Version, time::Time};

/// Between two [`Action::Announce`] at least. Each stands for a whole series of gratuitous ARPs, so
/// a flood of lower advertisements must not set off one for each.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

impl Machine {
    /// Becomes active: the advertisement goes first, so that the former active router has let go
    /// by the time we announce.
    pub(super) fn activate(&mut self, cause: Cause, now: Time, out: &mut Vec<Action>) {
        if let Cause::ActiveDown(_) | Cause::SyncGroup = cause {
            // Whoever would have won has had its time.
            let (priority, source) = (self.effective_priority(), self.source);
            self.peers.forget_outranking(priority, source);
        }
        self.leader = None;
        self.ready = None;
        self.announced = None;
        self.advertise(now, out);
        self.deadline = Some(now + self.params.advert_interval);
        out.push(Action::Hold);
        self.change(State::Active, cause, now, out);
    }

    /// Sends an advertisement, and extends the lease by it.
    pub(super) fn advertise(&mut self, now: Time, out: &mut Vec<Action>) {
        let interval = self.params.advert_interval;
        self.advertised = self.effective_priority();
        out.push(Action::Send(Send { priority: self.advertised, interval, hand_over: false }));
        let lease = now + interval.saturating_mul(MISSED);
        self.lease = Some(lease);
        out.push(Action::Lease(Some(lease)));
    }

    /// `Adver_Timer`. The next one is due an interval after this one was, not after it came, so
    /// that lateness does not add up; only after a whole missed interval it is counted anew.
    pub(super) fn advert_due(&mut self, due: Time, now: Time, out: &mut Vec<Action>) {
        self.advertise(now, out);
        let next = due + self.params.advert_interval;
        self.deadline = Some(if next > now { next } else { now + self.params.advert_interval });
    }

    pub(super) fn hear_active(&mut self, heard: &Heard, now: Time, out: &mut Vec<Action>) {
        if heard.priority == 0 {
            self.advertise(now, out);
            self.deadline = Some(now + self.params.advert_interval);
            return;
        }
        let own = self.effective_priority();
        if outranks(heard.priority, heard.source, own, self.source) {
            let cause = Cause::Outranked { router: heard.source, priority: heard.priority };
            self.yield_to(Some(heard), cause, now, out);
        } else if heard.priority != own || Some(heard.source) != self.source {
            // RFC 9568 §6.4.3, and keepalived in version 2 as well (RFC 3768 discards): without it
            // both would stay active for up to an interval. `Adver_Timer` is left alone.
            self.advertise(now, out);
            if self.announced.is_none_or(|last| now.since(last) >= ANNOUNCE_PAUSE) {
                self.announced = Some(now);
                out.push(Action::Announce);
            }
        }
        // An advertisement with our own priority and address is our own come back, or another
        // host's with our address: an answer could only start a storm.
    }

    /// Lets go without a word, since somebody else is active or may be.
    pub(super) fn yield_to(
        &mut self,
        heard: Option<&Heard>,
        cause: Cause,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        self.withdraw(false, out);
        self.back_up(heard, cause, now, out);
    }

    /// Self-fencing: past the lease a peer may have taken over, and we must not say otherwise.
    pub(super) fn fence(&mut self, now: Time, out: &mut Vec<Action>) {
        if let Some(lease) = self.lease.filter(|lease| now >= *lease) {
            self.yield_to(None, Cause::Late(now.since(lease)), now, out);
        }
    }

    /// Hands over, but comes back an interval later if nobody has taken over. The interval is
    /// longer than any peer's skew, which is all that a peer waits for.
    pub(super) fn step_aside(&mut self, cause: Cause, now: Time, out: &mut Vec<Action>) {
        self.withdraw(true, out);
        self.back_up(None, cause, now, out);
        let basis = basis(self.params.version, self.params.advert_interval);
        self.deadline = Some(now + basis + skew(self.effective_priority(), basis));
    }

    /// Stops claiming; in any other state than Active nothing is left to stop.
    ///
    /// With `hand_over` whoever is next is told. In version 3 an advertisement of the shortest
    /// interval goes first: backup routers adopt its interval (RFC 9568 §6.4.2), and the skew that
    /// they wait after priority 0 becomes a fraction of 10 ms. The interval within the priority 0
    /// itself does not count, neither in the RFC nor in keepalived. The first advertisement has
    /// the priority that was advertised last, since a lower one would be discarded.
    pub(super) fn withdraw(&mut self, hand_over: bool, out: &mut Vec<Action>) {
        if self.state != State::Active {
            return;
        }
        self.lease = None;
        out.push(Action::Lease(None));
        if hand_over && self.link && self.source.is_some() {
            let mut interval = self.params.advert_interval;
            if self.params.version == Version::V3 && interval > SHORTEST_INTERVAL {
                interval = SHORTEST_INTERVAL;
                let priority = self.advertised;
                out.push(Action::Send(Send { priority, interval, hand_over }));
            }
            out.push(Action::Send(Send { priority: 0, interval, hand_over }));
        }
        out.push(Action::Drop);
    }
}
