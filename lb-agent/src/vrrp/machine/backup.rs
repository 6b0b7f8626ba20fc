//! The state Backup (RFC 9568 §6.4.2).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{
    Action, Cause, Machine, Params, State,
    peers::Peer,
    timers::{active_down, basis, skew},
};
use crate::vrrp::{Heard, SHORTEST_INTERVAL, Version, time::Time};

impl Machine {
    /// Becomes backup: to the router heard, or to nobody yet.
    pub(super) fn back_up(
        &mut self,
        heard: Option<&Heard>,
        cause: Cause,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        self.interval = self.params.advert_interval;
        self.leader = None;
        self.ready = None;
        self.preempt_at = None;
        if let Some(heard) = heard {
            self.follow(heard, now);
        }
        self.await_active(now);
        self.change(State::Backup, cause, now, out);
    }

    pub(super) fn hear_backup(&mut self, heard: &Heard, now: Time) {
        if heard.priority == 0 {
            self.leaver_heard(heard, now);
            return;
        }
        if self.accepts(heard.priority, now) {
            self.follow(heard, now);
            self.preempt_from(heard.priority, now);
            self.ready = None;
            self.await_active(now);
        } else {
            // It is active all the same until our timer ends, and status should name it.
            self.leader = Some(peer(heard, now));
        }
    }

    /// RFC 9568 §6.4.2, and while keepalived's `preempt_delay` runs or has not begun, every
    /// priority. An owner takes over from everybody (RFC 9568 §6.1 `Preempt_Mode`).
    fn accepts(&self, priority: u8, now: Time) -> bool {
        let own = self.effective_priority();
        if priority >= own {
            return true;
        }
        let delayed = !self.params.preempt_delay.is_zero()
            && self.preempt_at.is_none_or(|moment| moment > now);
        own != 255 && (!self.params.preempt || delayed)
    }

    /// The delay runs from the first advertisement of a lower router on, and is over when a better
    /// one is heard.
    fn preempt_from(&mut self, priority: u8, now: Time) {
        if priority >= self.effective_priority() || self.params.preempt_delay.is_zero() {
            self.preempt_at = None;
        } else if self.preempt_at.is_none() {
            self.preempt_at = Some(now + self.params.preempt_delay);
        }
    }

    /// Takes the router for the active one, and in version 3 its interval for
    /// `Active_Adver_Interval`. Below a centisecond none can be advertised; the bound keeps a forged
    /// zero from making the timer end at once.
    fn follow(&mut self, heard: &Heard, now: Time) {
        if self.params.version == Version::V3 {
            self.interval = heard.interval.max(SHORTEST_INTERVAL);
        }
        self.leader = Some(peer(heard, now));
        self.given_up = None;
    }

    /// Sets `Active_Down_Timer` to `Active_Down_Interval`.
    fn await_active(&mut self, now: Time) {
        let version = self.params.version;
        self.given_up = None;
        self.skew_basis = basis(version, self.interval);
        self.waited_from = now;
        self.deadline = Some(now + active_down(version, self.effective_priority(), self.interval));
    }

    /// Priority 0: the timer becomes the skew. On a hand-over by one of ours it is that of the
    /// shortest interval, unless another router is known to come before us: if that is a
    /// keepalived it waits for longer, and we would only be in its way.
    fn leaver_heard(&mut self, heard: &Heard, now: Time) {
        if self.leader.is_some_and(|leader| leader.source == heard.source) {
            self.leader = None;
        }
        self.given_up = Some(heard.source);
        if self.ready.is_some() {
            return;
        }
        let own = self.effective_priority();
        self.skew_basis = match (heard.hand_over, self.peers.any_above(own)) {
            (false, _) => basis(self.params.version, self.interval),
            (true, false) => SHORTEST_INTERVAL,
            // The interval learned is the leaver's shortest, and no measure any more.
            (true, true) => basis(self.params.version, self.params.advert_interval),
        };
        self.deadline = Some(now + skew(own, self.skew_basis));
    }

    /// `Active_Down_Timer` has ended. In a sync group this member now waits for the others.
    pub(super) fn active_down(&mut self, now: Time, out: &mut Vec<Action>) {
        let cause = match self.given_up {
            Some(router) => Cause::GivenUp(router),
            None => Cause::ActiveDown(now.since(self.waited_from)),
        };
        if self.grouped {
            self.deadline = None;
            self.ready = Some(cause);
        } else {
            self.activate(cause, now, out);
        }
    }

    /// Our priority has changed: the running timer keeps its beginning and gets the new skew.
    pub(super) fn shift_timer(&mut self, before: u8) {
        let after = self.effective_priority();
        self.deadline = self.deadline.map(|deadline| {
            deadline - skew(before, self.skew_basis) + skew(after, self.skew_basis)
        });
    }

    /// A new configuration in Backup: what is learned from the active router stays, the timer
    /// starts anew if it would be another one.
    pub(super) fn retime(&mut self, before: &Params, now: Time) {
        let params = &self.params;
        if params.version == before.version
            && params.priority == before.priority
            && params.advert_interval == before.advert_interval
        {
            return;
        }
        if params.version == Version::V2 || self.leader.is_none() {
            self.interval = params.advert_interval;
        }
        if self.ready.is_none() {
            self.await_active(now);
        }
    }
}

const fn peer(heard: &Heard, now: Time) -> Peer {
    let Heard { source, priority, interval, .. } = *heard;
    Peer { source, priority, interval, heard: now }
}
