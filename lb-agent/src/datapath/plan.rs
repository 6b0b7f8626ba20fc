//! What the maps should hold, and the order of writes that leads there.
//!
//! A packet may come between any two writes, so each prefix of the list must be a data plane that
//! works: a service's table never names a backend that cannot take a packet. What helps comes
//! first (a wider filter, usable backends), then the tables, then what harms.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use lb_common::{
    backend::{Backend, BackendState, NextHop},
    config::Config,
    service::{Service, ServiceKey},
};

use super::maglev::Table;

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;

/// What the maps should hold, or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The single value of `config`.
    pub config: Box<Config>,
    /// `backends` by id.
    pub backends: BTreeMap<u16, Backend>,
    /// `services` and `maglev` by service id.
    pub services: BTreeMap<u16, Entry>,
}

/// One service's entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where clients find it.
    pub key: ServiceKey,
    /// Its value; the id is the entry's own.
    pub service: Service,
    /// Its table. `None` = not known (maps found at start): it differs from every table.
    pub table: Option<Table>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapOp {
    /// Writes `config`.
    SetConfig(Box<Config>),
    /// Writes a whole record. Of a record in use, only bytes without meaning (the next hop not
    /// named by `hop`) or one byte with meaning change at a time.
    PutBackend {
        /// Index in `backends`.
        id: u16,
        /// The record.
        backend: Backend,
    },
    /// Zeroes a record: the id is unused from here on.
    ClearBackend {
        /// Index in `backends`.
        id: u16,
    },
    /// Zeroes the counters of an id that is about to be used anew.
    ResetBackendStats {
        /// Index in `backend_stats`.
        id: u16,
    },
    /// Zeroes the counters of an id that is about to be used anew.
    ResetServiceStats {
        /// Index in `service_stats`.
        service: u16,
    },
    /// Swaps a service's table for this one.
    SetMaglev {
        /// Index in `maglev`.
        service: u16,
        /// The new table.
        table: Table,
    },
    /// Removes a service's table.
    ClearMaglev {
        /// Index in `maglev`.
        service: u16,
    },
    /// Writes `services`.
    PutService {
        /// Where clients find it.
        key: ServiceKey,
        /// The value.
        service: Service,
    },
    /// Deletes from `services`.
    DeleteService {
        /// Where clients found it.
        key: ServiceKey,
    },
}

impl Desired {
    /// Empty maps.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            config: Box::new(Config::EMPTY),
            backends: BTreeMap::new(),
            services: BTreeMap::new(),
        }
    }
}

/// The writes that lead from `old` to `new`, in order.
///
/// While an id is in use it keeps its identity: a backend its service, address and port, a
/// service its key. (State frees ids in one step and takes them in a later one.)
#[must_use]
pub fn diff(old: &Desired, new: &Desired) -> Vec<MapOp> {
    let mut ops = Vec::new();
    let wide = widened(&old.config, &new.config);
    if wide != old.config {
        ops.push(MapOp::SetConfig(wide.clone()));
    }
    delete_services(old, new, &mut ops);
    let (first, last): (Vec<_>, Vec<_>) =
        new.backends.iter().partition(|(id, backend)| helps(old.backends.get(id), backend));
    for (&id, backend) in first {
        put_backend(id, old.backends.get(&id), backend, &mut ops);
    }
    publish_services(old, new, &mut ops);
    let gone = old.services.keys().filter(|id| !new.services.contains_key(id));
    ops.extend(gone.map(|&service| MapOp::ClearMaglev { service }));
    for (&id, backend) in last {
        put_backend(id, old.backends.get(&id), backend, &mut ops);
    }
    let gone = old.backends.keys().filter(|id| !new.backends.contains_key(id));
    ops.extend(gone.map(|&id| MapOp::ClearBackend { id }));
    if wide != new.config {
        ops.push(MapOp::SetConfig(new.config.clone()));
    }
    ops
}

/// The new configuration with the old VIPs too: their packets are still ours while the services
/// are being deleted.
fn widened(old: &Config, new: &Config) -> Box<Config> {
    let mut wide = Box::new(*new);
    for (word, old) in wide.vip_filter.iter_mut().zip(&old.vip_filter) {
        *word |= old;
    }
    wide
}

fn delete_services(old: &Desired, new: &Desired, ops: &mut Vec<MapOp>) {
    for (id, entry) in &old.services {
        if new.services.get(id).is_none_or(|kept| kept.key != entry.key) {
            ops.push(MapOp::DeleteService { key: entry.key });
        }
    }
}

/// The table before the service, so that no packet finds a service without a table.
fn publish_services(old: &Desired, new: &Desired, ops: &mut Vec<MapOp>) {
    for (&id, entry) in &new.services {
        let before = old.services.get(&id);
        if before.is_none() {
            ops.push(MapOp::ResetServiceStats { service: id });
        }
        if let Some(table) = &entry.table
            && before.and_then(|b| b.table.as_ref()) != Some(table)
        {
            ops.push(MapOp::SetMaglev { service: id, table: table.clone() });
        }
        if before.is_none_or(|b| b.key != entry.key || b.service != entry.service) {
            ops.push(MapOp::PutService { key: entry.key, service: entry.service });
        }
    }
}

/// Whether the change goes before the tables, because a new table may count on it; otherwise an
/// old table may count on its being late.
fn helps(old: Option<&Backend>, new: &Backend) -> bool {
    let forwards = |b: &Backend| b.state == BackendState::Forward as u8;
    let resolved = |b: &Backend| way(b).ifindex != 0;
    forwards(new) && (resolved(new) || !old.is_some_and(|b| forwards(b) && resolved(b)))
}

/// The next hop that the record names.
fn way(backend: &Backend) -> NextHop {
    backend.hops[usize::from(backend.hop & 1)]
}

fn put_backend(id: u16, old: Option<&Backend>, new: &Backend, ops: &mut Vec<MapOp>) {
    let Some(old) = old else {
        ops.push(MapOp::ResetBackendStats { id });
        ops.push(MapOp::PutBackend { id, backend: *new });
        return;
    };
    let mut now = *old;
    let mut put = |backend: Backend| ops.push(MapOp::PutBackend { id, backend });
    if way(&now) != way(new) {
        let spare = (now.hop & 1) ^ 1;
        if now.hops[usize::from(spare)] != way(new) {
            now.hops[usize::from(spare)] = way(new);
            put(now);
        }
        now.hop = spare;
        put(now);
    }
    if now.hop != new.hop {
        // Both elements hold the same next hop before the switch to the other.
        if now.hops != [way(new); 2] {
            now.hops = [way(new); 2];
            put(now);
        }
        now.hop = new.hop;
        put(now);
    }
    if now.hops != new.hops {
        now.hops = new.hops;
        put(now);
    }
    if now != *new {
        put(*new);
    }
}
