//! The program under test, loaded with a table for a given number of flows of one family, and
//! filled with them.

use std::{fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{Array, ArrayOfMaps, HashMap, MapData, PerCpuArray, ProgramArray},
    programs::Xdp,
};
use lb_common::{
    abi::{LAYOUT_VERSION, NAT_PORTS, map, program},
    backend::{Backend, BackendState, NextHop},
    bench::{Bench, STAMPS, TEMPLATE_WORDS, name, target},
    config::{Config, filter_bit},
    counter::Counter,
    flow::{Flow, FlowKey},
    maglev::{MaglevTable, SLOTS},
    net::{Addr, Be16, MacAddr, proto},
    reason::Reason,
    service::{NoBackend, Service, ServiceKey},
};

use crate::frame::Frame;

/// More do not get a NAT port each from the backends of the largest bed.
pub(crate) const MAX_FLOWS: i64 = (NAT_PORTS as i64) << 9;
const MIN_ENTRIES: u32 = 8_192;
/// The service with backends.
pub(crate) const PORT: u16 = 6443;
/// The service without.
pub(crate) const EMPTY_PORT: u16 = 6444;
/// Source of the frames that clients send, and destination of those that they get.
pub(crate) const CLIENT_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x0c]);
/// The balancer's.
pub(crate) const OWN_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
/// Of every backend.
pub(crate) const BACKEND_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x0b]);
/// The interface that the kernel lends to test runs: the loopback device.
const IFINDEX: u32 = 1;

/// The two objects' bytes.
pub(crate) struct Objects {
    /// The balancer.
    pub(crate) lb: Vec<u8>,
    /// The wrapper, the floors and the fillers.
    pub(crate) wrapper: Vec<u8>,
}

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    fn addr(self, v4: [u8; 4], v6: [u16; 3]) -> Addr {
        match self {
            Self::V4 => Addr::v4(v4),
            Self::V6 => {
                let [a, b, c] = v6;
                let ip = std::net::Ipv6Addr::new(0x2001, 0xdb8, a, 0, 0, 0, b, c);
                Addr::v6(ip.octets())
            }
        }
    }

    /// The virtual address.
    pub(crate) fn vip(self) -> Addr {
        self.addr([192, 0, 2, 10], [0, 0, 0x10])
    }

    /// An address that is none.
    pub(crate) fn other(self) -> Addr {
        self.addr([192, 0, 2, 99], [0, 0, 0x99])
    }

    /// The first of the clients.
    pub(crate) fn client(self) -> Addr {
        self.addr([10, 20, 0, 0], [0xc, 0, 0])
    }

    /// The first of the backends.
    pub(crate) fn backend(self) -> Addr {
        self.addr([172, 16, 0, 0], [0xb, 0, 0])
    }
}

/// Which flows a run's packets belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) first: u32,
    pub(crate) step: u32,
    pub(crate) end: u32,
}

impl Walk {
    /// From `first` on, none twice.
    pub(crate) fn onwards(first: u32) -> Self {
        Self { first, step: 1, end: u32::MAX }
    }
}

/// When to take the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) warm_up: u32,
    pub(crate) chunk: u32,
    pub(crate) chunks: u32,
}

impl Pace {
    /// One packet, no time.
    pub(crate) const ONCE: Self = Self { warm_up: 0, chunk: 0, chunks: 0 };

    /// Packets sent in all; the last one only takes the last time.
    pub(crate) fn packets(self) -> u32 {
        self.warm_up + self.chunk * self.chunks + 1
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    /// The verdict on the last packet.
    pub(crate) action: u32,
    /// The last packet.
    pub(crate) frame: Vec<u8>,
    /// Nanoseconds per packet, chunk by chunk.
    pub(crate) chunks: Vec<f64>,
    /// The wrapper's state afterwards.
    pub(crate) state: Bench,
}

/// The program and the wrapper, loaded.
pub(crate) struct Bed {
    pub(crate) family: Family,
    /// Flows in the table.
    pub(crate) flows: u32,
    /// Two to this power are the backends.
    pub(crate) backend_bits: u32,
    lb: Ebpf,
    wrapper: Ebpf,
}

impl Bed {
    /// Loads both objects, configures the balancer and fills its table.
    pub(crate) fn new(
        objects: &Objects,
        bpffs: &Path,
        family: Family,
        flows: u32,
    ) -> anyhow::Result<Self> {
        // Sixteen thousand NAT ports each: with few backends they would run short before the
        // tables do.
        let backend_bits = if flows <= 100_000 { 6 } else { 9 };
        let pins = bpffs.join(format!("{family:?}-{flows}"));
        fs::create_dir(&pins).with_context(|| format!("failed to make `{}`", pins.display()))?;
        let (conns, embryo) = (pins.join(map::CONNS), pins.join(map::EMBRYO));
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries(map::CONNS, table_entries(flows))
            .map_pin_path(map::CONNS, conns.as_path())
            .map_pin_path(map::EMBRYO, embryo.as_path());
        let mut lb = loader.load(&objects.lb).context("failed to load the balancer")?;
        let mut wrapper = loader.load(&objects.wrapper).context("failed to load the wrapper")?;
        load(&mut lb, program::XDP)?;
        for program in [name::RUN, name::EMPTY, name::LOOKUP, name::FILL, name::FORGET] {
            load(&mut wrapper, program)?;
        }
        let mut bed = Self { family, flows, backend_bits, lb, wrapper };
        bed.aim()?;
        bed.configure()?;
        bed.fill()?;
        Ok(bed)
    }

