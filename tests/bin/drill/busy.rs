//! A node without a processor to spare: one busy loop per core, and nobody may lose the VIP by it.

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use anyhow::{Context, Result};
use lb_tests::{
    bed::Bed,
    claims::{Claims, Record, epoch},
    node::{Kind, Node},
    opener::{Opener, Outage},
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Connections in a row that prove service.
const SERVED: usize = 100;

/// What a busy time showed.
pub(crate) struct Busy {
    kind: Kind,
    interval: Duration,
    lasted: Duration,
    loops: usize,
    /// Changes of state that lb-01 and lb-02 logged.
    transitions: [usize; 2],
    adverts: usize,
    /// Adverts of lb-02, which must have been silent.
    rival: usize,
    /// Longest time between two adverts of lb-01 on the wire.
    gap: Duration,
    outage: Outage,
}

/// Keeps every core busy for so long. The election is over before.
pub(crate) fn run(bed: &Bed, lasting: Duration) -> Result<Busy> {
    let node = &bed.nodes[0];
    let deadline = node.longest_silence() * 2 + Duration::from_secs(20);
    let claims = Claims::start(bed.observer(), bed.vip);
    claims.wait_owners(&[node.host()], deadline).context("before the busy time")?;
    let opener = Opener::start(bed.lab.client(), bed.address());
    opener.wait_served(SERVED, deadline).context("before the busy time")?;

    let count = || [transitions(&bed.nodes[0]), transitions(&bed.nodes[1])];
    let (before, from) = (count(), epoch());
    let loops = Loops::start()?;
    sleep(lasting);
    let (to, after, threads) = (epoch(), count(), loops.threads.len());
    drop(loops);
    opener.settle()?;
    let record = claims.finish()?;
    let [own, rival] = [0, 1].map(|n| adverts(&record, &bed.nodes[n], from, to));
    Ok(Busy {
        kind: node.kind(),
        interval: node.instance().interval,
        lasted: to - from,
        loops: threads,
        transitions: [after[0] - before[0], after[1] - before[1]],
        adverts: own.len(),
        rival: rival.len(),
        gap: own.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(to - from),
        outage: Outage::of(&opener.finish()?),
    })
}

fn transitions(node: &Node) -> usize {
    let (log, word) = match node.kind() {
        Kind::Agent => (node.host().log("agent"), "virtual router instance="),
        Kind::Keepalived => (node.host().log("keepalived"), "STATE"),
    };
    log.lines().filter(|line| line.contains(word)).count()
}

fn adverts(record: &Record, node: &Node, from: Duration, to: Duration) -> Vec<Duration> {
    let (span, mac) = (from..to, node.host().mac());
    let own = record.adverts.iter().filter(|(at, advert)| span.contains(at) && advert.mac == mac);
    own.map(|(at, _)| *at).collect()
}

impl Busy {
    /// Whether nobody took the VIP, and lb-01 spoke to the end.
    pub(crate) fn well(&self) -> bool {
        self.transitions == [0, 0] && self.rival == 0 && self.outage.over
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let Self { lasted, loops, transitions, adverts, rival, outage, .. } = self;
        let kind = kind(self.kind);
        let (length, failed, attempts) = (outage.length, outage.failed, outage.attempts);
        format!(
            "busy-node, {kind}, adverts every {:?}, {loops} busy loops for {:.0?}\n\
             transitions of lb-01 and lb-02: {} and {}\n\
             adverts of lb-01: {adverts}, longest gap {:.1?}; of lb-02: {rival}\n\
             outage {length:.1?}, {failed} of {attempts} connections failed, the slowest took {:.1?}",
            self.interval, lasted, transitions[0], transitions[1], self.gap, outage.slowest
        )
    }

    /// For programs: times in milliseconds.
    pub(crate) fn json(&self) -> serde_json::Value {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        serde_json::json!({
            "scenario": "busy-node",
            "kind": kind(self.kind),
            "interval_ms": ms(self.interval),
            "lasted_ms": ms(self.lasted),
            "busy_loops": self.loops,
            "transitions": self.transitions,
            "adverts": self.adverts,
            "adverts_of_backup": self.rival,
            "longest_gap_ms": ms(self.gap),
            "outage_ms": ms(self.outage.length),
            "failed": self.outage.failed,
            "attempts": self.outage.attempts,
        })
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Agent => "agent",
        Kind::Keepalived => "keepalived",
    }
}

/// One busy loop per core, until dropped.
struct Loops {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Loops {
    fn start() -> Result<Self> {
        let cores = thread::available_parallelism().context("failed to count the cores")?;
        let mut loops = Self { stop: Arc::default(), threads: Vec::new() };
        for core in 0..cores.get() {
            let stop = Arc::clone(&loops.stop);
            loops.threads.push(thread::spawn(move || {
                let mut own = CpuSet::new();
                // Where it may not be pinned, the scheduler spreads them.
                let _unpinned =
                    own.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &own));
                while !stop.load(Ordering::Relaxed) {
                    spin_loop();
                }
            }));
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A loop cannot panic.
            drop(thread.join());
        }
    }
}
