//! The life of a flow: found, established, ended.

use lb_common::{
    backend::BackendState,
    flow::FlowKey,
    net::Be16,
    reason::{Reason, Verdict},
};

use super::{Decision, Entry, Model, Route, frame::View, rewrite::Target};
use crate::packet::{ACK, FIN, RST, SYN};

/// The key of the other direction: a packet with `key` leaves as `dst:new_sport → peer:new_dport`.
pub(super) fn other(key: &FlowKey, entry: &Entry) -> FlowKey {
    FlowKey {
        src: entry.peer,
        sport: Be16::new(entry.new_dport),
        dport: Be16::new(entry.new_sport),
        ..*key
    }
}

/// The entry of the other direction, as a fresh one.
pub(super) fn mirror(key: &FlowKey, entry: &Entry) -> Entry {
    Entry {
        peer: key.src,
        new_sport: key.dport.get(),
        new_dport: key.sport.get(),
        forward: !entry.forward,
        expect_ack: 0,
        fin: false,
        replied: false,
        midstream: false,
        ..entry.clone()
    }
}

/// Two reverse entries that lead to one client's socket through one service.
pub(super) fn same_client(a: &Entry, b: &Entry) -> bool {
    (a.peer, a.new_sport, a.new_dport) == (b.peer, b.new_sport, b.new_dport)
}

impl Model {
    pub(super) fn up(&self, backend: u16) -> bool {
        self.backends.get(&backend).is_some_and(|b| b.state == BackendState::Forward as u8)
    }

    /// The verdict on a TCP or UDP packet.
    pub(super) fn flow(&mut self, view: &View) -> Decision {
        let established = self.conns.contains_key(&view.key);
        let table = if established { &self.conns } else { &self.embryo };
        let Some(entry) = table.get(&view.key).cloned() else { return self.open(view) };
        // A client's SYN or datagram for a dead backend, or a SYN after the end, begins anew.
        if entry.forward
            && (!view.is_tcp() || view.opens())
            && (entry.closed || !self.up(entry.backend))
        {
            let reverse = other(&view.key, &entry);
            if established {
                self.end(&view.key, &entry);
            } else {
                self.embryo.remove(&view.key);
                self.embryo.remove(&reverse);
            }
            return self.open(view);
        }
        if !self.up(entry.backend) {
            return Decision::Other(self.dead(view, &entry, established));
        }
        let decision = self.along(&entry);
        let Decision::Forward(..) = decision else { return decision };
        if entry.forward {
            self.learn(view, &entry);
        }
        match self.live(view, established) {
            Some(reason) if reason.verdict() != Verdict::Forward => Decision::Other(reason),
            _ => decision,
        }
    }

    /// Where an entry's packets go.
    pub(super) fn along(&self, entry: &Entry) -> Decision {
        let hop = self.backends.get(&entry.backend).map(|b| b.hops[usize::from(b.hop != 0)]);
        let (reason, ifindex, eth_dst, eth_src) = if entry.forward {
            match hop {
                None => return Decision::Other(Reason::Internal),
                Some(hop) if hop.ifindex == 0 => return Decision::Other(Reason::NoNextHop),
                Some(hop) => (Reason::ToBackend, hop.ifindex, hop.destination, hop.source),
            }
        } else {
            (Reason::ToClient, entry.client_ifindex, entry.client_mac, entry.own_mac)
        };
        let (sport, dport) = (entry.new_sport, entry.new_dport);
        let to = Target { peer: entry.peer, sport, dport, ifindex, eth_dst, eth_src };
        Decision::Forward(reason, Route { to, backend: entry.backend, service: entry.service })
    }

    /// A packet of a flow whose backend is down.
    fn dead(&mut self, view: &View, entry: &Entry, established: bool) -> Reason {
        let reason = match (view.is_tcp(), view.has(RST), entry.forward) {
            (false, ..) => Reason::BackendGone,
            (true, true, _) => Reason::ResetOfReset,
            (true, false, true) => Reason::ResetClient,
            (true, false, false) => Reason::ResetBackend,
        };
        if view.is_tcp() && entry.forward && established {
            self.close(&view.key, entry);
        }
        reason
    }

    /// Both directions learn the stations of the client's packet.
    fn learn(&mut self, view: &View, entry: &Entry) {
        let way = (view.eth_src, view.eth_dst, self.ingress);
        if (entry.client_mac, entry.own_mac, entry.client_ifindex) == way {
            return;
        }
        for key in [view.key, other(&view.key, entry)] {
            for table in [&mut self.conns, &mut self.embryo] {
                if let Some(entry) = table.get_mut(&key) {
                    (entry.client_mac, entry.own_mac, entry.client_ifindex) = way;
                }
            }
        }
    }