    /// Sends `pace.packets()` packets like `frame` through the program with this index.
    pub(crate) fn send(
        &mut self,
        target: u32,
        frame: &Frame,
        walk: Walk,
        pace: Pace,
    ) -> anyhow::Result<Outcome> {
        ensure!(pace.chunks < STAMPS as u32, "`{}` chunks do not fit", pace.chunks);
        let bytes = frame.bytes();
        let mut state = self.plan(walk);
        for (word, bytes) in state.template.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        ensure!(bytes.len() >= TEMPLATE_WORDS * 8, "a frame of `{}` bytes is short", bytes.len());
        state.frame_len = bytes.len() as u32;
        state.target = target;
        state.reverse = u32::from(frame.src == self.family.backend());
        if pace.chunks != 0 {
            state.countdown = pace.warm_up + 1;
            state.chunk = pace.chunk;
        }
        let mut out = vec![0; bytes.len()];
        let (action, len) = self.test_run(name::RUN, &state, &bytes, &mut out, pace.packets())?;
        out.truncate(len);
        let state = self.state()?.get(&0, 0)?;
        let used = state.stamps.get(..state.stamped as usize).unwrap_or_default();
        let per_packet = |pair: &[u64]| (pair[1] - pair[0]) as f64 / f64::from(pace.chunk);
        let chunks = used.windows(2).map(per_packet).collect();
        Ok(Outcome { action, frame: out, chunks, state })
    }

    /// Empties `embryo`; how many entries these many flows had, and how many others there were:
    /// of flows whose forward entry alone was evicted.
    pub(crate) fn forget(&mut self, first: u32, flows: u32) -> anyhow::Result<(u32, u32)> {
        let done = self.run_filler(name::FORGET, Walk::onwards(first), flows)?;
        let map = self.lb.map_mut(map::EMBRYO).context("no map `embryo`")?;
        let mut embryo = HashMap::<_, FlowKey, Flow>::try_from(map)?;
        let others = embryo.keys().collect::<Result<Vec<_>, _>>()?;
        for key in &others {
            embryo.remove(key)?;
        }
        Ok((done, others.len() as u32))
    }

    /// Packets that met each verdict so far, by number of the reason.
    pub(crate) fn counters(&self) -> anyhow::Result<Vec<u64>> {
        let map = self.lb.map(map::DROP_STATS).context("no map `drop_stats`")?;
        let stats = PerCpuArray::<_, Counter>::try_from(map)?;
        (0..Reason::SLOTS)
            .map(|n| Ok(stats.get(&n, 0)?.iter().map(|counter| counter.packets).sum()))
            .collect()
    }

    fn plan(&self, walk: Walk) -> Bench {
        let family = self.family;
        Bench {
            client: family.client(),
            backend: family.backend(),
            key: FlowKey {
                src: family.client(),
                dst: family.vip(),
                dport: Be16::new(PORT),
                proto: proto::TCP,
                ..FlowKey::default()
            },
            template: [0; TEMPLATE_WORDS],
            client_mac: CLIENT_MAC.to_u64(),
            own_mac: OWN_MAC.to_u64(),
            frame_len: 0,
            target: 0,
            flow: walk.first,
            step: walk.step,
            end: walk.end,
            wrap: walk.end,
            backend_bits: self.backend_bits,
            reverse: 0,
            countdown: 0,
            chunk: 0,
            done: 0,
            misses: 0,
            stamped: 0,
            stamps: [0; STAMPS],
        }
    }

    fn state(&mut self) -> anyhow::Result<Array<&mut MapData, Bench>> {
        let map = self.wrapper.map_mut(name::STATE).context("no map `bench`")?;
        Ok(Array::try_from(map)?)
    }

    fn test_run(
        &mut self,
        program: &str,
        state: &Bench,
        frame: &[u8],
        out: &mut [u8],
        repeat: u32,
    ) -> anyhow::Result<(u32, usize)> {
        self.state()?.set(0, state, 0)?;
        let xdp = xdp(&mut self.wrapper, program)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(out);
        options.repeat = repeat;
        let result = xdp.test_run(options).with_context(|| format!("failed to run `{program}`"))?;
        Ok((result.return_value, result.data_size_out as usize))
    }

