//! The maps as the agent writes them: one [`MapOp`] is one write.

use std::{collections::BTreeMap, os::fd::AsFd, path::Path};

use aya::{
    Ebpf, Pod,
    maps::{
        Array, ArrayOfMaps, HashMap, IterableMap, Map, MapData, MapError, PerCpuArray, PerCpuValues,
    },
    util::nr_cpus,
};
use lb_common::{
    abi::map,
    backend::Backend,
    config::Config,
    counter::Traffic,
    maglev::MaglevTable,
    service::{Service, ServiceKey},
};

use super::{batch, error::Error, pins::Pins, plan::MapOp};

/// Handles to the maps that the agent writes.
pub struct Maps {
    services: HashMap<MapData, ServiceKey, Service>,
    maglev: ArrayOfMaps<MapData, Array<MapData, MaglevTable>>,
    backends: Array<MapData, Backend>,
    config: Array<MapData, Config>,
    backend_stats: PerCpuArray<MapData, Traffic>,
    service_stats: PerCpuArray<MapData, Traffic>,
    conns: MapData,
}

/// What the maps hold.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The value of `config`.
    pub config: Config,
    /// The services in `services`.
    pub services: Vec<(ServiceKey, Service)>,
    /// The used records of `backends`.
    pub backends: Vec<(u16, Backend)>,
}

impl Maps {
    /// Takes the handles out of a loaded object.
    pub fn take(object: &mut Ebpf) -> Result<Self, Error> {
        Self::collect(|name| object.take_map(name).ok_or(Error::NoMap { name }))
    }

    /// Opens the pinned maps.
    pub fn open(pin_dir: &Path) -> Result<Self, Error> {
        let pins = Pins::at(pin_dir);
        Self::collect(|name| open_pinned(&pins, pin_dir, name))
    }

