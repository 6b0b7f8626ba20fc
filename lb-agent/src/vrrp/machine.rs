//! The state machine of one VRRP instance (RFC 9568 §6.4, with keepalived's semantics where users
//! rely on them), and the [`Router`] that holds all of a node's instances and moves the members of
//! a sync group together.
//!
//! ```text
//!            Start                 Active_Down_Timer; group: all members'
//!   Init ─────────────► Backup ────────────────────────────────────────► Active
//!     │ ▲                ▲ │ ▲◄──────────────────────────────────────────  │
//!     │ └── Release,     │ │ outranked, late, demoted                      │
//!     │     Shutdown     │ ▼                                               │
//!     └──────────────► Fault ◄─────────────────────────────────────────────┘
//!       Start            link, source address, tracked failure, group
//! ```
//!
//! # Contract
//!
//! - Nothing here reads a clock: the caller names `now` (`CLOCK_MONOTONIC`, which does not jump),
//!   and calls `expire` at [`Machine::next_deadline`]. Too early does nothing; late is treated
//!   as late. Any number of calls may carry the same `now`; they take effect in their order.
//! - **A caller that has been stopped reads its sockets before it calls `expire`**: otherwise a
//!   backup that was stopped takes over from a router whose advertisements lie unread.
//! - Actions are done in the order given. Becoming active: `Send`, `Lease(Some)`, `Hold`,
//!   `Changed`. Leaving: `Lease(None)`, `Send` of priority 0 where due, `Drop`, `Changed`.
//! - `Lease(Some(t))` follows every advertisement of an active instance; `t` is three intervals
//!   after `now`, hence before any peer's Active_Down_Interval ends. A call at `t` or later makes
//!   the instance Backup before anything else ([`Cause::Late`]), without an advertisement.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod active;
mod backup;
mod event;
mod peers;
mod router;
mod timers;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, time::Duration};

use self::peers::Peers;
pub use self::{
    event::{Action, Cause, Event, Params, Send, State, Transition},
    peers::Peer,
    router::{Instance, Removed, Router},
};
use super::{Heard, time::Time};

/// One instance.
#[derive(Clone, Debug)]
pub struct Machine {
    params: Params,
    /// Whether `Active_Down_Timer` makes it active, or only ready for its sync group.
    grouped: bool,
    phase: Phase,
    state: State,
    since: Time,
    link: bool,
    source: Option<IpAddr>,
    weight: i32,
    failed: Option<String>,
    /// Some member of the sync group, itself included, is in fault.
    group_fault: bool,
    /// `Adver_Timer` in Active, `Active_Down_Timer` in Backup.
    deadline: Option<Time>,
    /// `Active_Adver_Interval`, in Backup.
    interval: Duration,
    /// What the skew in `deadline` is a fraction of, in Backup.
    skew_basis: Duration,
    /// When `Active_Down_Timer` was last set to `Active_Down_Interval`.
    waited_from: Time,
    /// Who has sent the priority 0 that set the timer.
    given_up: Option<IpAddr>,
    /// The active router, in Backup.
    leader: Option<Peer>,
    /// When a lower active router may be taken over from; `None` = none is heard.
    preempt_at: Option<Time>,
    /// In Backup, of a sync group: the timer has ended, and this is why.
    ready: Option<Cause>,
    /// Some in Active and only there.
    lease: Option<Time>,
    /// Priority of the last advertisement sent.
    advertised: u8,
    announced: Option<Time>,
    peers: Peers,
}

/// What the operator wants of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    Running,
    Released,
    Ended,
}

