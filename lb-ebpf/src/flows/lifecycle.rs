//! How a flow becomes established, learns, and ends. Everything here is off the fast path.

use lb_common::{
    flow::{FORWARD, Flow, FlowKey, flow_flags},
    net::proto,
    reason::Reason,
};
use lb_ebpf::{header::tcp_flags, parse::Packet, rewrite::mirror};

use super::open;
use crate::{
    maps::{self, InsertError, Scratch},
    traffic,
};

/// A client's packet of a half-open flow went to the backend.
#[inline(never)]
pub(super) fn client_spoke(packet: &Packet, flow: &mut Flow) -> Reason {
    if packet.is_tcp() {
        if packet.has(tcp_flags::RST) {
            flow.flags |= flow_flags::CLOSED;
        }
        if flow.flags & flow_flags::CLOSED != 0 {
            return Reason::ToBackend;
        }
        let proven = flow.flags & flow_flags::MIDSTREAM != 0
            || (flow.flags & flow_flags::REPLIED != 0 && packet.ack == flow.expect_ack);
        if proven && !packet.opens() {
            if packet.has(tcp_flags::FIN) {
                flow.flags |= flow_flags::FIN;
            }
            if flow.flags & flow_flags::REPLIED != 0 {
                return establish(&packet.key, flow, Reason::ToBackend);
            }
        }
    }
    keep_port(&packet.key, flow)
}

/// The table may have evicted the other half alone, and another client may hold the port since.
#[inline(always)]
fn keep_port(key: &FlowKey, flow: &Flow) -> Reason {
    let Some(s) = maps::scratch() else { return Reason::Internal };
    s.flow = *flow;
    if open::claim_port(key, s, false) {
        return Reason::ToBackend;
    }
    maps::remove_half_open(key);
    Reason::NatPortLost
}

/// A backend's packet of a half-open flow went to the client.
#[inline(never)]
pub(super) fn backend_spoke(packet: &Packet, reverse: &mut Flow) -> Reason {
    let key = packet.key.other(reverse);
    let Some(flow) = maps::half_open(&key) else { return Reason::ToClient };
    if flow.flags & flow_flags::CLOSED != 0 {
        return Reason::ToClient;
    }
    if !packet.is_tcp() {
        return establish(&key, flow, Reason::ToClient);
    }
    if packet.has(tcp_flags::RST) {
        flow.flags |= flow_flags::CLOSED;
    } else if packet.has(tcp_flags::SYN | tcp_flags::ACK) {
        flow.expect_ack = packet.seq.wrapping_add(1);
        flow.flags |= flow_flags::REPLIED;
    } else if flow.flags & flow_flags::MIDSTREAM != 0 {
        flow.flags |= flow_flags::REPLIED;
    }
    if packet.has(tcp_flags::FIN) {
        reverse.flags |= flow_flags::FIN;
        if flow.flags & flow_flags::FIN != 0 {
            flow.flags |= flow_flags::CLOSED;
        }
    }
    Reason::ToClient
}

/// Moves a flow to the established ones: the reverse entry claims the NAT port, then the forward
/// entry decides which of several CPUs counts the connection.
#[inline(never)]
fn establish(key: &FlowKey, flow: &mut Flow, done: Reason) -> Reason {
    let Some(s) = maps::scratch() else { return Reason::Internal };
    s.flow = *flow;
    s.flow.flags = flow.flags & flow_flags::FIN;
    s.flow.expect_ack = 0;
    mirror(key, &s.flow, &mut s.other, &mut s.reverse);
    if let Some(half) = maps::half_open(&s.other) {
        s.reverse.flags = half.flags & flow_flags::FIN;
        if s.flow.flags & s.reverse.flags != 0 {
            flow.flags |= flow_flags::CLOSED;
            return done;
        }
    }
    let claimed = match maps::claim_established(&s.other, &s.reverse) {
        Ok(()) => true,
        Err(InsertError::Exists) => {
            if maps::established(&s.other).is_none_or(|held| !open::same_client(held, &s.reverse)) {
                lose(key, &s.other);
                return Reason::NatPortLost;
            }
            false
        }
        Err(InsertError::Full) => return full(key, &s.other, done),
    };
    match maps::claim_established(key, &s.flow) {
        Ok(()) => traffic::opened(s.flow.backend, s.flow.service),
        Err(InsertError::Exists) => {}
        Err(InsertError::Full) => {
            if claimed {
                maps::remove_established(&s.other);
            }
            return full(key, &s.other, done);
        }
    }
    lose(key, &s.other);
    done
}

fn full(key: &FlowKey, other: &FlowKey, done: Reason) -> Reason {
    lose(key, other);
    // Only a client's TCP packet can be answered with a RST to the client.
    if key.proto == proto::TCP && matches!(done, Reason::ToBackend) {
        Reason::RefusedTableFull
    } else {
        Reason::TableFull
    }
}

fn lose(key: &FlowKey, other: &FlowKey) {
    maps::remove_half_open(key);
    maps::remove_half_open(other);
}

/// A FIN or RST passed, or the flow was half closed before.
#[inline(never)]
pub(super) fn ending(packet: &Packet, flow: &mut Flow) {
    if packet.has(tcp_flags::FIN) {
        flow.flags |= flow_flags::FIN;
    }
    let over = packet.has(tcp_flags::RST)
        || (flow.flags & flow_flags::FIN != 0
            && maps::established(&packet.key.other(flow))
                .is_some_and(|other| other.flags & flow_flags::FIN != 0));
    if over {
        close(&packet.key, flow);
    }
}

/// Moves an ended flow, given either direction's entry, to the just-closed ones: its last packets
/// still find it, and no other client gets its NAT port.
#[inline(never)]
pub(super) fn close(key: &FlowKey, flow: &Flow) {
    let Some(s) = maps::scratch() else { return };
    s.flow = *flow;
    s.flow.flags |= flow_flags::CLOSED;
    mirror(key, &s.flow, &mut s.other, &mut s.reverse);
    // The table evicts when full. Should it fail all the same, the connection's last packets make
    // a new half-open flow, no more.
    maps::put_half_open(key, &s.flow);
    maps::put_half_open(&s.other, &s.reverse);
    remove(key, s);
}

/// Removes an established flow, given its forward key, so that its tuple can be used anew.
#[inline(never)]
pub(super) fn forget_established(key: &FlowKey, flow: &Flow) {
    let Some(s) = maps::scratch() else { return };
    s.flow = *flow;
    s.other = key.other(flow);
    remove(key, s);
}

/// Removes a half-open or just-closed flow, given its forward key.
#[inline(never)]
pub(super) fn forget_half_open(key: &FlowKey, flow: &Flow) {
    lose(key, &key.other(flow));
}

/// Whoever removes the forward entry counts the end.
fn remove(key: &FlowKey, s: &Scratch) {
    let (forward, reverse) =
        if s.flow.direction == FORWARD { (key, &s.other) } else { (&s.other, key) };
    if maps::remove_established(forward) {
        traffic::closed(s.flow.backend, s.flow.service);
    }
    maps::remove_established(reverse);
}

/// The client's packets come from another station now (its gateway failed over), or to another of
/// our addresses.
#[inline(never)]
pub(super) fn learn_client(packet: &Packet, flow: &mut Flow, ingress: u32) {
    let other = packet.key.other(flow);
    for entry in [Some(flow), maps::established(&other), maps::half_open(&other)] {
        if let Some(entry) = entry {
            entry.client_mac = packet.eth_src;
            entry.own_mac = packet.eth_dst;
            entry.client_ifindex = ingress;
        }
    }
}
