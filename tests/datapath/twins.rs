//! The program and the model side by side: configured alike, given the same packets, compared.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use lb_common::{
    backend::{Backend, BackendState, NextHop},
    config::{Config, filter_bit},
    flow::{Flow, FlowKey},
    maglev::{MaglevTable, SLOTS},
    net::{Addr, Be16, MacAddr, proto},
    reason::Reason,
    service::{NoBackend, Service, ServiceKey, service_flags},
};
use lb_tests::{
    datapath::{Datapath, Flows, INGRESS},
    model::{Entry, Model, Step},
    packet::{hex, verify},
};

use super::scene::{BACKEND_MAC, OWN_BACK_MAC, OWN_MAC};

const CAPACITY: u32 = 96;
const REDIRECT: u32 = 77;
const NO_EGRESS: u32 = 99;

/// A service of the differential test.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) vip: Addr,
    pub(crate) id: u16,
    pub(crate) proto: u8,
    pub(crate) port: u16,
    /// Its backends have the ids `first..first + backends`.
    first: u16,
    backends: u16,
}

/// Both implementations.
pub(crate) struct Twins {
    dp: Datapath,
    pub(crate) model: Model,
    pub(crate) specs: Vec<Spec>,
}

/// The VIPs, one of each family.
pub(crate) const VIPS: [Addr; 2] = [
    Addr::v4([198, 51, 100, 50]),
    Addr::v6([0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50]),
];

fn specs() -> Vec<Spec> {
    let mut specs = Vec::new();
    for (vip, base) in VIPS.into_iter().zip([0, 100]) {
        for (id, proto, port, first, backends) in [
            (1, proto::TCP, 6443, 1, 3),
            (2, proto::UDP, 53, 4, 2),
            (3, proto::TCP, 16_443, 6, 2),
            (4, proto::TCP, 7000, 8, 1),
            (5, proto::TCP, 7001, 9, 0),
        ] {
            specs.push(Spec { vip, id: base + id, proto, port, first: base + first, backends });
        }
    }
    specs
}

impl Spec {
    fn key(&self) -> ServiceKey {
        ServiceKey::new(self.vip, Be16::new(self.port), self.proto)
    }

    pub(crate) fn backend_ids(&self) -> impl Iterator<Item = u16> + use<> {
        self.first..self.first + self.backends
    }
}

