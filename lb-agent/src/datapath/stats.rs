//! Counters, summed over CPUs, straight from the pinned maps: they can be read while no agent
//! runs.

use std::{collections::BTreeMap, path::Path};

use aya::maps::{MapData, MapError, PerCpuArray};
use lb_common::{
    abi::map,
    counter::{Counter, Traffic},
    reason::Reason,
};

use super::{
    error::Error,
    maps::{open_pinned, typed},
    pins::Pins,
};

/// Handles to the counters.
pub struct Stats {
    backends: PerCpuArray<MapData, Traffic>,
    services: PerCpuArray<MapData, Traffic>,
    reasons: PerCpuArray<MapData, Counter>,
}

impl Stats {
    /// Opens the pinned maps.
    pub fn open(pin_dir: &Path) -> Result<Self, Error> {
        let pins = Pins::at(pin_dir);
        let get = |name| open_pinned(&pins, pin_dir, name);
        Ok(Self {
            backends: typed(map::BACKEND_STATS, get(map::BACKEND_STATS)?)?,
            services: typed(map::SERVICE_STATS, get(map::SERVICE_STATS)?)?,
            reasons: typed(map::DROP_STATS, get(map::DROP_STATS)?)?,
        })
    }

    /// Counters of a backend id.
    pub fn backend(&self, id: u16) -> Result<Traffic, Error> {
        traffic(map::BACKEND_STATS, &self.backends, id)
    }

    /// Counters of a service id.
    pub fn service(&self, id: u16) -> Result<Traffic, Error> {
        traffic(map::SERVICE_STATS, &self.services, id)
    }

    /// Packets and frame bytes of each reason.
    pub fn reasons(&self) -> Result<BTreeMap<Reason, Counter>, Error> {
        let mut sums = BTreeMap::new();
        for &reason in Reason::ALL {
            let sum = match self.reasons.get(&(reason as u32), 0) {
                Ok(values) => values.iter().fold(Counter::default(), |sum, c| Counter {
                    packets: sum.packets.wrapping_add(c.packets),
                    bytes: sum.bytes.wrapping_add(c.bytes),
                }),
                // Pinned before this reason was thought of: nothing is counted there.
                Err(MapError::OutOfBounds { .. }) => Counter::default(),
                Err(source) => return Err(Error::Map { name: map::DROP_STATS, source }),
            };
            sums.insert(reason, sum);
        }
        Ok(sums)
    }
}

fn traffic(
    name: &'static str,
    map: &PerCpuArray<MapData, Traffic>,
    id: u16,
) -> Result<Traffic, Error> {
    let values = map.get(&u32::from(id), 0).map_err(|source| Error::Map { name, source })?;
    Ok(values.iter().fold(Traffic::default(), Traffic::plus))
}
