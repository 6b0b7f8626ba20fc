//! From what is known to what is to be done: the one place where the maps' content is decided.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{
    abi::LAYOUT_VERSION,
    backend::{Backend as Record, BackendState},
    config::{Config as MapConfig, filter_bit},
};

use super::{State, log};
use crate::{
    agent::event::{Action, Level},
    datapath::plan::{Desired, diff},
};

impl State {
    /// Everything that follows from what is known and is not done yet.
    pub(super) fn replan(&mut self) -> Vec<Action> {
        let mut logs = Vec::new();
        for service in &mut self.services {
            let settled = service.settle();
            let name = &service.config.name;
            logs.extend(settled.map(|served| match served {
                true => log(Level::Info, format!("service `{name}` has a backend")),
                false => log(Level::Error, format!("service `{name}` has no backend")),
            }));
        }
        let desired = self.desired();
        let vips = self.services.iter().map(|s| s.config.vip);
        let vips: BTreeSet<_> = vips.filter(|vip| !self.routed.contains(vip)).collect();
        let ops = diff(&self.held, &desired);
        let mut actions = Vec::new();
        // Packets come only while the maps know the VIP: the kernel would answer them with RST.
        actions.extend(self.vips.difference(&vips).map(|&vip| Action::RemoveVip { vip }));
        if !ops.is_empty() {
            actions.push(Action::Map(ops));
        }
        actions.extend(newly_reset(&self.held, &desired));
        actions.extend(vips.difference(&self.vips).map(|&vip| Action::AddVip { vip }));
        self.vips = vips;
        actions.extend(self.watch(&desired));
        self.held = desired;
        actions.extend(logs);
        actions
    }

    fn watch(&mut self, desired: &Desired) -> Option<Action> {
        let watched: BTreeSet<_> =
            desired.backends.values().map(|b| IpAddr::from(b.address)).collect();
        if watched == self.watched {
            return None;
        }
        self.hops.retain(|address, _| watched.contains(address));
        self.lost.retain(|address, _| watched.contains(address));
        self.watched = watched;
        Some(Action::Watch(self.watched.iter().copied().collect()))
    }

    fn desired(&self) -> Desired {
        let mut config = Box::new(MapConfig { layout_version: LAYOUT_VERSION, ..MapConfig::EMPTY });
        for (slot, mac) in config.own_macs.iter_mut().zip(&self.own_macs) {
            *slot = mac.to_u64();
        }
        // Also of removed services whose connections have not ended.
        let served = self.keys.values().map(|key| key.vip);
        // The program looks at claims of addresses in the filter alone, whatever they serve.
        let routed = self.routed.iter().map(|&vip| vip.into());
        for vip in served.chain(routed) {
            let bit = filter_bit(&vip);
            config.vip_filter[bit / 64] |= 1 << (bit % 64);
        }
        let live = self.services.iter().flat_map(|s| &s.backends).map(|b| (b.id, b.record));
        let retired = self.retired.iter().map(|(&id, r)| (id, r.record));
        Desired {
            config,
            backends: live.chain(retired).collect(),
            services: self.services.iter().map(|s| (s.id, s.entry())).collect(),
        }
    }
}

fn newly_reset(held: &Desired, desired: &Desired) -> Vec<Action> {
    let is_reset = |b: &&Record| b.state == BackendState::Reset as u8;
    let new = desired.backends.iter().filter(|(_, b)| is_reset(b));
    new.filter(|(id, _)| held.backends.get(id).filter(is_reset).is_none())
        .map(|(&backend, _)| Action::ResetFlows { backend })
        .collect()
}
