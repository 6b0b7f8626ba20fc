//! From one configuration to the next: who stays, who is new, who is gone.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{MAX_BACKENDS, MAX_SERVICES};

use super::{
    Retired, State,
    backend::{Backend, steer},
    service::{Service, key},
};
use crate::{
    agent::event::{Action, Refused, StartCheck},
    config::{self, Config},
    health::Target,
};

/// The next services, while they are put together; the state is only read.
struct Draft<'a> {
    state: &'a State,
    service_ids: BTreeSet<u16>,
    backend_ids: BTreeSet<u16>,
}

impl State {
    /// Takes over a configuration, or changes nothing.
    pub(super) fn reload(&mut self, config: &Config) -> Result<Vec<Action>, Refused> {
        let services = Draft::new(self).services(config)?;
        let checks = checks(&self.services);
        let live: BTreeSet<_> = services.iter().flat_map(|s| &s.backends).map(|b| b.id).collect();
        let before = std::mem::replace(&mut self.services, services);
        let gone = before.into_iter().flat_map(|s| s.backends).filter(|b| !live.contains(&b.id));
        self.retired.extend(gone.map(|b| (b.id, Retired { record: b.record, quiet: 0 })));
        self.retired.retain(|id, _| !live.contains(id));
        self.keys.extend(self.services.iter().map(|s| (s.id, key(&s.config))));
        self.forget_services();
        self.node.clone_from(&config.node.name);
        let routed = config.vrrp.iter().flat_map(config::vrrp::Vrrp::held);
        self.routed = routed.map(|held| held.address).collect();

        let mut actions = self.replan();
        let wanted = self::checks(&self.services);
        let stopped = checks.iter().filter(|(target, check)| wanted.get(target) != Some(check));
        actions.extend(stopped.map(|(target, _)| Action::StopCheck { target: target.clone() }));
        let started = wanted.iter().filter(|(target, check)| checks.get(target) != Some(check));
        actions.extend(started.map(|(_, check)| Action::StartCheck(check.clone())));
        Ok(actions)
    }
}

/// Every check that should run.
fn checks(services: &[Service]) -> BTreeMap<Target, Box<StartCheck>> {
    let mut checks = BTreeMap::new();
    for service in services {
        for backend in &service.backends {
            let target =
                Target { service: service.config.name.clone(), backend: backend.name.clone() };
            let check = StartCheck {
                target: target.clone(),
                check: service.config.check.clone(),
                address: backend.address(),
                port: service.config.check.port.unwrap_or_else(|| backend.record.port.get()),
            };
            checks.insert(target, Box::new(check));
        }
    }
    checks
}

impl<'a> Draft<'a> {
    fn new(state: &'a State) -> Self {
        let live = state.services.iter().flat_map(|s| &s.backends).map(|b| b.id);
        let needed = state.retired.values().map(|r| r.record.service);
        Self {
            state,
            service_ids: state.keys.keys().copied().chain(needed).collect(),
            backend_ids: live.chain(state.retired.keys().copied()).collect(),
        }
    }

    fn services(mut self, config: &Config) -> Result<Vec<Service>, Refused> {
        config.services.iter().map(|service| self.service(service)).collect()
    }

    fn service(&mut self, config: &config::Service) -> Result<Service, Refused> {
        let key = key(config);
        let known = self.state.keys.iter().find(|(_, k)| **k == key);
        let id = match known {
            Some((&id, _)) => id,
            None => take(&mut self.service_ids, MAX_SERVICES)
                .ok_or_else(|| Refused::ServiceIds { service: config.name.clone() })?,
        };
        let before = self.state.services.iter().find(|s| s.id == id);
        let backends = config
            .backends
            .iter()
            .map(|backend| self.backend(id, before, config, backend))
            .collect::<Result<_, _>>()?;
        Ok(match before {
            Some(before) => before.renewed(config.clone(), backends),
            None => Service::new(id, config.clone(), backends),
        })
    }

    fn backend(
        &mut self,
        service: u16,
        before: Option<&Service>,
        config: &config::Service,
        backend: &config::Backend,
    ) -> Result<Backend, Refused> {
        let check = &config.check;
        let same = |address, port| address == backend.address.into() && port == backend.port;
        let mut live = before.into_iter().flat_map(|s| s.backends.iter().map(move |b| (s, b)));
        if let Some((s, b)) = live.find(|(_, b)| same(b.record.address, b.record.port.get())) {
            return Ok(b.renewed(&s.config.check, backend, check));
        }
        let found = self.state.retired.iter().find(|(_, r)| {
            r.record.service == service && same(r.record.address, r.record.port.get())
        });
        if let Some((&id, retired)) = found {
            return Ok(Backend::revived(id, retired.record, backend, check));
        }
        let id = take(&mut self.backend_ids, MAX_BACKENDS).ok_or_else(|| Refused::BackendIds {
            service: config.name.clone(),
            backend: backend.name.clone(),
            retired: self.state.retired.len(),
        })?;
        let mut new = Backend::fresh(id, service, backend, check);
        if let Some(&hop) = self.state.hops.get(&backend.address) {
            steer(&mut new.record, hop);
        }
        Ok(new)
    }
}

/// The lowest free id, 1..limit.
fn take(taken: &mut BTreeSet<u16>, limit: u32) -> Option<u16> {
    let id = (1..).zip(1..limit).map(|(id, _)| id).find(|id| !taken.contains(id))?;
    taken.insert(id);
    Some(id)
}
