//! A new configuration while the thread runs.

use std::net::IpAddr;

use super::{member::Member, runner::Runner};
use crate::{
    config::vrrp::{VirtualAddress, Vrrp},
    vips::Order,
    vrrp::{
        clock,
        machine::{Machine, State},
        track::Sum,
    },
};

impl Runner {
    /// Instances of the same virtual router go on; those that are no more hand over first.
    pub(super) fn reconfigure(&mut self, instances: Vec<(Vrrp, Sum)>) {
        let (configs, tracked): (Vec<_>, Vec<_>) = instances.into_iter().unzip();
        let targets: Vec<Member> = configs.into_iter().map(Member::new).collect();
        let from: Vec<Option<usize>> = targets
            .iter()
            .map(|new| self.members.iter().position(|old| old.identity() == new.identity()))
            .collect();
        let plan = targets.iter().map(Member::instance).zip(from.iter().copied()).collect();
        let (mut removed, mut continued) = (Vec::new(), Vec::new());
        self.router.reconfigure(plan, clock::now(), &mut removed, &mut continued);
        self.actions.extend(removed);
        self.carry_out();

        let before: Vec<IpAddr> = self.held();
        let mut old: Vec<_> = std::mem::take(&mut self.members).into_iter().map(Some).collect();
        let (mut fresh, mut going_on) = (Vec::new(), Vec::new());
        for (index, (new, from)) in targets.into_iter().zip(from).enumerate() {
            match from.and_then(|at| old[at].take()) {
                Some(mut member) => {
                    let (had, label) = (member.addresses().collect(), member.config.label.clone());
                    member.reconfigure(new.config);
                    self.members.push(member);
                    going_on.push(Former { index, had, label });
                }
                None => {
                    fresh.push(index);
                    self.members.push(new);
                }
            }
        }
        // In this order: what one gives up another may take.
        going_on.iter().for_each(|former| self.let_go(former));
        going_on.iter().for_each(|former| self.go_on(former));
        // An address of no virtual router is claimed without a lease.
        let after = self.held();
        for address in before.into_iter().filter(|address| !after.contains(address)) {
            let done = self.leases.remove(address);
            self.checked(done);
        }
        self.actions.extend(continued);
        self.carry_out();
        for (index, tracked) in tracked.into_iter().enumerate() {
            self.track(index, tracked, clock::now());
        }
        self.carry_out();
        self.look_around();
        for index in fresh {
            self.begin(index);
        }
    }

    fn held(&self) -> Vec<IpAddr> {
        self.members.iter().flat_map(Member::addresses).map(|a| a.address).collect()
    }

    pub(super) fn is_active(&self, index: usize) -> bool {
        self.router.get(index).is_some_and(|machine| machine.state() == State::Active)
    }

    /// An active member lets go of what it no longer has. One that is not may have got what the
    /// node held for itself until now.
    fn let_go(&self, former: &Former) {
        let member = &self.members[former.index];
        let now: Vec<_> = member.addresses().collect();
        let (having, lacking) =
            if self.is_active(former.index) { (&former.had, &now) } else { (&now, &former.had) };
        let lacks = |address| !lacking.iter().any(|other| other.address == address);
        for gone in having.iter().filter(|one| lacks(one.address)) {
            self.orders.give(Order::Drop { address: gone.address });
        }
    }

    /// The member's lease covers its new addresses; an active one takes them, and those that it
    /// has otherwise now.
    fn go_on(&mut self, former: &Former) {
        let index = former.index;
        let lease = self.router.get(index).and_then(Machine::lease);
        let done = self.members[index].lease(lease, &mut self.leases);
        self.checked(done);
        if !self.is_active(index) {
            return;
        }
        let member = &self.members[index];
        let relabelled = member.config.label != former.label;
        for new in member.addresses().filter(|one| relabelled || !former.had.contains(one)) {
            member.hold(new, &self.orders);
        }
    }
}

/// A member that goes on, as it was.
struct Former {
    index: usize,
    had: Vec<VirtualAddress>,
    label: Option<String>,
}
