//! The tables of flows, read.

use std::{os::fd::AsFd, path::Path};

use aya::maps::MapData;
use lb_common::{
    abi::map,
    flow::{FORWARD, Flow, FlowKey},
};

use super::{
    batch,
    error::Error,
    maps::{hash_table, open_pinned},
    pins::Pins,
};

/// Handles to both tables.
pub struct Flows {
    conns: MapData,
    embryo: MapData,
}

/// Which table an entry was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `conns`.
    Established,
    /// `embryo`: half open, or just closed.
    HalfOpen,
}

impl Flows {
    /// Opens the pinned maps.
    pub fn open(pin_dir: &Path) -> Result<Self, Error> {
        let pins = Pins::at(pin_dir);
        let get = |name| hash_table(name, open_pinned(&pins, pin_dir, name)?);
        Ok(Self { conns: get(map::CONNS)?, embryo: get(map::EMBRYO)? })
    }

    /// Calls `each` for every entry of a table, both directions.
    pub fn entries(&self, table: Table, each: impl FnMut(&FlowKey, &Flow)) -> Result<(), Error> {
        let (name, data) = match table {
            Table::Established => (map::CONNS, &self.conns),
            Table::HalfOpen => (map::EMBRYO, &self.embryo),
        };
        batch::walk(data.fd().as_fd(), each).map_err(|source| Error::Walk { name, source })
    }

    /// Calls `each` for every flow, by its forward entry.
    pub fn forward(
        &self,
        table: Table,
        mut each: impl FnMut(&FlowKey, &Flow),
    ) -> Result<(), Error> {
        self.entries(table, |key, flow| {
            if flow.direction == FORWARD {
                each(key, flow);
            }
        })
    }
}
