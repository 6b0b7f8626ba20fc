//! The agent's one state: every event goes in, and what is to be done comes out.
//!
//! All events take the same way to the maps. They change what is known; from that follows anew
//! what the maps should hold; the difference to what they hold is written. Nothing else writes.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

use lb_common::{
    abi::{MAX_BACKENDS, MAX_SERVICES},
    backend::{Backend as Record, BackendState, NextHop},
    config::{Config as MapConfig, MAX_OWN_MACS},
    net::MacAddr,
    service::ServiceKey,
};

use self::{
    backend::{Admin, Backend, steer, way},
    service::Service,
};
use super::{
    event::{Action, AdminError, Adopted, Command, Event, Level, Refused, Transition},
    status::{ServiceStatus, Standing, Status},
};
use crate::{
    config::Config,
    datapath::plan::{Desired, Entry},
    health::{Report, Target},
};

mod backend;
mod reload;
mod replan;
mod service;
#[cfg(test)]
mod tests;

/// Walks in a row that must meet no flow of a removed backend before its id is free: the first
/// may have begun before its last flow did.
const QUIET_WALKS: u32 = 2;
/// The greatest weight of a backend.
const MAX_WEIGHT: u16 = 256;

/// What the agent knows and has done.
#[derive(Clone, Debug)]
pub struct State {
    node: String,
    services: Vec<Service>,
    /// Backends that are not configured any more, by id, until their flows have ended.
    retired: BTreeMap<u16, Retired>,
    /// Service ids in use: configured, or needed by a retired backend's flows.
    keys: BTreeMap<u16, ServiceKey>,
    /// Last known way to each watched address. It outlives a failure to resolve: a wrong way
    /// shows in the checks, no way would lose packets that might arrive.
    hops: BTreeMap<IpAddr, NextHop>,
    /// Watched addresses whose last resolution failed, and why.
    lost: BTreeMap<IpAddr, String>,
    own_macs: Vec<MacAddr>,
    /// VIPs that were asked to be local addresses.
    vips: BTreeSet<IpAddr>,
    /// VIPs that virtual routers hold, or not: none of ours to ask for.
    routed: BTreeSet<IpAddr>,
    watched: BTreeSet<IpAddr>,
    /// What the maps hold, once every [`Action::Map`] so far is done.
    held: Desired,
}

#[derive(Clone, Debug)]
struct Retired {
    record: Record,
    /// Walks in a row without a flow of this backend.
    quiet: u32,
}

impl State {
    /// Takes over what the maps hold (nothing, on a fresh start) and heads for a configuration.
    ///
    /// Backends that are found under the same service, address and port keep their ids, and their
    /// flows with them.
    pub fn new(
        config: &Config,
        adopted: Adopted,
        own_macs: Vec<MacAddr>,
    ) -> Result<(Self, Vec<Action>), Refused> {
        let held = adopt(adopted);
        let retired = held.backends.iter().map(|(&id, &record)| (id, Retired { record, quiet: 0 }));
        let mut state = Self {
            node: String::new(),
            services: Vec::new(),
            retired: retired.collect(),
            keys: held.services.iter().map(|(&id, entry)| (id, entry.key)).collect(),
            hops: BTreeMap::new(),
            lost: BTreeMap::new(),
            own_macs: Vec::new(),
            vips: BTreeSet::new(),
            routed: BTreeSet::new(),
            watched: BTreeSet::new(),
            held,
        };
        let mut actions = state.learn_macs(own_macs);
        let found = state.held.services.values().map(|entry| IpAddr::from(entry.key.vip));
        let wanted: BTreeSet<_> = config.services.iter().map(|s| s.vip).collect();
        // The wanted ones are asked for anew: who knows what has become of them.
        state.vips = found.filter(|vip| !wanted.contains(vip)).collect();
        for record in state.held.backends.values().filter(|b| way(b).ifindex != 0) {
            state.hops.insert(record.address.into(), way(record));
        }
        actions.extend(state.reload(config)?);
        Ok((state, actions))
    }

