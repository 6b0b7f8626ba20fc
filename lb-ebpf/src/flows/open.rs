//! A packet that no flow claims: from a client it makes one, from a backend it is dropped.

use lb_common::{
    abi::NAT_PROBES,
    backend::BackendState,
    flow::{FORWARD, Flow, FlowKey, flow_flags},
    reason::Reason,
    service::{NoBackend, Service, ServiceKey, service_flags},
};
use lb_ebpf::{
    header::tcp_flags,
    parse::Packet,
    rewrite::{mirror, set_deltas},
    select::{FlowHash, is_nat_port},
};

use super::{Route, along, jiffies};
use crate::maps::{self, InsertError, Scratch};

/// Makes a flow for a client's packet. A segment in mid-stream makes one as well: after a failover
/// the same hashes lead it to the same backend and port.
#[inline(never)]
pub(super) fn flow(packet: &Packet, ingress: u32, route: &mut Route) -> Reason {
    let key = &packet.key;
    let wanted = ServiceKey::new(key.dst, key.dport, key.proto);
    let Some(service) = maps::service(&wanted) else { return unserved(packet) };
    if packet.is_tcp() {
        if packet.has(tcp_flags::RST) {
            return Reason::RstUnknown;
        }
        if packet.has(tcp_flags::SYN | tcp_flags::ACK) {
            return Reason::BadTcpFlags;
        }
    }
    let hash = FlowHash::new(key, service.flags & service_flags::AFFINITY_CLIENT != 0);
    let id = maps::maglev(service.id, hash.slot());
    if id == 0 {
        return no_backend(packet, &service);
    }
    let Some(backend) = maps::backend(id) else { return Reason::Internal };
    if backend.state != BackendState::Forward as u8 || backend.service != service.id {
        return no_backend(packet, &service);
    }
    let Some(scratch) = maps::scratch() else { return Reason::Internal };
    let now = jiffies();
    let flow = &mut scratch.flow;
    flow.peer = backend.address;
    flow.new_dport = backend.port;
    flow.backend = id;
    flow.service = service.id;
    flow.last_seen = now;
    flow.created = now;
    flow.client_ifindex = ingress;
    flow.expect_ack = 0;
    flow.client_mac = packet.eth_src;
    flow.own_mac = packet.eth_dst;
    flow.direction = FORWARD;
    flow.flags = match () {
        () if !packet.is_tcp() || packet.opens() => 0,
        () if packet.has(tcp_flags::FIN) => flow_flags::MIDSTREAM | flow_flags::FIN,
        () => flow_flags::MIDSTREAM,
    };
    flow.pad = 0;
    let reason = along(flow, backend, route);
    if !matches!(reason, Reason::ToBackend) {
        return reason;
    }
    if !claim(key, hash, scratch) {
        return Reason::NatPortsBusy;
    }
    along(&scratch.flow, backend, route)
}

/// Claims a NAT port by inserting the reverse entry, then inserts the forward entry. The tables'
/// own bucket locks are the only locks.
#[inline(never)]
fn claim(key: &FlowKey, hash: FlowHash, scratch: &mut Scratch) -> bool {
    for k in 0..NAT_PROBES {
        scratch.flow.new_sport = hash.nat_port(k);
        if claim_port(key, scratch, true) {
            insert(key, scratch);
            return true;
        }
    }
    // A second walk, only when there is no other way: ports are fewer than the flows that may be
    // half open, so the table need not have evicted anything yet.
    take_over(key, hash, scratch)
}

/// Inserts the forward entry of the flow in the scratch room, whose port is claimed.
#[inline(always)]
fn insert(key: &FlowKey, scratch: &mut Scratch) {
    set_deltas(key, &mut scratch.flow);
    if let Err(InsertError::Exists) = maps::claim_half_open(key, &scratch.flow) {
        // Another CPU was first with the same tuple: its entry holds.
        if let Some(winner) = maps::half_open(key) {
            scratch.flow = *winner;
        }
    }
}

/// Who holds a NAT port that somebody else wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// A flow that must not lose it.
    Established,
    /// A flow that a flood of others could evict just as well.
    HalfOpen,
    /// A flow that has ended.
    Closed,
}

/// Takes a NAT port from a flow that has ended, or else from one that is half open.
#[inline(never)]
fn take_over(key: &FlowKey, hash: FlowHash, scratch: &mut Scratch) -> bool {
    let mut chosen = None;
    for k in 0..NAT_PROBES {
        scratch.flow.new_sport = hash.nat_port(k);
        scratch.other = key.other(&scratch.flow);
        match holder(&scratch.other) {
            Holder::Established => {}
            Holder::HalfOpen => chosen = chosen.or(Some(k)),
            Holder::Closed => {
                chosen = Some(k);
                break;
            }
        }
    }
    let Some(k) = chosen else { return false };
    scratch.flow.new_sport = hash.nat_port(k);
    if !seize_port(key, scratch) {
        return false;
    }
    insert(key, scratch);
    true
}