impl Twins {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let model = Model::new(INGRESS, CAPACITY as usize);
        let mut twins = Self { dp: Datapath::load(CAPACITY)?, model, specs: specs() };
        twins.dp.add_egress(REDIRECT, INGRESS)?;
        twins.model.egress.insert(REDIRECT);
        twins.model.now = twins.dp.now()?;
        twins.model.own_macs = vec![OWN_MAC, OWN_BACK_MAC];
        twins.model.vips = VIPS.to_vec();
        let mut config = Config::EMPTY;
        config.own_macs[0] = OWN_MAC.to_u64();
        config.own_macs[1] = OWN_BACK_MAC.to_u64();
        for vip in VIPS {
            let bit = filter_bit(&vip);
            config.vip_filter[bit / 64] |= 1 << (bit % 64);
            let service = Service { id: 0, flags: 0, when_no_backend: 0 };
            twins.dp.services.insert(ServiceKey::vip(vip), service, 0)?;
        }
        twins.dp.set_config(&config)?;
        for spec in twins.specs.clone() {
            twins.set_service(&spec, spec.id % 100 == 3, spec.id % 100 != 3)?;
            twins.set_table(&spec, u16::MAX)?;
            for id in spec.backend_ids() {
                twins.set_backend(id, fresh_backend(&spec, id))?;
            }
        }
        Ok(twins)
    }

    pub(crate) fn set_service(
        &mut self,
        spec: &Spec,
        sticky: bool,
        reject: bool,
    ) -> anyhow::Result<()> {
        let service = Service {
            id: spec.id,
            flags: if sticky { service_flags::AFFINITY_CLIENT } else { 0 },
            when_no_backend: if reject { NoBackend::Reject } else { NoBackend::Drop } as u8,
        };
        self.model.services.insert(spec.key(), service);
        Ok(self.dp.services.insert(spec.key(), service, 0)?)
    }

    /// A table of the backends whose bit is set in `mask`.
    pub(crate) fn set_table(&mut self, spec: &Spec, mask: u16) -> anyhow::Result<()> {
        let ids: Vec<u16> =
            spec.backend_ids().filter(|id| mask >> (id - spec.first) & 1 == 1).collect();
        let mut table = MaglevTable { slots: [0; SLOTS] };
        for (i, slot) in table.slots.iter_mut().enumerate() {
            *slot = ids.get(i % ids.len().max(1)).copied().unwrap_or(0);
        }
        self.dp.set_maglev(spec.id, &table)?;
        self.model.tables.insert(spec.id, table.slots.to_vec());
        Ok(())
    }

    pub(crate) fn set_backend(&mut self, id: u16, backend: Backend) -> anyhow::Result<()> {
        self.dp.backends.set(u32::from(id), backend, 0)?;
        self.model.backends.insert(id, backend);
        Ok(())
    }

    /// Lets both claim a VIP before `deadline`, or always. A deadline must not come while the test
    /// runs.
    pub(crate) fn set_lease(&mut self, vip: Addr, deadline: Option<u64>) -> anyhow::Result<()> {
        match deadline {
            Some(deadline) => self.model.leases.insert(vip, deadline),
            None => self.model.leases.remove(&vip),
        };
        self.dp.set_lease(vip, deadline)
    }

    /// Removes an entry from one of the tables, as the LRU or another program might.
    pub(crate) fn evict(&mut self, key: &FlowKey, established: bool) -> anyhow::Result<()> {
        let (table, map) = if established {
            (&mut self.model.conns, &mut self.dp.conns)
        } else {
            (&mut self.model.embryo, &mut self.dp.embryo)
        };
        if table.remove(key).is_some() {
            map.remove(key).context("the model has an entry that the map has not")?;
        }
        Ok(())
    }

    /// Stores an entry in one of the tables.
    pub(crate) fn store(
        &mut self,
        key: FlowKey,
        flow: &Flow,
        established: bool,
    ) -> anyhow::Result<()> {
        let (table, map) = if established {
            (&mut self.model.conns, &mut self.dp.conns)
        } else {
            (&mut self.model.embryo, &mut self.dp.embryo)
        };
        if table.contains_key(&key) || (established && table.len() == CAPACITY as usize) {
            return Ok(());
        }
        let entry = Entry::from_flow(flow);
        map.insert(key, entry.to_flow(&key), 0)?;
        table.insert(key, entry);
        Ok(())
    }

    pub(crate) fn reap(&mut self, keys: &[FlowKey]) -> anyhow::Result<()> {
        let now = self.dp.reap(&[], 0)?.jiffies;
        let removed = self.dp.reap(keys, now.wrapping_add(1000))?.removed;
        let wanted = self.model.reap(keys);
        ensure!(removed == wanted, "reap removed {removed} flows instead of {wanted}");
        Ok(())
    }

    /// Both judge a packet; what came of it. Checksums are verified when the packet's were right.
    pub(crate) fn step(&mut self, frame: &[u8]) -> anyhow::Result<Step> {
        let want = self.model.step(frame);
        let got = self.dp.run(frame)?;
        let same = want.frame.as_ref().is_none_or(|wanted| *wanted == got.frame);
        let counted = self.dp.counter(want.reason)?;
        if got.action != want.action || !same || counted != self.model.counters[&want.reason] {
            let differing = self.differing_counters()?;
            bail!(
                "{:?}\n in      {}\n program action {} {}\n model   action {} {}\n counters {:?}",
                want.reason,
                hex(frame),
                got.action,
                hex(&got.frame),
                want.action,
                hex(want.frame.as_deref().unwrap_or_default()),
                differing,
            );
        }
        if want.action > 2 && verify(frame).is_ok() {
            verify(&got.frame).map_err(anyhow::Error::msg).context(hex(&got.frame))?;
        }
        Ok(want)
    }

    fn differing_counters(&self) -> anyhow::Result<Vec<String>> {
        let mut differing = Vec::new();
        for (reason, got) in self.dp.counters()? {
            let want = self.model.counters.get(&reason).copied().unwrap_or_default();
            if got != want {
                differing.push(format!("{reason:?}: {got:?} instead of {want:?}"));
            }
        }
        Ok(differing)
    }

    /// Compares every counter.
    pub(crate) fn compare_counters(&self) -> anyhow::Result<()> {
        let differing = self.differing_counters()?;
        ensure!(differing.is_empty(), "counters differ: {differing:?}");
        for spec in &self.specs {
            let want = self.model.service_traffic.get(&spec.id).copied().unwrap_or_default();
            let got = self.dp.service_traffic(spec.id)?;
            ensure!(got == want, "service {}: {got:?} instead of {want:?}", spec.id);
            for id in spec.backend_ids() {
                let want = self.model.backend_traffic.get(&id).copied().unwrap_or_default();
                let got = self.dp.backend_traffic(id)?;
                ensure!(got == want, "backend {id}: {got:?} instead of {want:?}");
            }
        }
        Ok(())
    }

    /// Compares both tables, times aside.
    pub(crate) fn compare_tables(&self) -> anyhow::Result<()> {
        let timeless = |flow: &Flow| Flow { last_seen: 0, created: 0, ..*flow };
        let tables = [
            ("conns", self.dp.established()?, &self.model.conns),
            ("embryo", self.dp.half_open()?, &self.model.embryo),
        ];
        for (name, got, want) in tables {
            let got: Flows = got.iter().map(|(key, flow)| (*key, timeless(flow))).collect();
            let want: Flows = want.iter().map(|(key, e)| (*key, e.to_flow(key))).collect();
            for key in got.keys().chain(want.keys()) {
                let (got, want) = (got.get(key), want.get(key));
                ensure!(got == want, "{name}: {key:?}\n program {got:?}\n model   {want:?}");
            }
        }
        Ok(())
    }

    /// The reasons met.
    pub(crate) fn reasons(&self) -> BTreeSet<Reason> {
        self.model.counters.keys().copied().collect()
    }
}

/// A backend as at the beginning. The ways to some end elsewhere, or nowhere.
pub(crate) fn fresh_backend(spec: &Spec, id: u16) -> Backend {
    let n = (id % 100) as u8;
    let ifindex = match n {
        3 => REDIRECT,
        7 => NO_EGRESS,
        _ => INGRESS,
    };
    let address = match spec.vip.is_v4() {
        true => Addr::v4([10, 0, 0, n]),
        false => Addr::v6([0xfd, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]),
    };
    let hop = NextHop { ifindex, destination: BACKEND_MAC, source: OWN_BACK_MAC };
    let second = NextHop { destination: MacAddr([2, 0, 0, 0, 2, 2]), ..hop };
    Backend {
        address,
        port: Be16::new(if n.is_multiple_of(2) { spec.port } else { 6444 }),
        service: spec.id,
        state: BackendState::Forward as u8,
        hop: 0,
        pad: 0,
        hops: [hop, second],
    }
}