    fn run_filler(&mut self, program: &str, walk: Walk, flows: u32) -> anyhow::Result<u32> {
        let state = self.plan(walk);
        let mut frame = [0; 64];
        self.test_run(program, &state, &[0; 64], &mut frame, flows)?;
        Ok(self.state()?.get(&0, 0)?.done)
    }

    fn aim(&mut self) -> anyhow::Result<()> {
        let lb = xdp(&mut self.lb, program::XDP)?.fd()?.try_clone()?;
        let empty = xdp(&mut self.wrapper, name::EMPTY)?.fd()?.try_clone()?;
        let lookup = xdp(&mut self.wrapper, name::LOOKUP)?.fd()?.try_clone()?;
        let map = self.wrapper.map_mut(name::TARGETS).context("no map of targets")?;
        let mut targets = ProgramArray::try_from(map)?;
        targets.set(target::LB, &lb, 0)?;
        targets.set(target::EMPTY, &empty, 0)?;
        targets.set(target::LOOKUP, &lookup, 0)?;
        Ok(())
    }

    fn configure(&mut self) -> anyhow::Result<()> {
        let vip = self.family.vip();
        let bit = filter_bit(&vip);
        if bit == filter_bit(&self.family.other()) {
            bail!("both addresses have bit `{bit}` in the VIP filter: choose another");
        }
        let mut config = Config { layout_version: LAYOUT_VERSION, ..Config::EMPTY };
        config.own_macs[0] = OWN_MAC.to_u64();
        config.vip_filter[bit / 64] |= 1 << (bit % 64);
        let map = self.lb.map_mut(map::CONFIG).context("no map `config`")?;
        Array::<_, Config>::try_from(map)?.set(0, config, 0)?;

        let map = self.lb.map_mut(map::BACKENDS).context("no map `backends`")?;
        let mut backends = Array::<_, Backend>::try_from(map)?;
        for n in 0..1_u32 << self.backend_bits {
            let hop = NextHop { ifindex: IFINDEX, destination: BACKEND_MAC, source: OWN_MAC };
            let backend = Backend {
                address: counted(self.family.backend(), n),
                port: Be16::new(PORT),
                service: 1,
                state: BackendState::Forward as u8,
                hops: [hop, NextHop::default()],
                ..Backend::default()
            };
            backends.set(n + 1, backend, 0)?;
        }

        let mut table = Array::<_, MaglevTable>::create(1, 0)?;
        let mask = (1 << self.backend_bits) - 1;
        let slots = std::array::from_fn::<_, SLOTS, _>(|slot| 1 + (slot & mask) as u16);
        table.set(0, MaglevTable { slots }, 0)?;
        let map = self.lb.map_mut(map::MAGLEV).context("no map `maglev`")?;
        ArrayOfMaps::<_, Array<MapData, MaglevTable>>::try_from(map)?.set(1, &table, 0)?;

        let map = self.lb.map_mut(map::SERVICES).context("no map `services`")?;
        let mut services = HashMap::<_, ServiceKey, Service>::try_from(map)?;
        let service = |id| Service { id, flags: 0, when_no_backend: NoBackend::Reject as u8 };
        let key = |port| ServiceKey::new(vip, Be16::new(port), proto::TCP);
        services.insert(key(PORT), service(1), 0)?;
        services.insert(key(EMPTY_PORT), service(2), 0)?;
        services.insert(ServiceKey::vip(vip), service(0), 0)?;
        Ok(())
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        let flows = self.flows;
        let done = self.run_filler(name::FILL, Walk::onwards(0), flows)?;
        ensure!(done == flows * 2, "only `{done}` entries of `{flows}` flows could be made");
        Ok(())
    }
}

/// Entries of `conns`: two for each flow, but no table smaller than anyone would configure.
pub(crate) fn table_entries(flows: u32) -> u32 {
    (flows * 2).max(MIN_ENTRIES)
}

/// The address `n` after this one.
pub(crate) fn counted(base: Addr, n: u32) -> Addr {
    let mut addr = base;
    let last = u32::from_be_bytes(base.v4_octets()) + n;
    addr.0[12..].copy_from_slice(&last.to_be_bytes());
    addr
}

fn xdp<'a>(ebpf: &'a mut Ebpf, program: &str) -> anyhow::Result<&'a mut Xdp> {
    let found = ebpf.program_mut(program).with_context(|| format!("no program `{program}`"))?;
    Ok(found.try_into()?)
}

fn load(ebpf: &mut Ebpf, program: &str) -> anyhow::Result<()> {
    xdp(ebpf, program)?.load().with_context(|| format!("failed to load `{program}`"))
}
