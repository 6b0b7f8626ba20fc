//! All instances of a node, and the sync groups among them.
//!
//! # Sync groups
//!
//! The members of a group are all Active, all Backup, all in Fault, or all released:
//!
//! - **Active**: a member whose Active_Down_Timer ends does not become active but *ready*. When
//!   every member is ready or active, all become active in the same call, each with its own
//!   advertisement. Readiness ends when a member accepts an advertisement again. So two members
//!   whose timers end a little apart (IPv4 and IPv6) move together at the later one, and where
//!   the peer is silent on one link only, the group stays backup for as long as it is heard on the
//!   other, instead of taking over and losing it again every few seconds. keepalived does the same.
//! - **Backup**: when one member yields (outranked, or fenced), all others let go in the same call,
//!   without priority 0. When one is demoted by a tracked failure, all hand over with it.
//! - **Fault**: a fault of one member is all members' ([`Cause::SyncGroup`]); the others hand over
//!   by priority 0 where their links allow. They recover together, when nothing is wrong with any.
//! - **Release, Resume, Shutdown** of one member are the group's.
//! - **Start**: a member whose lease lives becomes active at once, and takes with it the members
//!   already started and those that start later, unless a member (started or not) has a fault. So
//!   tell links and source addresses of all members before the first is started.
//! - **Ties**: between two nodes of equal priorities the addresses may say otherwise on one link
//!   than on the other, and each node would yield to the other, for ever. So in a group the first
//!   member decides: another one in Active that hears a router of its own priority does not
//!   yield while the first one hears anybody.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod reload;

use super::{Action, Cause, Event, Machine, Params, Phase, State, timers::active_down};
use crate::vrrp::{Heard, time::Time};

pub use self::reload::Removed;

/// One instance to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its configuration.
    pub params: Params,
    /// Name of its sync group.
    pub group: Option<String>,
}

/// All instances of a node.
#[derive(Clone, Debug, Default)]
pub struct Router {
    members: Vec<Member>,
    /// Of one call of a machine; kept for its memory.
    scratch: Vec<Action>,
}

#[derive(Clone, Debug)]
struct Member {
    machine: Machine,
    group: Option<String>,
}

/// Actions, each with the index of its instance.
type Out = Vec<(usize, Action)>;

impl Router {
    /// The instances in their order; everything else names them by their index.
    #[must_use]
    pub fn new(instances: Vec<Instance>) -> Self {
        let members = instances.into_iter().map(Member::new).collect();
        let mut router = Self { members, scratch: Vec::new() };
        router.tell_groups();
        router
    }

    /// Something has happened to the instance; nothing happens if there is no such index.
    pub fn handle(&mut self, instance: usize, event: Event, now: Time, out: &mut Out) {
        if instance >= self.members.len() {
            return;
        }
        self.fence(instance, now, out);
        match event {
            Event::Release | Event::Resume | Event::Shutdown => {
                for member in self.group_of(instance) {
                    self.call(member, now, out, |m, acts| m.handle(event.clone(), now, acts));
                }
            }
            Event::Start { lease } => self.start(instance, lease, now, out),
            Event::Heard(heard) if self.leaves_it_to_the_first(instance, &heard, now) => {
                self.members[instance].machine.note(&heard, now);
            }
            event => self.call(instance, now, out, |m, acts| m.handle(event, now, acts)),
        }
        self.settle(instance, now, out);
    }

    /// Calls every instance whose deadline has come.
    pub fn expire(&mut self, now: Time, out: &mut Out) {
        for instance in 0..self.members.len() {
            self.fence(instance, now, out);
            if self.members[instance].machine.next_deadline().is_some_and(|due| due <= now) {
                self.call(instance, now, out, |m, acts| m.expire(now, acts));
                self.settle(instance, now, out);
            }
        }
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.members.iter().filter_map(|member| member.machine.next_deadline()).min()
    }

