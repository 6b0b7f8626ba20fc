//! A new configuration for the whole router.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Action, Cause, Event, Instance, Member, Out, Phase, Router, State};
use crate::vrrp::time::Time;

/// What an instance does that is no more; its index is the old one.
pub type Removed = (usize, Action);

impl Router {
    /// Takes over a new configuration: for every instance to be, the index of the one that it
    /// continues (same interface, family and virtual router id; each at most once), or `None` for a
    /// new one, which is in Init until it is started.
    ///
    /// Those not continued hand over and end; their actions come in `removed`, with old indices,
    /// and are done first. Those continued keep their role; only where members of a new sync group
    /// differ, the active ones hand over, and one released is all released.
    pub fn reconfigure(
        &mut self,
        instances: Vec<(Instance, Option<usize>)>,
        now: Time,
        removed: &mut Vec<Removed>,
        out: &mut Out,
    ) {
        for old in 0..self.members.len() {
            if !instances.iter().any(|(_, from)| *from == Some(old)) {
                // Alone, so that the others of its group stay as they are.
                self.members[old].group = None;
                self.handle(old, Event::Shutdown, now, removed);
            }
        }
        let mut before: Vec<_> = self.members.drain(..).map(Some).collect();
        let mut changed = Vec::new();
        for (instance, from) in instances {
            match from.and_then(|old| before.get_mut(old)).and_then(Option::take) {
                Some(mut member) => {
                    member.group = instance.group;
                    changed.push((self.members.len(), instance.params));
                    self.members.push(member);
                }
                None => self.members.push(Member::new(instance)),
            }
        }
        self.tell_groups();
        for (index, params) in changed {
            if self.members[index].machine.params() != &params {
                self.handle(index, Event::Reconfigure(params), now, out);
            }
            if self.members[index].group.is_none() {
                self.leave_group(index, now, out);
            } else {
                self.unite(index, now, out);
            }
        }
    }

    /// Members that have come together in a group do as the most cautious of them.
    fn unite(&mut self, index: usize, now: Time, out: &mut Out) {
        let group = self.group_of(index);
        let any = |state| group.iter().any(|i| self.members[*i].machine.state() == state);
        let split = any(State::Active) && any(State::Backup);
        let released = group.iter().any(|i| self.members[*i].machine.released());
        for &member in &group {
            let machine = &self.members[member].machine;
            if released && machine.phase == Phase::Running {
                self.call(member, now, out, |m, acts| m.handle(Event::Release, now, acts));
            } else if split && machine.state() == State::Active {
                self.call(member, now, out, |m, acts| m.step_aside(Cause::SyncGroup, now, acts));
            }
        }
        self.settle(index, now, out);
    }

    /// A former member stands for itself: what it owed to the group is over.
    fn leave_group(&mut self, index: usize, now: Time, out: &mut Out) {
        let machine = &mut self.members[index].machine;
        if std::mem::take(&mut machine.group_fault) {
            self.call(index, now, out, |m, acts| m.reconsider(now, acts));
        } else if let Some(cause) = machine.ready.take() {
            self.call(index, now, out, |m, acts| m.activate(cause, now, acts));
        }
    }
}
