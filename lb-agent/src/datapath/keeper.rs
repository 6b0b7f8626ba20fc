//! Keeps the table of flows: forgets idle ones, and provokes the connections of a dead backend
//! into being reset.
//!
//! Runs on a thread of its own: walking a million entries takes a while, and checks must not
//! wait for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use lb_common::{
    backend::{Backend, BackendState},
    flow::{Flow, FlowKey},
    net::{MacAddr, proto},
};
use tokio::sync::mpsc::Sender;

use super::{
    ageing::{TickRate, idle_limit},
    error::Error,
    flows::{Flows, Table},
    maps::Maps,
    reaper::{Clock, Reaper},
};
use crate::{
    frame::{Endpoint, challenge_syn},
    inject::PacketSocket,
};

/// Time between the beginnings of two walks, unless a walk takes more than a tenth of it.
const PERIOD: Duration = Duration::from_secs(1);

/// Asks for a walk at once, because backends are being reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake;

/// What a walk has met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Backends with flows, established or not.
    pub backends: BTreeSet<u16>,
    /// Established flows.
    pub established: usize,
    /// Half-open and just-closed flows.
    pub half_open: usize,
    /// Idle flows removed by this walk.
    pub removed: usize,
    /// Connections provoked by this walk, because their backend is being reset.
    pub provoked: usize,
}

/// The keeper's tools.
pub struct Keeper {
    /// The tables.
    pub flows: Flows,
    /// For the backends' states and next hops.
    pub maps: Maps,
    /// Ends flows.
    pub reaper: Reaper,
    /// Sends the provoking packets.
    pub socket: PacketSocket,
}

impl Keeper {
    /// Walks until the other ends of the channels are gone.
    pub fn run(mut self, wake: &Receiver<Wake>, reports: &Sender<Seen>) {
        let mut pace = Pace::default();
        loop {
            let begin = Instant::now();
            match self.walk(&mut pace) {
                Ok(seen) => {
                    if reports.blocking_send(seen).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "walking the flows failed"
                    );
                }
            }
            let took = begin.elapsed();
            let pause = PERIOD.saturating_sub(took).max(took * 9);
            match wake.recv_timeout(pause) {
                Ok(Wake) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn walk(&mut self, pace: &mut Pace) -> Result<Seen, Error> {
        let now = self.reaper.clock()?;
        let rate = pace.learn(now);
        let backends = self.maps.backends()?;
        let mut seen = Seen::default();
        let mut idle: BTreeMap<Duration, Vec<FlowKey>> = BTreeMap::new();
        let mut provoke = Vec::new();
        self.flows.forward(Table::Established, |key, flow| {
            seen.established += 1;
            seen.backends.insert(flow.backend);
            let reset =
                backends.get(&flow.backend).is_none_or(|b| b.state == BackendState::Reset as u8);
            let limit = idle_limit(key.proto, flow, reset);
            let age = now.jiffies.wrapping_sub(flow.last_seen);
            if rate.is_some_and(|rate| age > rate.ticks(limit)) {
                idle.entry(limit).or_default().push(*key);
            } else if reset && key.proto == proto::TCP {
                provoke.push((*key, *flow));
            }
        })?;
        self.flows.forward(Table::HalfOpen, |_, flow| {
            seen.half_open += 1;
            seen.backends.insert(flow.backend);
        })?;
        for (limit, keys) in idle {
            let not_after = rate.map_or(0, |rate| rate.ticks(limit));
            seen.removed += self.reaper.remove(&keys, now.jiffies.wrapping_sub(not_after))?;
        }
        seen.provoked = provoke.len();
        for (key, flow) in &provoke {
            self.provoke(key, flow, backends.get(&flow.backend));
        }
        Ok(seen)
    }

    /// A SYN inside an established connection makes its receiver answer with the exact sequence
    /// number (RFC 5961 section 4); the XDP program turns that answer into the RST.
    fn provoke(&self, key: &FlowKey, flow: &Flow, backend: Option<&Backend>) {
        let at = |mac, addr, port| Endpoint { mac, addr, port };
        let client = challenge_syn(
            &at(MacAddr::from_u64(flow.own_mac), key.dst, key.dport),
            &at(MacAddr::from_u64(flow.client_mac), key.src, key.sport),
            flow.created,
        );
        self.send(flow.client_ifindex, &client);
        let Some(hop) = backend.map(|b| b.hops[usize::from(b.hop & 1)]) else { return };
        if hop.ifindex != 0 {
            let frame = challenge_syn(
                &at(hop.source, key.dst, flow.new_sport),
                &at(hop.destination, flow.peer, flow.new_dport),
                flow.created,
            );
            self.send(hop.ifindex, &frame);
        }
    }

    fn send(&self, ifindex: u32, frame: &[u8]) {
        // The next walk tries again.
        if let Err(error) = self.socket.send(ifindex, frame) {
            tracing::debug!(%error, ifindex, "could not provoke a connection into being reset");
        }
    }
}

/// Learns the length of a timer tick from the first walks.
#[derive(Debug, Default)]
struct Pace {
    first: Option<Clock>,
    rate: Option<TickRate>,
}

impl Pace {
    fn learn(&mut self, now: Clock) -> Option<TickRate> {
        let first = *self.first.get_or_insert(now);
        if self.rate.is_none() {
            let ticks = now.jiffies.wrapping_sub(first.jiffies);
            self.rate = TickRate::measure(ticks, now.monotonic.saturating_sub(first.monotonic));
        }
        self.rate
    }
}