    /// How many instances there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The instance, for status.
    #[must_use]
    pub fn get(&self, instance: usize) -> Option<&Machine> {
        self.members.get(instance).map(|member| &member.machine)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Machine> {
        self.members.iter().map(|member| &member.machine)
    }

    fn tell_groups(&mut self) {
        for member in &mut self.members {
            member.machine.grouped = member.group.is_some();
        }
    }

    /// The instance and those of its group, in order.
    fn group_of(&self, instance: usize) -> Vec<usize> {
        let group = self.members[instance].group.as_deref();
        if group.is_none() {
            return vec![instance];
        }
        (0..self.members.len()).filter(|i| self.members[*i].group.as_deref() == group).collect()
    }

    /// Calls one machine; what it does, the others of its group do with it.
    fn call(
        &mut self,
        instance: usize,
        now: Time,
        out: &mut Out,
        what: impl FnOnce(&mut Machine, &mut Vec<Action>),
    ) {
        let mut acts = std::mem::take(&mut self.scratch);
        what(&mut self.members[instance].machine, &mut acts);
        let mut moved = Vec::new();
        for action in acts.drain(..) {
            if let Action::Changed(change) = &action
                && self.members[instance].group.is_some()
            {
                moved.push(change.clone());
            }
            out.push((instance, action));
        }
        self.scratch = acts;
        for change in moved {
            self.move_with(instance, change.old, change.new, &change.cause, now, out);
        }
    }

    /// The member has changed its state, and the others do as it does. Faults and readiness are
    /// [`Self::settle`]'s.
    fn move_with(
        &mut self,
        leader: usize,
        old: State,
        new: State,
        cause: &Cause,
        now: Time,
        out: &mut Out,
    ) {
        for member in self.group_of(leader) {
            let machine = &mut self.members[member].machine;
            if member == leader || machine.phase != Phase::Running {
                continue;
            }
            let mut acts = std::mem::take(&mut self.scratch);
            match (old, new, machine.state()) {
                (_, State::Active, State::Backup) => {
                    machine.activate(Cause::SyncGroup, now, &mut acts);
                }
                (State::Active, State::Backup, State::Active) => match cause {
                    Cause::Demoted { .. } | Cause::SyncGroup => {
                        machine.step_aside(Cause::SyncGroup, now, &mut acts);
                    }
                    _ => machine.yield_to(None, Cause::SyncGroup, now, &mut acts),
                },
                _ => {}
            }
            out.extend(acts.drain(..).map(|action| (member, action)));
            self.scratch = acts;
        }
    }

    /// A lease that has ended ends the whole group's turn, before anything else is looked at.
    fn fence(&mut self, instance: usize, now: Time, out: &mut Out) {
        let late = |m: &Machine| m.lease().is_some_and(|lease| lease <= now);
        if late(&self.members[instance].machine) {
            self.call(instance, now, out, |m, acts| m.fence(now, acts));
        }
        if self.members[instance].group.is_some() {
            for member in self.group_of(instance) {
                if late(&self.members[member].machine) {
                    self.call(member, now, out, |m, acts| m.fence(now, acts));
                }
            }
        }
    }

    fn start(&mut self, instance: usize, lease: Option<Time>, now: Time, out: &mut Out) {
        if self.members[instance].group.is_none() {
            self.call(instance, now, out, |m, acts| m.handle(Event::Start { lease }, now, acts));
            return;
        }
        let group = self.group_of(instance);
        let sound = group.iter().all(|i| self.members[*i].machine.own_fault().is_none());
        let active = group.iter().any(|i| self.members[*i].machine.state() == State::Active);
        let at_once = match lease.filter(|lease| *lease > now) {
            Some(_) if sound => Some(Cause::Resumed),
            _ if active => Some(Cause::SyncGroup),
            _ => None,
        };
        self.call(instance, now, out, |m, acts| m.start(at_once, now, acts));
    }

    /// See "Ties" above.
    fn leaves_it_to_the_first(&self, instance: usize, heard: &Heard, now: Time) -> bool {
        let machine = &self.members[instance].machine;
        if self.members[instance].group.is_none()
            || machine.state() != State::Active
            || heard.priority != machine.effective_priority()
            || Some(heard.source) <= machine.source
        {
            return false;
        }
        let first = self.group_of(instance)[0];
        if first == instance {
            return false;
        }
        let first = &self.members[first].machine;
        let params = first.params();
        // Twice, so that it outlasts one round in which both nodes have yielded.
        let span = active_down(params.version, 1, params.advert_interval).saturating_mul(2);
        first.state() == State::Active && first.peers.any_since(now - span)
    }

    /// Makes the group whole again: faults first, then, if there is none, who is ready.
    fn settle(&mut self, instance: usize, now: Time, out: &mut Out) {
        if self.members[instance].group.is_none() {
            return;
        }
        let group = self.group_of(instance);
        let faulty = |i: &usize| {
            let machine = &self.members[*i].machine;
            machine.phase == Phase::Running && machine.own_fault().is_some()
        };
        let fault = group.iter().any(faulty);
        for &member in &group {
            let machine = &mut self.members[member].machine;
            if machine.group_fault != fault {
                machine.group_fault = fault;
                self.call(member, now, out, |m, acts| m.reconsider(now, acts));
            }
        }
        self.activate_ready(&group, now, out);
    }

    fn activate_ready(&mut self, group: &[usize], now: Time, out: &mut Out) {
        let machines = || group.iter().map(|i| &self.members[*i].machine);
        let willing = |m: &Machine| {
            m.own_fault().is_none()
                && (m.phase != Phase::Running || m.state() == State::Active || m.ready.is_some())
        };
        if !machines().all(willing) {
            return;
        }
        for &member in group {
            if let Some(cause) = self.members[member].machine.ready.take() {
                self.call(member, now, out, |m, acts| m.activate(cause, now, acts));
            }
        }
    }
}

impl Member {
    fn new(instance: Instance) -> Self {
        Self { machine: Machine::new(instance.params), group: instance.group }
    }
}