    /// Takes in one event. `now` must not run backwards.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Probe(report) => self.probe(report, now),
            Event::NextHop { address, hop } => self.next_hop(address, hop),
            Event::OwnMacs(macs) => {
                let mut actions = self.learn_macs(macs);
                actions.extend(self.replan());
                actions
            }
            Event::Admin { target, command } => self.admin(&target, command),
            Event::Config(config) => match self.reload(&config) {
                Ok(actions) => actions,
                Err(refused) => vec![Action::ConfigRefused(refused)],
            },
            Event::FlowsSeen(seen) => self.flows_seen(&seen),
            Event::Resync(adopted) => {
                self.held = adopt(adopted);
                self.replan()
            }
        }
    }

    /// A copy of what is known; ages are as of `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Status {
        let service = |s: &Service| ServiceStatus {
            id: s.id,
            name: s.config.name.clone(),
            vip: s.config.vip,
            port: s.config.port,
            protocol: s.config.protocol,
            backends: s.backends.iter().map(|b| b.status(now)).collect(),
        };
        Status {
            node: self.node.clone(),
            services: self.services.iter().map(service).collect(),
            retired: self.retired.keys().copied().collect(),
        }
    }

    /// Whether somebody serves the service: a backend in rotation that was seen up. `None` = not
    /// known yet, or there is no such service.
    #[must_use]
    pub fn served(&self, service: &str) -> Option<bool> {
        let service = self.services.iter().find(|s| s.config.name == service)?;
        let up = |b: &Backend| b.in_rotation && b.standing() == Standing::Up;
        if service.backends.iter().any(up) {
            return Some(true);
        }
        let unknown = service.backends.iter().any(|b| b.standing() == Standing::Unknown);
        (!unknown).then_some(false)
    }

    fn probe(&mut self, report: Report, now: Instant) -> Vec<Action> {
        // A check that was stopped may have had its last report on the way.
        let Ok(backend) = self.find(&report.target) else { return Vec::new() };
        let old = backend.standing();
        let reason = report.outcome.reason.clone();
        if !backend.observe(report.outcome, now) {
            return Vec::new();
        }
        let new = backend.standing();
        let mut actions = self.replan();
        if old != new {
            let target = report.target;
            actions.push(Action::Transition(Transition { target, old, new, reason }));
        }
        actions
    }

    fn next_hop(&mut self, address: IpAddr, hop: Result<NextHop, String>) -> Vec<Action> {
        if !self.watched.contains(&address) {
            return Vec::new();
        }
        match hop {
            Ok(hop) => {
                self.hops.insert(address, hop);
                let live = self.services.iter_mut().flat_map(|s| &mut s.backends);
                let records = live.map(|b| &mut b.record);
                for record in records.chain(self.retired.values_mut().map(|r| &mut r.record)) {
                    if IpAddr::from(record.address) == address {
                        steer(record, hop);
                    }
                }
                let mut actions = self.replan();
                if self.lost.remove(&address).is_some() {
                    actions
                        .push(log(Level::Info, format!("the way to `{address}` is known again")));
                }
                actions
            }
            Err(cause) => {
                let known = self.hops.contains_key(&address);
                if self.lost.insert(address, cause.clone()).as_ref() == Some(&cause) {
                    return Vec::new();
                }
                let so = if known { "; its last known next hop stays in use" } else { "" };
                vec![log(Level::Warn, format!("no way to `{address}`: {cause}{so}"))]
            }
        }
    }

    fn learn_macs(&mut self, mut macs: Vec<MacAddr>) -> Vec<Action> {
        macs.retain(|mac| *mac != MacAddr::UNSET);
        macs.sort_by_key(|mac| mac.0);
        macs.dedup();
        let surplus = macs.split_off(macs.len().min(MAX_OWN_MACS));
        self.own_macs = macs;
        let report = |mac| {
            let text = format!(
                "packets to `{mac}` are not served: only {MAX_OWN_MACS} Ethernet addresses fit"
            );
            log(Level::Error, text)
        };
        surplus.into_iter().map(report).collect()
    }

    fn admin(&mut self, target: &Target, command: Command) -> Vec<Action> {
        let (old, new) = match self.obey(target, command) {
            Ok(standings) => standings,
            Err(error) => return vec![Action::Answer(Err(error))],
        };
        let mut actions = self.replan();
        if old != new {
            let (target, reason) = (target.clone(), "by command".to_owned());
            actions.push(Action::Transition(Transition { target, old, new, reason }));
        }
        actions.push(Action::Answer(Ok(())));
        actions
    }

    /// Standing before and after.
    fn obey(
        &mut self,
        target: &Target,
        command: Command,
    ) -> Result<(Standing, Standing), AdminError> {
        let backend = self.find(target)?;
        let old = backend.standing();
        match command {
            Command::Drain => backend.admin = Admin::Drain,
            Command::Ready => backend.admin = Admin::Ready,
            Command::Maint => backend.admin = Admin::Maint,
            Command::Weight(Some(weight)) if weight > MAX_WEIGHT => {
                return Err(AdminError::Weight { weight });
            }
            Command::Weight(weight) => backend.weight_override = weight,
        }
        Ok((old, backend.standing()))
    }

    fn flows_seen(&mut self, seen: &BTreeSet<u16>) -> Vec<Action> {
        for (id, retired) in &mut self.retired {
            retired.quiet = if seen.contains(id) { 0 } else { retired.quiet + 1 };
        }
        let before = self.retired.len();
        self.retired.retain(|_, r| r.quiet < QUIET_WALKS);
        if self.retired.len() == before {
            return Vec::new();
        }
        self.forget_services();
        self.replan()
    }

    /// Frees the ids of services that are neither configured nor needed by flows.
    fn forget_services(&mut self) {
        let live: BTreeSet<_> = self.services.iter().map(|s| s.id).collect();
        let needed: BTreeSet<_> = self.retired.values().map(|r| r.record.service).collect();
        self.keys.retain(|id, _| live.contains(id) || needed.contains(id));
    }

    fn find(&mut self, target: &Target) -> Result<&mut Backend, AdminError> {
        let Some(at) = self.services.iter().position(|s| s.config.name == target.service) else {
            return Err(AdminError::UnknownService {
                service: target.service.clone(),
                known: self.services.iter().map(|s| s.config.name.clone()).collect(),
            });
        };
        let service = &mut self.services[at];
        let Some(at) = service.backends.iter().position(|b| b.name == target.backend) else {
            return Err(AdminError::UnknownBackend {
                service: target.service.clone(),
                backend: target.backend.clone(),
                known: service.backends.iter().map(|b| b.name.clone()).collect(),
            });
        };
        Ok(&mut service.backends[at])
    }
}

/// What was found, as far as it can be: tables are not known, unused and foreign records are left
/// out.
fn adopt(adopted: Adopted) -> Desired {
    let states = [BackendState::Forward as u8, BackendState::Reset as u8];
    let used = |(id, b): &(u16, Record)| {
        (1..MAX_BACKENDS).contains(&u32::from(*id)) && b.service != 0 && states.contains(&b.state)
    };
    let entry = |(key, service): (ServiceKey, _)| Entry { key, service, table: None };
    Desired {
        config: adopted.config.unwrap_or_else(|| Box::new(MapConfig::EMPTY)),
        backends: adopted.backends.into_iter().filter(used).collect(),
        services: adopted
            .services
            .into_iter()
            .map(entry)
            .filter(|e| (1..MAX_SERVICES).contains(&u32::from(e.service.id)))
            .map(|e| (e.service.id, e))
            .collect(),
    }
}

fn log(level: Level, text: String) -> Action {
    Action::Log { level, text }
}