/// Who holds the port of this reverse key.
#[inline(never)]
fn holder(other: &FlowKey) -> Holder {
    if maps::established(other).is_some() {
        return Holder::Established;
    }
    // Given back meanwhile: as good as closed.
    let Some(held) = maps::half_open(other) else { return Holder::Closed };
    let theirs = other.other(held);
    if maps::established(&theirs).is_some_and(|flow| theirs.other(flow) == *other) {
        return Holder::Established;
    }
    let closed = held.flags & flow_flags::CLOSED != 0
        || maps::half_open(&theirs).is_some_and(|flow| {
            flow.flags & flow_flags::CLOSED != 0 && theirs.other(flow) == *other
        });
    if closed { Holder::Closed } else { Holder::HalfOpen }
}

/// Takes the port of the flow in the scratch room from its half-open holder. Its forward entry goes
/// too, unless that has found another port; a packet of it opens another flow.
///
/// Of several CPUs that come for the same port one removes the holder, and the others give up. One
/// that looks a moment too late may still remove the winner's entry: the winner's next packet finds
/// the port lost then, like any flow whose other half the table has evicted.
#[inline(never)]
fn seize_port(key: &FlowKey, scratch: &mut Scratch) -> bool {
    mirror(key, &scratch.flow, &mut scratch.other, &mut scratch.reverse);
    if let Some(held) = maps::half_open(&scratch.other) {
        let theirs = scratch.other.other(held);
        if !maps::remove_half_open(&scratch.other) {
            return false;
        }
        if maps::half_open(&theirs).is_some_and(|flow| theirs.other(flow) == scratch.other) {
            maps::remove_half_open(&theirs);
        }
    }
    if maps::claim_half_open(&scratch.other, &scratch.reverse).is_err() {
        return false;
    }
    if maps::established(&scratch.other).is_some() {
        // The holder was established on another CPU since it was looked at.
        maps::remove_half_open(&scratch.other);
        return false;
    }
    true
}

/// Claims the NAT port of the flow in the scratch room: taken by nobody, or held for this very
/// client. For a flow made `anew` an established entry whose other half is gone is a leftover: by
/// it the backend's answer would not count as one.
#[inline(never)]
pub(super) fn claim_port(key: &FlowKey, scratch: &mut Scratch, anew: bool) -> bool {
    mirror(key, &scratch.flow, &mut scratch.other, &mut scratch.reverse);
    if let Some(held) = maps::established(&scratch.other) {
        if !same_client(held, &scratch.reverse) {
            return false;
        }
        if !anew || maps::established(key).is_some() {
            return true;
        }
        maps::remove_established(&scratch.other);
    }
    if let Some(held) = maps::half_open(&scratch.other) {
        return adopt(held, &scratch.reverse);
    }
    match maps::claim_half_open(&scratch.other, &scratch.reverse) {
        Ok(()) => true,
        Err(InsertError::Exists) => {
            maps::half_open(&scratch.other).is_some_and(|held| adopt(held, &scratch.reverse))
        }
        Err(InsertError::Full) => false,
    }
}

/// Takes over an entry that was left from the same client's earlier flow: its FIN was that one's,
/// and the way back to the client may have changed since.
#[inline(always)]
fn adopt(held: &mut Flow, reverse: &Flow) -> bool {
    if !same_client(held, reverse) {
        return false;
    }
    held.client_mac = reverse.client_mac;
    held.own_mac = reverse.own_mac;
    held.client_ifindex = reverse.client_ifindex;
    held.flags = reverse.flags;
    true
}

/// Whether two reverse entries lead to the same client through the same service.
#[inline(always)]
pub(super) fn same_client(a: &Flow, b: &Flow) -> bool {
    a.peer == b.peer && a.new_dport == b.new_dport && a.new_sport == b.new_sport
}

fn no_backend(packet: &Packet, service: &Service) -> Reason {
    if packet.is_tcp() && service.when_no_backend == NoBackend::Reject as u8 {
        Reason::RefusedNoBackend
    } else {
        Reason::NoBackend
    }
}

/// Neither flow nor service. The kernel would answer a backend's packet with RST, so it must not
/// see one.
fn unserved(packet: &Packet) -> Reason {
    if !crate::is_vip(&packet.key.dst) {
        Reason::NotVip
    } else if is_nat_port(packet.key.dport) {
        Reason::NatPortMiss
    } else {
        Reason::NotService
    }
}
