//! One service: who is in rotation, and what the maps should hold of it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use lb_common::{
    backend::BackendState,
    net::{Be16, proto},
    service::{NoBackend, Service as Record, ServiceKey, service_flags},
};

use super::backend::{Backend, way};
use crate::{
    config::{self, Affinity, OnBackendDown, Protocol, WhenNoBackend},
    datapath::{
        maglev::{Member, Table},
        plan::Entry,
    },
    health::tracker::State as Health,
};

/// A configured service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) id: u16,
    pub(super) config: config::Service,
    /// In the order of `config.backends`.
    pub(super) backends: Vec<Backend>,
    members: Vec<Member>,
    /// Always [`Table::build`] of `members`.
    table: Table,
}

/// What decides about one backend's place in the rotation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Not drained, not in maintenance, with a weight.
    pub(super) open: bool,
    pub(super) health: Health,
    /// Whether the way to it is known.
    pub(super) resolved: bool,
}

impl Service {
    pub(super) fn new(id: u16, config: config::Service, backends: Vec<Backend>) -> Self {
        Self { id, config, backends, members: Vec::new(), table: Table::build(&[]) }
    }

    /// The same service under a new configuration, with its table as it stands.
    pub(super) fn renewed(&self, config: config::Service, backends: Vec<Backend>) -> Self {
        let (members, table) = (self.members.clone(), self.table.clone());
        Self { id: self.id, config, backends, members, table }
    }

    /// Decides who is in rotation and whose flows are reset. Returns whether there is somebody
    /// now, if there was nobody before, and the other way round.
    pub(super) fn settle(&mut self) -> Option<bool> {
        let candidates: Vec<_> = self
            .backends
            .iter()
            .map(|b| Candidate {
                open: b.is_open(),
                health: b.tracker.state(),
                resolved: way(&b.record).ifindex != 0,
            })
            .collect();
        let try_all = self.config.when_no_backend == WhenNoBackend::TryAll;
        let resets = self.config.on_backend_down == OnBackendDown::Reset;
        for (backend, in_rotation) in self.backends.iter_mut().zip(rotation(&candidates, try_all)) {
            backend.in_rotation = in_rotation;
            let reset = resets && !in_rotation && backend.is_dead();
            backend.record.state =
                if reset { BackendState::Reset as u8 } else { BackendState::Forward as u8 };
        }
        let members: Vec<_> = self.backends.iter().filter(|b| b.in_rotation).map(member).collect();
        let before = !self.members.is_empty();
        if members != self.members {
            self.table = Table::build(&members);
            self.members = members;
        }
        let after = !self.members.is_empty();
        (before != after).then_some(after)
    }

    /// What `services` and `maglev` should hold.
    pub(super) fn entry(&self) -> Entry {
        let flags = match self.config.affinity {
            Affinity::Connection => 0,
            Affinity::Client => service_flags::AFFINITY_CLIENT,
        };
        let when_no_backend = match self.config.when_no_backend {
            WhenNoBackend::Reject | WhenNoBackend::TryAll => NoBackend::Reject,
            WhenNoBackend::Drop => NoBackend::Drop,
        };
        Entry {
            key: key(&self.config),
            service: Record { id: self.id, flags, when_no_backend: when_no_backend as u8 },
            table: Some(self.table.clone()),
        }
    }
}

/// Where clients find a service.
pub(super) fn key(config: &config::Service) -> ServiceKey {
    let proto = match config.protocol {
        Protocol::Tcp => proto::TCP,
        Protocol::Udp => proto::UDP,
    };
    ServiceKey::new(config.vip.into(), Be16::new(config.port), proto)
}

fn member(backend: &Backend) -> Member {
    Member {
        address: backend.record.address,
        port: backend.record.port.get(),
        weight: backend.weight(),
        id: backend.id,
    }
}

/// Who gets new connections.
///
/// Those seen up. While nobody is, those of which nothing is known: a starting agent does not
/// refuse. When all are known down, nobody, or with `when_no_backend = "try-all"` everybody. One
/// without a next hop waits, unless that holds for all: then the loss shows in its counter.
pub(super) fn rotation(candidates: &[Candidate], try_all: bool) -> Vec<bool> {
    let any = |health| candidates.iter().any(|c| c.open && c.health == health);
    let sought = [Health::Up, Health::Unknown].into_iter().find(|&health| any(health));
    let chosen = |c: &Candidate| c.open && sought.map_or(try_all, |health| c.health == health);
    let any_resolved = candidates.iter().any(|c| chosen(c) && c.resolved);
    candidates.iter().map(|c| chosen(c) && (c.resolved || !any_resolved)).collect()
}