    /// What a forwarded packet does to its flow; a reason when it is not forwarded after all.
    fn live(&mut self, view: &View, established: bool) -> Option<Reason> {
        let table = if established { &mut self.conns } else { &mut self.embryo };
        let entry = table.get_mut(&view.key)?;
        if established {
            if view.is_tcp() {
                entry.fin |= view.has(FIN);
                let entry = entry.clone();
                let answered = self.conns.get(&other(&view.key, &entry)).is_some_and(|o| o.fin);
                if view.has(RST) || (entry.fin && answered) {
                    self.close(&view.key, &entry);
                }
            }
            None
        } else if entry.forward {
            self.client_spoke(view)
        } else {
            self.backend_spoke(view)
        }
    }

    fn client_spoke(&mut self, view: &View) -> Option<Reason> {
        let entry = self.embryo.get_mut(&view.key)?;
        if view.is_tcp() {
            entry.closed |= view.has(RST);
            if entry.closed {
                return None;
            }
            let proven = entry.midstream || (entry.replied && view.ack == entry.expect_ack);
            if proven && !view.opens() {
                entry.fin |= view.has(FIN);
                if entry.replied {
                    return self.establish(&view.key, true);
                }
            }
        }
        // The other half may have been evicted, and its port taken.
        let entry = entry.clone();
        if self.claim_port(&view.key, &entry, false) {
            return None;
        }
        self.embryo.remove(&view.key);
        Some(Reason::NatPortLost)
    }

    fn backend_spoke(&mut self, view: &View) -> Option<Reason> {
        let key = other(&view.key, self.embryo.get(&view.key)?);
        let forward = self.embryo.get_mut(&key)?;
        if forward.closed {
            return None;
        }
        if !view.is_tcp() {
            return self.establish(&key, false);
        }
        if view.has(RST) {
            forward.closed = true;
        } else if view.has(SYN | ACK) {
            forward.expect_ack = view.seq.wrapping_add(1);
            forward.replied = true;
        } else if forward.midstream {
            forward.replied = true;
        }
        if view.has(FIN) {
            forward.closed |= forward.fin;
            self.embryo.get_mut(&view.key)?.fin = true;
        }
        None
    }

    /// Moves a half-open flow, given its forward key, to the established ones.
    fn establish(&mut self, key: &FlowKey, by_client_tcp: bool) -> Option<Reason> {
        let half = self.embryo.get(key)?.clone();
        let reverse_key = other(key, &half);
        let reverse_fin = self.embryo.get(&reverse_key).is_some_and(|r| r.fin);
        if half.fin && reverse_fin {
            self.embryo.get_mut(key)?.closed = true;
            return None;
        }
        let forward = Entry { expect_ack: 0, replied: false, midstream: false, ..half };
        let reverse = Entry { fin: reverse_fin, ..mirror(key, &forward) };
        self.embryo.remove(key);
        self.embryo.remove(&reverse_key);
        let held = self.conns.get(&reverse_key);
        if held.is_some_and(|held| !same_client(held, &reverse)) {
            return Some(Reason::NatPortLost);
        }
        let missing = usize::from(held.is_none()) + usize::from(!self.conns.contains_key(key));
        if self.conns.len() + missing > self.capacity {
            let full = [Reason::TableFull, Reason::RefusedTableFull];
            return Some(full[usize::from(by_client_tcp)]);
        }
        self.conns.entry(reverse_key).or_insert(reverse);
        if !self.conns.contains_key(key) {
            self.traffic(forward.backend, forward.service, |t| {
                t.connections_total += 1;
                t.connections_active = t.connections_active.wrapping_add(1);
            });
            self.conns.insert(*key, forward);
        }
        None
    }

    /// Moves an established flow, given either entry, to the just-closed ones.
    fn close(&mut self, key: &FlowKey, entry: &Entry) {
        let closed = Entry { closed: true, ..entry.clone() };
        let reverse = mirror(key, &closed);
        self.embryo.insert(other(key, entry), reverse);
        self.embryo.insert(*key, closed);
        self.end(key, entry);
    }

    /// Removes an established flow, given either entry, and counts its end.
    fn end(&mut self, key: &FlowKey, entry: &Entry) {
        let pair = [*key, other(key, entry)];
        let forward = pair[usize::from(!entry.forward)];
        if self.conns.contains_key(&forward) {
            self.traffic(entry.backend, entry.service, |t| {
                t.connections_active = t.connections_active.wrapping_sub(1);
            });
        }
        for key in pair {
            self.conns.remove(&key);
        }
    }

    /// Removes established flows by their forward keys; how many there were.
    pub fn reap(&mut self, keys: &[FlowKey]) -> u32 {
        let mut removed = 0;
        for key in keys {
            let Some(entry) = self.conns.get(key).cloned() else { continue };
            removed += u32::from(entry.forward);
            self.end(key, &entry);
        }
        removed
    }
}
