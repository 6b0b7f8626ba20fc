//! A node without a processor to spare: one busy loop per core, and nobody may lose the VIP by it.

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lb_agent::vrrp::realtime;
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
    transitions: [Vec<String>; 2],
    adverts: usize,
    /// Adverts of lb-02, which must have been silent.
    rival: usize,
    /// Longest time between two adverts of lb-01 on the wire.
    gap: Duration,
    /// Longest time that a core gave nothing to a thread of real-time priority: the machine's own
    /// stalls (a hypervisor's, or the kernel's), which no agent can make up for.
    stall: Duration,
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

    let told = || [transitions(&bed.nodes[0]), transitions(&bed.nodes[1])];
    let (before, from) = (told().map(|lines| lines.len()), epoch());
    let loops = Crew::start(burn)?;
    let watchers = Crew::start(watch)?;
    sleep(lasting);
    let (to, mut after, threads) = (epoch(), told(), loops.threads.len());
    for (lines, before) in after.iter_mut().zip(before) {
        lines.drain(..before);
    }
    loops.finish();
    let stall = watchers.finish().into_iter().max().unwrap_or_default();
    opener.settle()?;
    let record = claims.finish()?;
    let [own, rival] = [0, 1].map(|n| adverts(&record, &bed.nodes[n], from, to));
    Ok(Busy {
        kind: node.kind(),
        interval: node.instance().interval,
        lasted: to - from,
        loops: threads,
        transitions: after,
        adverts: own.len(),
        rival: rival.len(),
        gap: own.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(to - from),
        stall,
        outage: Outage::of(&opener.finish()?),
    })
}

fn transitions(node: &Node) -> Vec<String> {
    let (log, word) = match node.kind() {
        Kind::Agent => (node.host().log("agent"), "virtual router instance="),
        Kind::Keepalived => (node.host().log("keepalived"), "STATE"),
    };
    log.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

fn adverts(record: &Record, node: &Node, from: Duration, to: Duration) -> Vec<Duration> {
    let (span, mac) = (from..to, node.host().mac());
    let own = record.adverts.iter().filter(|(at, advert)| span.contains(at) && advert.mac == mac);
    own.map(|(at, _)| *at).collect()
}

impl Busy {
    /// Whether nobody took the VIP, and lb-01 spoke to the end.
    pub(crate) fn well(&self) -> bool {
        self.transitions.iter().all(Vec::is_empty) && self.rival == 0 && self.outage.over
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let Self { lasted, loops, transitions, adverts, rival, outage, .. } = self;
        let kind = kind(self.kind);
        let count = self.transitions.each_ref().map(Vec::len);
        let lines: String = transitions.iter().flatten().map(|line| format!("\n{line}")).collect();
        let (length, failed, attempts) = (outage.length, outage.failed, outage.attempts);
        format!(
            "busy-node, {kind}, adverts every {:?}, {loops} busy loops for {:.0?}\n\
             transitions of lb-01 and lb-02: {} and {}\n\
             adverts of lb-01: {adverts}, longest gap {:.1?}; of lb-02: {rival}\n\
             longest stall of a core, for whatever priority: {:.1?}\n\
             outage {length:.1?}, {failed} of {attempts} connections failed, the slowest took {:.1?}{lines}",
            self.interval, lasted, count[0], count[1], self.gap, self.stall, outage.slowest
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
            "transitions": self.transitions.each_ref().map(Vec::len),
            "adverts": self.adverts,
            "adverts_of_backup": self.rival,
            "longest_gap_ms": ms(self.gap),
            "longest_stall_ms": ms(self.stall),
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

/// A thread for each core, until it is dropped.
struct Crew {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Duration>>,
}

impl Crew {
    fn start(work: fn(&AtomicBool) -> Duration) -> Result<Self> {
        let cores = thread::available_parallelism().context("failed to count the cores")?;
        let mut crew = Self { stop: Arc::default(), threads: Vec::new() };
        for core in 0..cores.get() {
            let stop = Arc::clone(&crew.stop);
            crew.threads.push(thread::spawn(move || {
                let mut own = CpuSet::new();
                // Where it may not be pinned, the scheduler spreads them.
                let _unpinned =
                    own.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &own));
                work(&stop)
            }));
        }
        Ok(crew)
    }

    /// What each has found.
    fn finish(mut self) -> Vec<Duration> {
        self.end()
    }

    fn end(&mut self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        // None of them can panic.
        self.threads.drain(..).filter_map(|thread| thread.join().ok()).collect()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.end();
    }
}

/// A busy loop of ordinary priority.
fn burn(stop: &AtomicBool) -> Duration {
    while !stop.load(Ordering::Relaxed) {
        spin_loop();
    }
    Duration::ZERO
}

/// How late a thread of real-time priority was at most, that wants to run every millisecond.
fn watch(stop: &AtomicBool) -> Duration {
    const PACE: Duration = Duration::from_millis(1);
    // Where it is refused, it is to the agent too, and the figure shows what that costs.
    let _refused = realtime::claim();
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        sleep(PACE);
        longest = longest.max(began.elapsed().saturating_sub(PACE));
    }
    longest
}
