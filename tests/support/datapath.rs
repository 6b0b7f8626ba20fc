//! The built object in the kernel: its maps by type, and its programs under
//! `BPF_PROG_TEST_RUN`.

use std::{collections, env, path::PathBuf};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{
        Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues,
        xdp::DevMapHash,
    },
    programs::Xdp,
    util::nr_cpus,
};
use lb_common::{
    abi::{map, program},
    backend::Backend,
    config::Config,
    counter::{Counter, Traffic},
    flow::{Flow, FlowKey},
    lease::{Lease, LeaseKey},
    maglev::MaglevTable,
    net::Addr,
    reap::BATCH,
    reason::Reason,
    service::{Service, ServiceKey},
};

/// The interface that `BPF_PROG_TEST_RUN` lets packets come from: the loopback device.
pub const INGRESS: u32 = 1;

/// What a flow's entry is kept under and with.
pub type Flows = collections::HashMap<FlowKey, Flow>;

/// The loaded program and its maps.
pub struct Datapath {
    ebpf: Ebpf,
    /// `services`.
    pub services: HashMap<MapData, ServiceKey, Service>,
    /// `backends`.
    pub backends: Array<MapData, Backend>,
    /// `conns`.
    pub conns: HashMap<MapData, FlowKey, Flow>,
    /// `embryo`.
    pub embryo: HashMap<MapData, FlowKey, Flow>,
    leases: HashMap<MapData, LeaseKey, Lease>,
    maglev: ArrayOfMaps<MapData, Array<MapData, MaglevTable>>,
    config: Array<MapData, Config>,
    drop_stats: PerCpuArray<MapData, Counter>,
    backend_stats: PerCpuArray<MapData, Traffic>,
    service_stats: PerCpuArray<MapData, Traffic>,
    egress: DevMapHash<MapData>,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// XDP action: 1 drop, 2 pass, 3 transmit, 4 redirect.
    pub action: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// The answer to a request to remove flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Flows removed.
    pub removed: u32,
    /// Low word of the kernel's tick clock.
    pub jiffies: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub ktime_ns: u64,
}

/// Path of the object: `LB_EBPF_OBJECT`, or where `cargo xtask build-ebpf` puts it.
pub fn object() -> PathBuf {
    match env::var_os("LB_EBPF_OBJECT") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/lb-ebpf"),
    }
}

