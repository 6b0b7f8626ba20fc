//! A packet that no flow claims.

use lb_common::{
    flow::FlowKey,
    reason::Reason,
    service::{NoBackend, Service, service_flags},
};
use lb_ebpf::select::FlowHash;

use super::{
    Decision, Entry, Model,
    flows::{mirror, other, same_client},
    frame::View,
};
use crate::packet::{ACK, FIN, RST, SYN};

/// Ports tried.
const PROBES: u32 = 8;

impl Model {
    /// From a client it makes a flow; from a backend it is dropped; else it is the kernel's.
    pub(super) fn open(&mut self, view: &View) -> Decision {
        match self.new_flow(view) {
            Ok(entry) => self.along(&entry),
            Err(reason) => Decision::Other(reason),
        }
    }

    fn new_flow(&mut self, view: &View) -> Result<Entry, Reason> {
        let Some(service) = self.service(&view.key) else {
            return Err(self.if_served(view, Reason::NatPortMiss));
        };
        if view.is_tcp() && view.has(RST) {
            return Err(Reason::RstUnknown);
        }
        if view.is_tcp() && view.has(SYN | ACK) {
            return Err(Reason::BadTcpFlags);
        }
        let sticky = service.flags & service_flags::AFFINITY_CLIENT != 0;
        let hash = FlowHash::new(&view.key, sticky);
        let id = self.tables.get(&service.id).map_or(0, |table| table[hash.slot()]);
        let backend = self.backends.get(&id).copied().filter(|b| b.service == service.id);
        let Some(backend) = backend.filter(|_| self.up(id)) else {
            return Err(no_backend(view, &service));
        };
        if backend.hops[usize::from(backend.hop != 0)].ifindex == 0 {
            return Err(Reason::NoNextHop);
        }
        let midstream = view.is_tcp() && !view.opens();
        let mut entry = Entry {
            peer: backend.address,
            new_sport: 0,
            new_dport: backend.port.get(),
            backend: id,
            service: service.id,
            client_ifindex: self.ingress,
            client_mac: view.eth_src,
            own_mac: view.eth_dst,
            forward: true,
            expect_ack: 0,
            fin: midstream && view.has(FIN),
            replied: false,
            closed: false,
            midstream,
        };
        for k in 0..PROBES {
            entry.new_sport = hash.nat_port(k).get();
            if self.claim_port(&view.key, &entry, true) {
                self.embryo.insert(view.key, entry.clone());
                return Ok(entry);
            }
        }
        let k = self.weakest_port(&view.key, &entry, hash).ok_or(Reason::NatPortsBusy)?;
        entry.new_sport = hash.nat_port(k).get();
        self.evict(&other(&view.key, &entry));
        self.embryo.insert(other(&view.key, &entry), mirror(&view.key, &entry));
        self.embryo.insert(view.key, entry.clone());
        Ok(entry)
    }

    /// The first probe whose port a closed flow holds, or else a half-open one.
    fn weakest_port(&self, key: &FlowKey, entry: &Entry, hash: FlowHash) -> Option<u32> {
        let reverse_key =
            |k: u32| other(key, &Entry { new_sport: hash.nat_port(k).get(), ..entry.clone() });
        let mut weak = (0..PROBES).filter(|&k| {
            let port = reverse_key(k);
            let owner = self.conns.get(&self.owner(&port));
            !self.conns.contains_key(&port)
                && owner.is_none_or(|o| !leads_to(&self.owner(&port), o, &port))
        });
        let first = weak.clone().next();
        weak.find(|&k| self.over(&reverse_key(k))).or(first)
    }

    /// The forward key of the half-open flow that holds a port.
    fn owner(&self, port: &FlowKey) -> FlowKey {
        self.embryo.get(port).map_or(*port, |held| other(port, held))
    }

    /// Whether either of a half-open flow's entries says that it has ended.
    fn over(&self, port: &FlowKey) -> bool {
        let owner = self.owner(port);
        let forward = self.embryo.get(&owner).filter(|o| leads_to(&owner, o, port));
        forward.into_iter().chain(self.embryo.get(port)).any(|entry| entry.closed)
    }

    /// Removes a port's half-open holder, with its forward entry if that still leads there.
    fn evict(&mut self, port: &FlowKey) {
        let owner = self.owner(port);
        if self.embryo.get(&owner).is_some_and(|o| leads_to(&owner, o, port)) {
            self.embryo.remove(&owner);
        }
        self.embryo.remove(port);
    }

    /// Holds the port of this forward entry for its client; false when another has it.
    pub(super) fn claim_port(&mut self, key: &FlowKey, entry: &Entry, anew: bool) -> bool {
        let reverse_key = other(key, entry);
        let reverse = mirror(key, entry);
        if let Some(held) = self.conns.get(&reverse_key) {
            if !same_client(held, &reverse) {
                return false;
            }
            if !anew || self.conns.contains_key(key) {
                return true;
            }
            // Half a flow is none.
            self.conns.remove(&reverse_key);
        }
        match self.embryo.get_mut(&reverse_key) {
            Some(held) if !same_client(held, &reverse) => false,
            Some(held) => {
                held.client_mac = reverse.client_mac;
                held.own_mac = reverse.own_mac;
                held.client_ifindex = reverse.client_ifindex;
                (held.fin, held.replied, held.closed, held.midstream) =
                    (false, false, false, false);
                true
            }
            None => {
                self.embryo.insert(reverse_key, reverse);
                true
            }
        }
    }
}

/// Whether the other direction of the flow with this key and entry is found under `port`.
fn leads_to(key: &FlowKey, entry: &Entry, port: &FlowKey) -> bool {
    other(key, entry) == *port
}

fn no_backend(view: &View, service: &Service) -> Reason {
    if view.is_tcp() && service.when_no_backend == NoBackend::Reject as u8 {
        Reason::RefusedNoBackend
    } else {
        Reason::NoBackend
    }
}