    fn collect(mut get: impl FnMut(&'static str) -> Result<Map, Error>) -> Result<Self, Error> {
        Ok(Self {
            services: typed(map::SERVICES, get(map::SERVICES)?)?,
            maglev: typed(map::MAGLEV, get(map::MAGLEV)?)?,
            backends: typed(map::BACKENDS, get(map::BACKENDS)?)?,
            config: typed(map::CONFIG, get(map::CONFIG)?)?,
            backend_stats: typed(map::BACKEND_STATS, get(map::BACKEND_STATS)?)?,
            service_stats: typed(map::SERVICE_STATS, get(map::SERVICE_STATS)?)?,
            conns: hash_table(map::CONNS, get(map::CONNS)?)?,
        })
    }

    /// Entries that `conns` can hold, two for each flow.
    pub fn conns_capacity(&self) -> Result<u32, Error> {
        self.conns
            .info()
            .map(|i| i.max_entries())
            .map_err(|source| Error::Map { name: map::CONNS, source })
    }

    /// Does the writes in order and stops at the first that fails.
    pub fn apply(&mut self, ops: &[MapOp]) -> Result<(), Error> {
        ops.iter().try_for_each(|op| self.write(op))
    }

    fn write(&mut self, op: &MapOp) -> Result<(), Error> {
        let (name, result) = match op {
            MapOp::SetConfig(config) => (map::CONFIG, self.config.set(0, **config, 0)),
            MapOp::PutBackend { id, backend } => {
                (map::BACKENDS, self.backends.set(u32::from(*id), backend, 0))
            }
            MapOp::ClearBackend { id } => {
                (map::BACKENDS, self.backends.set(u32::from(*id), Backend::default(), 0))
            }
            MapOp::ResetBackendStats { id } => {
                (map::BACKEND_STATS, zero(&mut self.backend_stats, *id))
            }
            MapOp::ResetServiceStats { service } => {
                (map::SERVICE_STATS, zero(&mut self.service_stats, *service))
            }
            MapOp::SetMaglev { service, table } => (map::MAGLEV, self.swap(*service, table)),
            MapOp::ClearMaglev { service } => (map::MAGLEV, self.swap(*service, &EMPTY_TABLE)),
            MapOp::PutVip { vip } => {
                let known = Service { id: 0, flags: 0, when_no_backend: 0 };
                (map::SERVICES, self.services.insert(ServiceKey::vip(*vip), known, 0))
            }
            MapOp::DeleteVip { vip } => {
                (map::SERVICES, gone(self.services.remove(&ServiceKey::vip(*vip))))
            }
            MapOp::PutService { key, service } => {
                (map::SERVICES, self.services.insert(key, service, 0))
            }
            MapOp::DeleteService { key } => (map::SERVICES, gone(self.services.remove(key))),
        };
        result.map_err(|source| Error::Map { name, source })
    }

    /// The kernel waits for running programs before the call returns: afterwards no packet uses
    /// the old table.
    fn swap(&mut self, service: u16, table: &MaglevTable) -> Result<(), MapError> {
        let mut inner = Array::<MapData, MaglevTable>::create(1, 0)?;
        inner.set(0, table, 0)?;
        self.maglev.set(u32::from(service), &inner, 0)
    }

    /// Reads back what the maps hold.
    pub fn contents(&self) -> Result<Contents, Error> {
        let wrong = |name| move |source| Error::Map { name, source };
        let config = self.config.get(&0, 0).map_err(wrong(map::CONFIG))?;
        let services = self
            .services
            .iter()
            .filter(|found| found.as_ref().map_or(true, |(_, service)| service.id != 0))
            .collect::<Result<Vec<_>, _>>()
            .map_err(wrong(map::SERVICES))?;
        let backends = self.backends()?.into_iter().collect();
        Ok(Contents { config, services, backends })
    }

    /// The used records of `backends` by id, fetched in one system call.
    pub fn backends(&self) -> Result<BTreeMap<u16, Backend>, Error> {
        let mut used = BTreeMap::new();
        batch::walk(self.backends.map().fd().as_fd(), |&id: &u32, backend: &Backend| {
            if backend.service != 0
                && let Ok(id @ 1..) = u16::try_from(id)
            {
                used.insert(id, *backend);
            }
        })
        .map_err(|source| Error::Walk { name: map::BACKENDS, source })?;
        Ok(used)
    }
}

/// A table without backends.
static EMPTY_TABLE: MaglevTable = MaglevTable { slots: [0; lb_common::maglev::SLOTS] };

/// Opens one pinned map.
pub(super) fn open_pinned(pins: &Pins, pin_dir: &Path, name: &'static str) -> Result<Map, Error> {
    let path = pins.map(name);
    if !path.try_exists().unwrap_or(false) {
        return Err(Error::NothingPinned { path: pin_dir.to_path_buf() });
    }
    MapData::from_pin(path)
        .and_then(Map::from_map_data)
        .map_err(|source| Error::Map { name, source })
}

/// The bare handle of a hash table, for walking it.
pub(super) fn hash_table(name: &'static str, map: Map) -> Result<MapData, Error> {
    match map {
        Map::HashMap(data) | Map::LruHashMap(data) => Ok(data),
        _ => Err(Error::NoMap { name }),
    }
}

/// A handle of the right type.
pub(super) fn typed<T>(name: &'static str, map: Map) -> Result<T, Error>
where
    T: TryFrom<Map, Error = MapError>,
{
    T::try_from(map).map_err(|source| Error::Map { name, source })
}

fn zero<T: Pod + Default>(map: &mut PerCpuArray<MapData, T>, id: u16) -> Result<(), MapError> {
    let cpus = nr_cpus().map_err(|(_, io_error)| MapError::IoError(io_error))?;
    let values = PerCpuValues::try_from(vec![T::default(); cpus]).map_err(MapError::IoError)?;
    map.set(u32::from(id), values, 0)
}

/// Deleting what is not there is as good.
pub(super) fn gone(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}