impl Datapath {
    /// Loads the object with room for `entries` entries of established flows.
    pub fn load(entries: u32) -> anyhow::Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("root is needed to load the XDP program: run `sudo cargo xtask test datapath`");
        }
        let path = object();
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(map::CONNS, entries)
            .load_file(&path)
            .with_context(|| format!("failed to load `{}`", path.display()))?;
        for name in [program::XDP, program::REAP] {
            let xdp: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            xdp.load().with_context(|| format!("the kernel refused program `{name}`"))?;
        }
        let mut take = |name| ebpf.take_map(name).with_context(|| format!("no map `{name}`"));
        Ok(Self {
            services: take(map::SERVICES)?.try_into()?,
            backends: take(map::BACKENDS)?.try_into()?,
            conns: take(map::CONNS)?.try_into()?,
            embryo: hash(take(map::EMBRYO)?)?,
            leases: take(map::LEASES)?.try_into()?,
            maglev: take(map::MAGLEV)?.try_into()?,
            config: take(map::CONFIG)?.try_into()?,
            drop_stats: take(map::DROP_STATS)?.try_into()?,
            backend_stats: take(map::BACKEND_STATS)?.try_into()?,
            service_stats: take(map::SERVICE_STATS)?.try_into()?,
            egress: take(map::EGRESS)?.try_into()?,
            ebpf,
        })
    }

    /// Runs a frame through the packet path; it arrives on [`INGRESS`].
    pub fn run(&self, frame: &[u8]) -> anyhow::Result<Outcome> {
        let mut out = vec![0; frame.len() + 64];
        let (action, len) = self.test_run(program::XDP, frame, &mut out)?;
        out.truncate(len);
        Ok(Outcome { action, frame: out })
    }

    /// Asks for the removal of these flows unless they were seen later than `not_after`.
    pub fn reap(&self, keys: &[FlowKey], not_after: u32) -> anyhow::Result<Reaped> {
        let mut request = Vec::new();
        request.extend((keys.len() as u32).to_ne_bytes());
        request.extend(0_u32.to_ne_bytes());
        request.extend(not_after.to_ne_bytes());
        request.extend([0; 12]);
        for i in 0..BATCH {
            request.extend(key_bytes(&keys.get(i).copied().unwrap_or_default()));
        }
        let mut out = vec![0; request.len()];
        let (action, _) = self.test_run(program::REAP, &request, &mut out)?;
        if action != 2 {
            bail!("`{}` ended with action {action}", program::REAP);
        }
        let word = |at: usize| u32::from_ne_bytes([out[at], out[at + 1], out[at + 2], out[at + 3]]);
        let (low, high) = (u64::from(word(16)), u64::from(word(20)));
        Ok(Reaped { removed: word(12), jiffies: word(4), ktime_ns: high << 32 | low })
    }

    /// Runs a program; its action and the length of what it left in `out`.
    pub fn test_run(
        &self,
        name: &str,
        frame: &[u8],
        out: &mut [u8],
    ) -> anyhow::Result<(u32, usize)> {
        let xdp: &Xdp = self.ebpf.program(name).context("no such program")?.try_into()?;
        let result = xdp.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(out),
            ..TestRunOptions::default()
        })?;
        Ok((result.return_value, result.data_size_out as usize))
    }

    /// Writes the settings.
    pub fn set_config(&mut self, config: &Config) -> anyhow::Result<()> {
        Ok(self.config.set(0, config, 0)?)
    }

    /// Lets this node claim a VIP before `deadline`, or always.
    pub fn set_lease(&mut self, vip: Addr, deadline: Option<u64>) -> anyhow::Result<()> {
        let key = LeaseKey { vip };
        match deadline {
            Some(deadline) => {
                self.leases.insert(key, Lease { deadline, sequence: 0, pad: 0 }, 0)?;
            }
            None if self.leases.get(&key, 0).is_ok() => self.leases.remove(&key)?,
            None => {}
        }
        Ok(())
    }

    /// The program's clock, in nanoseconds.
    pub fn now(&self) -> anyhow::Result<u64> {
        Ok(self.reap(&[], 0)?.ktime_ns)
    }

    /// Gives a service this table.
    pub fn set_maglev(&mut self, service: u16, table: &MaglevTable) -> anyhow::Result<()> {
        let mut inner = Array::create(1, 0)?;
        inner.set(0, table, 0)?;
        Ok(self.maglev.set(u32::from(service), &inner, 0)?)
    }

    /// Lets packets leave by the device `ifindex` when the program names `key`.
    pub fn add_egress(&mut self, key: u32, ifindex: u32) -> anyhow::Result<()> {
        Ok(self.egress.insert(key, ifindex, None, 0)?)
    }

    /// The counter of a verdict, summed over CPUs.
    pub fn counter(&self, reason: Reason) -> anyhow::Result<Counter> {
        let sum = |a: Counter, b: &Counter| Counter {
            packets: a.packets.wrapping_add(b.packets),
            bytes: a.bytes.wrapping_add(b.bytes),
        };
        let values = self.drop_stats.get(&(reason as u32), 0)?;
        Ok(values.iter().fold(Counter::default(), sum))
    }

    /// The counters of every verdict.
    pub fn counters(&self) -> anyhow::Result<collections::BTreeMap<Reason, Counter>> {
        Reason::ALL.iter().map(|&reason| Ok((reason, self.counter(reason)?))).collect()
    }

    /// Traffic of a backend.
    pub fn backend_traffic(&self, id: u16) -> anyhow::Result<Traffic> {
        traffic(&self.backend_stats, id)
    }

    /// Traffic of a service.
    pub fn service_traffic(&self, id: u16) -> anyhow::Result<Traffic> {
        traffic(&self.service_stats, id)
    }

    /// Every established flow's entries.
    pub fn established(&self) -> anyhow::Result<Flows> {
        Ok(self.conns.iter().collect::<Result<_, MapError>>()?)
    }

    /// Every half-open or just-closed flow's entries.
    pub fn half_open(&self) -> anyhow::Result<Flows> {
        Ok(self.embryo.iter().collect::<Result<_, MapError>>()?)
    }

    /// Forgets every flow and zeroes the traffic of these ids.
    pub fn clear(&mut self, ids: impl Iterator<Item = u16>) -> anyhow::Result<()> {
        for key in self.established()?.keys() {
            self.conns.remove(key)?;
        }
        for key in self.half_open()?.keys() {
            self.embryo.remove(key)?;
        }
        let cpus = nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}"))?;
        let zero = || PerCpuValues::try_from(vec![Traffic::default(); cpus]);
        for id in ids {
            self.backend_stats.set(u32::from(id), zero()?, 0)?;
            self.service_stats.set(u32::from(id), zero()?, 0)?;
        }
        Ok(())
    }
}

/// The LRU table, by the operations it shares with a plain one.
fn hash(map: Map) -> anyhow::Result<HashMap<MapData, FlowKey, Flow>> {
    Ok(map.try_into()?)
}

fn traffic(map: &PerCpuArray<MapData, Traffic>, id: u16) -> anyhow::Result<Traffic> {
    let values = map.get(&u32::from(id), 0)?;
    Ok(values.iter().fold(Traffic::default(), Traffic::plus))
}

fn key_bytes(key: &FlowKey) -> Vec<u8> {
    let mut b = Vec::new();
    b.extend(key.src.0);
    b.extend(key.dst.0);
    b.extend(key.sport.to_wire());
    b.extend(key.dport.to_wire());
    b.extend([key.proto, 0, 0, 0]);
    b
}
