//! Until when this node may claim each VIP: the map by which the XDP program lets ARP requests and
//! neighbour solicitations through or not.

use std::{net::IpAddr, path::Path};

use aya::maps::{HashMap, MapData, MapError};
use lb_common::{
    abi::map,
    lease::{Lease, LeaseKey},
};

use super::{
    error::Error,
    maps::{gone, open_pinned, typed},
    pins::Pins,
};
use crate::vrrp::time::Time;

/// The deadline of a lease that never ends.
pub const FOR_EVER: Time = Time::from_nanos(Lease::FOR_EVER);
/// The deadline of a lease that was over before it began.
pub const NEVER: Time = Time::from_nanos(Lease::NEVER);

/// The pinned map of leases. They outlive the agent: whoever starts must remove those of VIPs that
/// no virtual router holds any more, or nobody will find them here.
#[derive(Debug)]
pub struct Leases {
    map: HashMap<MapData, LeaseKey, Lease>,
}

impl Leases {
    /// Opens the pinned map.
    ///
    /// # Errors
    /// [`Error::NothingPinned`] before the data plane was ever loaded.
    pub fn open(pin_dir: &Path) -> Result<Self, Error> {
        let map = open_pinned(&Pins::at(pin_dir), pin_dir, map::LEASES)?;
        Ok(Self { map: typed(map::LEASES, map)? })
    }

    /// Lets this node claim `vip` before `deadline` and not from then on. [`FOR_EVER`] and
    /// [`NEVER`] are deadlines as well. `sequence` is AH's, for the agent's next run.
    ///
    /// One system call, no allocation: the map's elements are preallocated too.
    ///
    /// # Errors
    /// Among the kernel's: `E2BIG` when [`MAX_VIPS`](lb_common::abi::MAX_VIPS) have a lease.
    pub fn set(&mut self, vip: IpAddr, deadline: Time, sequence: u32) -> Result<(), Error> {
        let lease = Lease { deadline: deadline.as_nanos(), sequence, pad: 0 };
        self.map.insert(key(vip), lease, 0).map_err(failed)
    }

    /// The deadline of a VIP, and AH's last sequence number; `None` = it has no lease and is claimed always.
    ///
    /// # Errors
    /// The kernel's, which are not to be expected.
    pub fn get(&self, vip: IpAddr) -> Result<Option<(Time, u32)>, Error> {
        match self.map.get(&key(vip), 0) {
            Ok(lease) => Ok(Some((Time::from_nanos(lease.deadline), lease.sequence))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// Lets this node claim `vip` always; it may have no lease already.
    ///
    /// # Errors
    /// The kernel's, which are not to be expected.
    pub fn remove(&mut self, vip: IpAddr) -> Result<(), Error> {
        gone(self.map.remove(&key(vip))).map_err(failed)
    }

    /// Every VIP with a lease, in no order.
    ///
    /// # Errors
    /// The kernel's, which are not to be expected.
    pub fn all(&self) -> Result<Vec<(IpAddr, Time)>, Error> {
        let told = |(key, lease): (LeaseKey, Lease)| {
            (IpAddr::from(key.vip), Time::from_nanos(lease.deadline))
        };
        self.map.iter().map(|found| found.map(told).map_err(failed)).collect()
    }
}

fn key(vip: IpAddr) -> LeaseKey {
    LeaseKey { vip: vip.into() }
}

fn failed(source: MapError) -> Error {
    Error::Map { name: map::LEASES, source }
}