impl Machine {
    /// An instance in [`State::Init`], without link and source address: both are told by events,
    /// best before [`Event::Start`].
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self {
            grouped: false,
            phase: Phase::New,
            state: State::Init,
            since: Time::default(),
            link: false,
            source: None,
            weight: 0,
            failed: None,
            group_fault: false,
            deadline: None,
            interval: params.advert_interval,
            skew_basis: params.advert_interval,
            waited_from: Time::default(),
            given_up: None,
            leader: None,
            preempt_at: None,
            ready: None,
            lease: None,
            advertised: params.priority,
            announced: None,
            peers: Peers::default(),
            params,
        }
    }

    /// Takes in what has happened, and appends what is to be done.
    pub fn handle(&mut self, event: Event, now: Time, out: &mut Vec<Action>) {
        self.fence(now, out);
        match event {
            Event::Start { lease } => {
                let owner = (self.params.priority == 255 && !self.grouped).then_some(Cause::Owner);
                let resumed = lease.is_some_and(|lease| lease > now).then_some(Cause::Resumed);
                self.start(resumed.or(owner), now, out);
            }
            Event::Heard(heard) => self.hear(&heard, now, out),
            Event::Link(up) => {
                self.link = up;
                self.reconsider(now, out);
            }
            Event::Source(source) => {
                self.source = source;
                self.reconsider(now, out);
            }
            Event::Track { weight, failed } => self.track(weight, failed, now, out),
            Event::Release if matches!(self.phase, Phase::New | Phase::Running) => {
                self.leave(Phase::Released, Cause::Released, now, out);
            }
            Event::Resume if self.phase == Phase::Released => {
                self.phase = Phase::Running;
                self.come_up(Cause::ResumedByCommand, now, out);
            }
            Event::Shutdown => self.leave(Phase::Ended, Cause::Shutdown, now, out),
            Event::Reconfigure(params) => self.reconfigure(params, now, out),
            Event::Release | Event::Resume => {}
        }
    }

    /// Its deadline has come. Does nothing before it.
    pub fn expire(&mut self, now: Time, out: &mut Vec<Action>) {
        self.fence(now, out);
        let Some(due) = self.deadline.filter(|due| *due <= now) else {
            return;
        };
        match self.state {
            State::Active => self.advert_due(due, now, out),
            State::Backup => self.active_down(now, out),
            State::Init | State::Fault => self.deadline = None,
        }
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// When it was entered; boot, before the first change.
    #[must_use]
    pub const fn since(&self) -> Time {
        self.since
    }

    /// The configuration.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// Base priority and weights, clamped to 1..=254; an owner's is 255 whatever is tracked.
    #[must_use]
    pub fn effective_priority(&self) -> u8 {
        if self.params.priority == 255 {
            return 255;
        }
        let sum = i32::from(self.params.priority).saturating_add(self.weight).clamp(1, 254);
        // The clamp has made it fit.
        u8::try_from(sum).unwrap_or(u8::MAX)
    }

    /// The router that is active, if another one is: whom we last heard in Backup.
    #[must_use]
    pub const fn active_router(&self) -> Option<&Peer> {
        self.leader.as_ref()
    }

    /// Every router heard whose last advertisement was not of priority 0.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    /// Until when this node may claim the addresses; some in Active alone.
    #[must_use]
    pub const fn lease(&self) -> Option<Time> {
        self.lease
    }

    /// Whether it stays out by [`Event::Release`].
    #[must_use]
    pub fn released(&self) -> bool {
        self.phase == Phase::Released
    }

    /// What keeps it from taking part, in any state.
    #[must_use]
    pub fn fault(&self) -> Option<Cause> {
        self.own_fault().or_else(|| self.group_fault.then_some(Cause::SyncGroup))
    }

    fn own_fault(&self) -> Option<Cause> {
        if !self.link {
            Some(Cause::LinkDown)
        } else if self.source.is_none() {
            Some(Cause::NoSource)
        } else {
            self.failed.clone().map(Cause::Tracked)
        }
    }

    /// RFC 9568 §6.4.1. `at_once`: a reason not to wait in Backup.
    fn start(&mut self, at_once: Option<Cause>, now: Time, out: &mut Vec<Action>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Running;
        match at_once {
            Some(cause) if self.fault().is_none() => self.activate(cause, now, out),
            _ => self.come_up(Cause::Started, now, out),
        }
        if self.grouped && self.params.priority == 255 && self.state == State::Backup {
            self.deadline = None;
            self.ready = Some(Cause::Owner);
        }
    }

    fn come_up(&mut self, cause: Cause, now: Time, out: &mut Vec<Action>) {
        match self.fault() {
            Some(fault) => self.change(State::Fault, fault, now, out),
            None => self.back_up(None, cause, now, out),
        }
    }

    fn hear(&mut self, heard: &Heard, now: Time, out: &mut Vec<Action>) {
        if self.phase == Phase::New {
            return;
        }
        self.peers.note(heard, now);
        match self.state {
            State::Init | State::Fault => {}
            State::Backup => self.hear_backup(heard, now),
            State::Active => self.hear_active(heard, now, out),
        }
    }

    /// Notes the advertisement, and leaves what it means to another member of the sync group.
    fn note(&mut self, heard: &Heard, now: Time) {
        self.peers.note(heard, now);
    }

    /// Into the fault state if something is wrong, out of it if nothing is.
    fn reconsider(&mut self, now: Time, out: &mut Vec<Action>) {
        match (self.fault(), self.state) {
            (Some(cause), State::Backup | State::Active) => {
                self.withdraw(true, out);
                self.stop();
                self.change(State::Fault, cause, now, out);
            }
            (None, State::Fault) => self.back_up(None, Cause::Recovered, now, out),
            _ => {}
        }
    }

    fn track(&mut self, weight: i32, failed: Option<String>, now: Time, out: &mut Vec<Action>) {
        let (before, state) = (self.effective_priority(), self.state);
        self.weight = weight;
        self.failed = failed;
        self.reconsider(now, out);
        if self.state != state {
            return;
        }
        let own = self.effective_priority();
        match state {
            State::Backup => self.shift_timer(before),
            // Whoever outranked us before has let us be active all the same, or is dead.
            State::Active if self.peers.outranking(before, self.source).is_none() => {
                if let Some(&Peer { source: router, priority, .. }) =
                    self.peers.outranking(own, self.source)
                {
                    self.step_aside(Cause::Demoted { own, router, priority }, now, out);
                }
            }
            State::Active | State::Init | State::Fault => {}
        }
    }

    /// To Init: by command, or for good.
    fn leave(&mut self, phase: Phase, cause: Cause, now: Time, out: &mut Vec<Action>) {
        self.phase = phase;
        self.withdraw(true, out);
        self.stop();
        if phase == Phase::Ended {
            self.peers.clear();
        }
        if self.state != State::Init {
            self.change(State::Init, cause, now, out);
        }
    }

    /// Keeps the role: an active instance tells its peers at once, as keepalived does.
    fn reconfigure(&mut self, params: Params, now: Time, out: &mut Vec<Action>) {
        let before = std::mem::replace(&mut self.params, params);
        match self.state {
            State::Active => {
                self.advertise(now, out);
                self.deadline = Some(now + self.params.advert_interval);
            }
            State::Backup => self.retime(&before, now),
            State::Init | State::Fault => {}
        }
    }

    /// Leaves nothing running.
    fn stop(&mut self) {
        self.deadline = None;
        self.leader = None;
        self.ready = None;
        self.preempt_at = None;
        self.given_up = None;
    }

    fn change(&mut self, new: State, cause: Cause, now: Time, out: &mut Vec<Action>) {
        let old = std::mem::replace(&mut self.state, new);
        self.since = now;
        out.push(Action::Changed(Transition { old, new, cause }));
    }
}
