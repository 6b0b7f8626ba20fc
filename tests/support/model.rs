//! The data plane's rules once more, as plainly as possible: tables are hash maps, packets byte
//! vectors, checksums are updated word by word. Written from the rules, to be compared with the
//! program; it shares with it the map types and the flow hash, no more.

mod claim;
mod flows;
mod frame;
mod icmp;
mod open;
mod rewrite;

use std::collections::{BTreeMap, HashMap, HashSet};

use lb_common::{
    backend::Backend,
    config::filter_bit,
    counter::{Counter, Traffic},
    flow::{FORWARD, Flow, FlowKey, REVERSE, flow_flags},
    net::{Addr, Be16, MacAddr, proto},
    reason::{Reason, Verdict},
    service::{Service, ServiceKey},
};

use frame::View;
use rewrite::Target;

/// What the program did, or should do, with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Why.
    pub reason: Reason,
    /// XDP action.
    pub action: u32,
    /// The frame afterwards; `None` when it is dropped.
    pub frame: Option<Vec<u8>>,
}

/// One direction of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    peer: Addr,
    new_sport: u16,
    new_dport: u16,
    backend: u16,
    service: u16,
    client_ifindex: u32,
    client_mac: MacAddr,
    own_mac: MacAddr,
    forward: bool,
    expect_ack: u32,
    fin: bool,
    replied: bool,
    closed: bool,
    midstream: bool,
}

/// The model.
#[derive(Debug)]
pub struct Model {
    /// Own Ethernet addresses.
    pub own_macs: Vec<MacAddr>,
    /// The VIPs.
    pub vips: Vec<Addr>,
    /// Services; a VIP's own entry is not among them.
    pub services: HashMap<ServiceKey, Service>,
    /// Service id → backend id by slot.
    pub tables: HashMap<u16, Vec<u16>>,
    /// Backend id → backend.
    pub backends: HashMap<u16, Backend>,
    /// Interfaces that take redirected frames.
    pub egress: HashSet<u32>,
    /// The interface at which every packet arrives.
    pub ingress: u32,
    /// Room for established entries.
    pub capacity: usize,
    /// Established entries.
    pub conns: HashMap<FlowKey, Entry>,
    /// Half-open and just-closed entries.
    pub embryo: HashMap<FlowKey, Entry>,
    /// VIP → until when it may be claimed, in nanoseconds.
    pub leases: HashMap<Addr, u64>,
    /// The time by which leases are judged, in nanoseconds; it stands still.
    pub now: u64,
    /// Counters by reason.
    pub counters: BTreeMap<Reason, Counter>,
    /// Traffic by backend.
    pub backend_traffic: HashMap<u16, Traffic>,
    /// Traffic by service.
    pub service_traffic: HashMap<u16, Traffic>,
}

/// Where a packet goes, and on whose account.
struct Route {
    to: Target,
    backend: u16,
    service: u16,
}

/// What is decided about a packet that is not simply let be.
enum Decision {
    /// Rewritten and sent.
    Forward(Reason, Route),
    /// Anything else.
    Other(Reason),
}

impl Model {
    /// Nothing is configured.
    pub fn new(ingress: u32, capacity: usize) -> Self {
        Self {
            own_macs: Vec::new(),
            vips: Vec::new(),
            services: HashMap::new(),
            tables: HashMap::new(),
            backends: HashMap::new(),
            egress: HashSet::new(),
            ingress,
            capacity,
            conns: HashMap::new(),
            embryo: HashMap::new(),
            leases: HashMap::new(),
            now: 0,
            counters: BTreeMap::new(),
            backend_traffic: HashMap::new(),
            service_traffic: HashMap::new(),
        }
    }

    /// What becomes of a packet.
    pub fn step(&mut self, frame: &[u8]) -> Step {
        let verdict = match self.judge(frame) {
            Err(reason) if reason.verdict() == Verdict::Pass && self.claim_is_over(frame) => {
                Err(Reason::ClaimOver)
            }
            verdict => verdict,
        };
        let step = match verdict {
            Ok(step) => step,
            Err(reason) if reason.verdict() == Verdict::Pass => {
                Step { reason, action: 2, frame: Some(frame.to_vec()) }
            }
            Err(reason) => Step { reason, action: 1, frame: None },
        };
        let counter = self.counters.entry(step.reason).or_default();
        counter.packets += 1;
        counter.bytes += frame.len() as u64;
        step
    }

    fn judge(&mut self, frame: &[u8]) -> Result<Step, Reason> {
        let view = frame::parse(frame, |dst| self.in_filter(dst)).map_err(|bad| {
            let Some((eth_dst, dst)) = bad.about else { return bad.reason };
            match bad.reason {
                _ if !self.own_macs.contains(&eth_dst) => Reason::NotOurMac,
                _ if !self.vips.contains(&dst) => Reason::NotVip,
                reason => reason,
            }
        })?;
        if !self.own_macs.contains(&view.eth_dst) {
            return Err(Reason::NotOurMac);
        }
        match view.key.proto {
            proto::TCP | proto::UDP => self.transport(frame, &view),
            proto::ICMP | proto::ICMPV6 => match self.icmp(frame, &view) {
                Err(reason) if reason.verdict() == Verdict::Pass => self.kernel(&view, reason),
                other => other,
            },
            _ => self.kernel(&view, Reason::OtherProtocol),
        }
    }

