//! A new configuration while the thread runs.

use std::net::IpAddr;

use super::{Tracked, member::Member, runner::Runner};
use crate::{
    config::vrrp::Vrrp,
    vips::Order,
    vrrp::{
        clock,
        machine::{Machine, State},
    },
};

impl Runner {
    /// Instances of the same virtual router go on; those that are no more hand over first.
    pub(super) fn reconfigure(&mut self, instances: Vec<(Vrrp, Tracked)>) {
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
        let mut fresh = Vec::new();
        for (index, (new, from)) in targets.into_iter().zip(from).enumerate() {
            match from.and_then(|at| old[at].take()) {
                Some(member) => self.go_on(index, member, new.config),
                None => {
                    fresh.push(index);
                    self.members.push(new);
                }
            }
        }
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

    /// The member takes its place under its new configuration. An active one lets go of what it no
    /// longer has, and takes what is new.
    fn go_on(&mut self, index: usize, mut member: Member, config: Vrrp) {
        let before: Vec<_> = member.addresses().collect();
        member.reconfigure(config);
        let machine = self.router.get(index);
        let active = machine.is_some_and(|machine| machine.state() == State::Active);
        let lease = machine.and_then(Machine::lease);
        if active {
            for gone in before.iter().filter(|address| !member.holds(**address)) {
                self.orders.give(Order::Drop { address: gone.address });
            }
        }
        let done = member.lease(lease, &mut self.leases);
        self.checked(done);
        if active {
            for new in member.addresses().filter(|address| !before.contains(address)) {
                member.hold(new, &self.orders);
            }
        }
        self.members.push(member);
    }
}
