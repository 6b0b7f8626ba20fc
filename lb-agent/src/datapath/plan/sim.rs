//! The maps as a packet sees them, for replaying writes one by one.

use std::collections::{BTreeSet, HashMap};

use lb_common::{
    backend::{Backend, BackendState},
    config::{Config, filter_bit},
    service::{Service, ServiceKey},
};

use super::{Desired, MapOp, way};
use crate::datapath::maglev::Table;

/// Simulated maps.
#[derive(Clone, Debug)]
pub(crate) struct Maps {
    pub(crate) config: Box<Config>,
    pub(crate) backends: HashMap<u16, Backend>,
    pub(crate) services: HashMap<ServiceKey, Service>,
    pub(crate) tables: HashMap<u16, Table>,
}

impl Maps {
    pub(crate) fn holding(desired: &Desired) -> Self {
        Self {
            config: desired.config.clone(),
            backends: desired.backends.iter().map(|(&id, &b)| (id, b)).collect(),
            services: desired.services.values().map(|e| (e.key, e.service)).collect(),
            tables: desired
                .services
                .iter()
                .filter_map(|(&id, e)| Some((id, e.table.clone()?)))
                .collect(),
        }
    }

    /// Applies one write; panics when the write itself breaks the rules of its map.
    pub(crate) fn apply(&mut self, op: &MapOp) {
        match op {
            MapOp::SetConfig(config) => self.config = config.clone(),
            MapOp::PutBackend { id, backend } => {
                if let Some(before) = self.backends.insert(*id, *backend) {
                    assert_one_change(&before, backend);
                }
            }
            MapOp::ClearBackend { id } => {
                assert!(self.backends.remove(id).is_some(), "{id} was not in use");
            }
            MapOp::ResetBackendStats { id } => {
                assert!(!self.backends.contains_key(id), "counters of {id} are in use");
            }
            MapOp::ResetServiceStats { service } => {
                assert!(self.services.values().all(|s| s.id != *service));
            }
            MapOp::SetMaglev { service, table } => {
                self.tables.insert(*service, table.clone());
            }
            MapOp::ClearMaglev { service } => {
                assert!(self.services.values().all(|s| s.id != *service));
                self.tables.remove(service);
            }
            MapOp::PutService { key, service } => {
                self.services.insert(*key, *service);
            }
            MapOp::DeleteService { key } => {
                assert!(self.services.remove(key).is_some(), "{key:?} was not there");
            }
        }
    }

    /// Whether every packet that comes now is served: between `old` and `new`.
    pub(crate) fn assert_serves(&self, old: &Desired, new: &Desired) {
        for (key, service) in &self.services {
            let bit = filter_bit(&key.vip);
            assert_ne!(
                self.config.vip_filter[bit / 64] >> (bit % 64) & 1,
                0,
                "{key:?} is filtered"
            );
            let Some(table) = self.tables.get(&service.id) else {
                let unknown = old.services.get(&service.id).is_some_and(|e| e.table.is_none());
                assert!(unknown, "service {} has no table", service.id);
                continue;
            };
            let of = |desired: &Desired| {
                desired.services.get(&service.id).is_some_and(|e| e.table.as_ref() == Some(table))
            };
            let unresolved =
                |d: &Desired, id| d.backends.get(id).is_none_or(|b| way(b).ifindex == 0);
            for id in &table.slots.iter().copied().filter(|&id| id != 0).collect::<BTreeSet<_>>() {
                let Some(backend) = self.backends.get(id) else {
                    panic!("service {} names backend {id}, which is unused", service.id);
                };
                assert_eq!(backend.service, service.id, "backend {id} of another service");
                assert_eq!(backend.state, BackendState::Forward as u8, "backend {id} is reset");
                let excused = of(old) && unresolved(old, id) || of(new) && unresolved(new, id);
                assert!(way(backend).ifindex != 0 || excused, "backend {id} has no next hop");
            }
        }
    }

    pub(crate) fn assert_holds(&self, desired: &Desired) {
        let other = Self::holding(desired);
        assert_eq!(self.config, other.config);
        assert_eq!(self.backends, other.backends);
        assert_eq!(self.services, other.services);
        assert_eq!(self.tables, other.tables);
    }
}

/// A reader may see half of a write: it must then see the old record or the new one.
fn assert_one_change(before: &Backend, after: &Backend) {
    assert_eq!(
        (before.address, before.port, before.service),
        (after.address, after.port, after.service)
    );
    let changes = [
        before.state != after.state,
        before.hop != after.hop,
        before.hops[usize::from(before.hop)] != after.hops[usize::from(before.hop)],
    ];
    assert!(changes.iter().filter(|c| **c).count() <= 1, "{before:?} to {after:?} at once");
    assert!(!changes[2], "the next hop in use changed in place: {before:?} to {after:?}");
    let spare = usize::from(before.hop ^ 1);
    assert!(
        before.hop == after.hop || before.hops[spare] == after.hops[spare],
        "the switch to a next hop came with its writing"
    );
}