    fn kernel<T>(&self, view: &View, reason: Reason) -> Result<T, Reason> {
        Err(if self.vips.contains(&view.key.dst) { reason } else { Reason::NotVip })
    }

    fn transport(&mut self, frame: &[u8], view: &View) -> Result<Step, Reason> {
        for (met, reason) in
            [(view.tagged, Reason::VlanTagged), (view.ttl <= 1, Reason::TtlExpired)]
        {
            if met {
                return Err(self.if_served(view, reason));
            }
        }
        match self.flow(view) {
            Decision::Forward(reason, route) => {
                let out = rewrite::nat(frame, view, &route.to);
                let step = self.send(reason, out, route.to.ifindex)?;
                self.count(reason, &route, u64::from(view.ip_len));
                Ok(step)
            }
            Decision::Other(reason) if reason.verdict() == Verdict::Reply => {
                Ok(Step { reason, action: 3, frame: Some(rewrite::reset(view)) })
            }
            Decision::Other(reason) => Err(reason),
        }
    }

    fn send(&self, reason: Reason, frame: Vec<u8>, ifindex: u32) -> Result<Step, Reason> {
        let action = match ifindex {
            _ if ifindex == self.ingress => 3,
            _ if self.egress.contains(&ifindex) => 4,
            _ => return Err(Reason::NoEgress),
        };
        Ok(Step { reason, action, frame: Some(frame) })
    }

    fn in_filter(&self, addr: &Addr) -> bool {
        self.vips.iter().any(|vip| filter_bit(vip) == filter_bit(addr))
    }

    fn service(&self, key: &FlowKey) -> Option<Service> {
        self.services.get(&ServiceKey::new(key.dst, key.dport, key.proto)).copied()
    }

    /// The reason holds for services and NAT ports; the rest is the kernel's.
    fn if_served(&self, view: &View, reason: Reason) -> Reason {
        if !self.vips.contains(&view.key.dst) {
            Reason::NotVip
        } else if is_nat_port(view.key.dport) || self.service(&view.key).is_some() {
            reason
        } else {
            Reason::NotService
        }
    }

    fn traffic(&mut self, backend: u16, service: u16, add: impl Fn(&mut Traffic)) {
        add(self.backend_traffic.entry(backend).or_default());
        add(self.service_traffic.entry(service).or_default());
    }

    fn count(&mut self, reason: Reason, route: &Route, bytes: u64) {
        self.traffic(route.backend, route.service, |t| {
            if reason == Reason::ToBackend {
                t.packets_in += 1;
                t.bytes_in += bytes;
            } else {
                t.packets_out += 1;
                t.bytes_out += bytes;
            }
        });
    }
}

/// 12288..28672.
fn is_nat_port(port: Be16) -> bool {
    (12_288..28_672).contains(&port.get())
}

impl Entry {
    /// The entry as it stands in the map; without times.
    pub fn to_flow(&self, key: &FlowKey) -> Flow {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let (l3_delta, l4_delta) = rewrite::deltas(key, self);
        Flow {
            peer: self.peer,
            new_sport: Be16::new(self.new_sport),
            new_dport: Be16::new(self.new_dport),
            backend: self.backend,
            service: self.service,
            last_seen: 0,
            created: 0,
            client_ifindex: self.client_ifindex,
            expect_ack: self.expect_ack,
            client_mac: self.client_mac.to_u64(),
            own_mac: self.own_mac.to_u64(),
            l3_delta,
            l4_delta,
            direction: if self.forward { FORWARD } else { REVERSE },
            flags: flag(self.fin, flow_flags::FIN)
                | flag(self.replied, flow_flags::REPLIED)
                | flag(self.closed, flow_flags::CLOSED)
                | flag(self.midstream, flow_flags::MIDSTREAM),
            pad: 0,
        }
    }

    /// From a map's value; its times and deltas are not looked at.
    pub fn from_flow(flow: &Flow) -> Self {
        let flag = |bit: u8| flow.flags & bit != 0;
        Self {
            peer: flow.peer,
            new_sport: flow.new_sport.get(),
            new_dport: flow.new_dport.get(),
            backend: flow.backend,
            service: flow.service,
            client_ifindex: flow.client_ifindex,
            client_mac: MacAddr::from_u64(flow.client_mac),
            own_mac: MacAddr::from_u64(flow.own_mac),
            forward: flow.direction == FORWARD,
            expect_ack: flow.expect_ack,
            fin: flag(flow_flags::FIN),
            replied: flag(flow_flags::REPLIED),
            closed: flag(flow_flags::CLOSED),
            midstream: flag(flow_flags::MIDSTREAM),
        }
    }
}
