//! The maps as a packet sees them, for replaying writes one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lb_common::{
    abi::MAX_BACKENDS,
    backend::{Backend, BackendState},
    config::{Config, filter_bit},
    net::Addr,
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
    pub(crate) vips: BTreeSet<Addr>,
    pub(crate) tables: HashMap<u16, Table>,
    /// Backends named by each of `tables`.
    named: HashMap<u16, Vec<u16>>,
}

impl Maps {
    pub(crate) fn holding(desired: &Desired) -> Self {
        let mut maps = Self {
            config: desired.config.clone(),
            backends: desired.backends.iter().map(|(&id, &b)| (id, b)).collect(),
            services: desired.services.values().map(|e| (e.key, e.service)).collect(),
            vips: desired.services.values().map(|e| e.key.vip).collect(),
            tables: HashMap::new(),
            named: HashMap::new(),
        };
        for (&id, entry) in &desired.services {
            if let Some(table) = &entry.table {
                maps.set_table(id, table);
            }
        }
        maps
    }

    fn set_table(&mut self, service: u16, table: &Table) {
        let mut named = vec![false; MAX_BACKENDS as usize];
        for &id in &table.slots {
            named[usize::from(id)] = true;
        }
        let ids = (1..).zip(&named[1..]).filter(|(_, named)| **named).map(|(id, _)| id);
        self.named.insert(service, ids.collect());
        self.tables.insert(service, table.clone());
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
                self.set_table(*service, table);
            }
            MapOp::ClearMaglev { service } => {
                assert!(self.services.values().all(|s| s.id != *service));
                self.tables.remove(service);
            }
            // After a failed write the maps may know it already.
            MapOp::PutVip { vip } => {
                self.vips.insert(*vip);
            }
            MapOp::DeleteVip { vip } => {
                assert!(self.services.keys().all(|key| key.vip != *vip), "{vip:?} is served");
                assert!(self.vips.remove(vip), "{vip:?} was not known");
            }
            MapOp::PutService { key, service } => {
                assert!(self.vips.contains(&key.vip), "{key:?} has no VIP");
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
            for id in &self.named[&service.id] {
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
        assert_eq!(self.config, desired.config);
        let backends: BTreeMap<_, _> = self.backends.iter().map(|(&id, &b)| (id, b)).collect();
        assert_eq!(backends, desired.backends);
        assert_eq!(self.services.len(), desired.services.len());
        assert_eq!(self.tables.len(), desired.services.len());
        for (id, entry) in &desired.services {
            assert_eq!(self.services.get(&entry.key), Some(&entry.service));
            assert_eq!(self.tables.get(id), entry.table.as_ref());
        }
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
