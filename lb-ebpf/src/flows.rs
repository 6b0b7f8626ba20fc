//! What becomes of a TCP or UDP packet: its flow is found, or made, or there is a reason.

mod lifecycle;
mod open;

use aya_ebpf::helpers::generated::bpf_jiffies64;
use lb_common::{
    backend::{Backend, BackendState},
    flow::{FORWARD, Flow, FlowKey, TOUCH_JIFFIES, flow_flags},
    reason::{Reason, Verdict},
};
use lb_ebpf::{header::tcp_flags, parse::Packet, rewrite::Rewrite};

use crate::maps;

/// Where a packet goes, and on whose account.
#[derive(Clone, Copy, Default)]
pub(crate) struct Route {
    /// What is written into it.
    pub(crate) to: Rewrite,
    /// Backend id.
    pub(crate) backend: u16,
    /// Service id.
    pub(crate) service: u16,
}

/// The low word of the kernel's clock of timer ticks: one instruction, where a clock in
/// nanoseconds costs as much as a table look-up.
#[inline(always)]
fn jiffies() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// The verdict on a packet; `route` is filled in when it is to be forwarded.
#[inline(always)]
pub(crate) fn decide(packet: &Packet, ingress: u32, route: &mut Route) -> Reason {
    if let Some(flow) = maps::established(&packet.key) {
        if !starts_anew(packet, flow, false) {
            return established(packet, flow, ingress, route);
        }
        lifecycle::forget_established(&packet.key, flow);
    } else if let Some(flow) = maps::half_open(&packet.key) {
        if !starts_anew(packet, flow, true) {
            return half_open(packet, flow, ingress, route);
        }
        lifecycle::forget_half_open(&packet.key, flow);
    }
    open::flow(packet, ingress, route)
}

/// The route of an ICMP error about the flow with this key.
#[inline(always)]
pub(crate) fn route_of(key: &FlowKey, route: &mut Route) -> Reason {
    let Some(flow) = maps::established(key).or_else(|| maps::half_open(key)) else {
        return Reason::IcmpUnrelated;
    };
    let Some(backend) = maps::backend(flow.backend) else { return Reason::Internal };
    match along(flow, backend, route) {
        Reason::ToBackend => Reason::IcmpToBackend,
        Reason::ToClient => Reason::IcmpToClient,
        reason => reason,
    }
}

#[inline(always)]
fn established(packet: &Packet, flow: &mut Flow, ingress: u32, route: &mut Route) -> Reason {
    let reason = follow(packet, flow, ingress, route);
    match reason {
        Reason::ToBackend | Reason::ToClient => {
            let ends = packet.flags & (tcp_flags::FIN | tcp_flags::RST) != 0;
            if packet.is_tcp() && (ends || flow.flags & flow_flags::FIN != 0) {
                lifecycle::ending(packet, flow);
            }
        }
        Reason::ResetClient => lifecycle::close(&packet.key, flow),
        // The client itself has ended it.
        Reason::ResetOfReset if flow.direction == FORWARD => {
            lifecycle::close(&packet.key, flow);
        }
        _ => {}
    }
    reason
}

#[inline(always)]
fn half_open(packet: &Packet, flow: &mut Flow, ingress: u32, route: &mut Route) -> Reason {
    let reason = follow(packet, flow, ingress, route);
    match reason {
        Reason::ToBackend => lifecycle::client_spoke(packet, flow),
        Reason::ToClient => lifecycle::backend_spoke(packet, flow),
        reason => reason,
    }
}

/// Whether the packet of a known flow is the beginning of another: a SYN where the old connection
/// has ended or lost its backend, or a datagram whose backend is gone.
#[inline(always)]
fn starts_anew(packet: &Packet, flow: &Flow, half_open: bool) -> bool {
    if flow.direction != FORWARD || (packet.is_tcp() && !packet.opens()) {
        return false;
    }
    if half_open && flow.flags & flow_flags::CLOSED != 0 {
        return true;
    }
    maps::backend(flow.backend).is_none_or(|b| b.state != BackendState::Forward as u8)
}

/// Applies a flow's entry to its packet.
#[inline(always)]
fn follow(packet: &Packet, flow: &mut Flow, ingress: u32, route: &mut Route) -> Reason {
    let Some(backend) = maps::backend(flow.backend) else { return Reason::Internal };
    if backend.state != BackendState::Forward as u8 {
        return backend_is_down(packet, flow);
    }
    let reason = along(flow, backend, route);
    if !matches!(reason.verdict(), Verdict::Forward) {
        return reason;
    }
    let now = jiffies();
    if now.wrapping_sub(flow.last_seen) >= TOUCH_JIFFIES {
        flow.last_seen = now;
    }
    if flow.direction == FORWARD
        && (flow.client_mac != packet.eth_src
            || flow.own_mac != packet.eth_dst
            || flow.client_ifindex != ingress)
    {
        lifecycle::learn_client(packet, flow, ingress);
    }
    reason
}

#[inline(always)]
fn along(flow: &Flow, backend: &Backend, route: &mut Route) -> Reason {
    route.backend = flow.backend;
    route.service = flow.service;
    let to = &mut route.to;
    to.peer = flow.peer;
    to.sport = flow.new_sport;
    to.dport = flow.new_dport;
    to.l3_delta = flow.l3_delta;
    to.l4_delta = flow.l4_delta;
    if flow.direction == FORWARD {
        let hop = if backend.hop == 0 { &backend.hops[0] } else { &backend.hops[1] };
        if hop.ifindex == 0 {
            return Reason::NoNextHop;
        }
        to.ifindex = hop.ifindex;
        to.eth_dst = hop.destination.to_u64();
        to.eth_src = hop.source.to_u64();
        Reason::ToBackend
    } else {
        to.ifindex = flow.client_ifindex;
        to.eth_dst = flow.client_mac;
        to.eth_src = flow.own_mac;
        Reason::ToClient
    }
}

#[inline(always)]
fn backend_is_down(packet: &Packet, flow: &Flow) -> Reason {
    if !packet.is_tcp() {
        Reason::BackendGone
    } else if packet.has(tcp_flags::RST) {
        Reason::ResetOfReset
    } else if flow.direction == FORWARD {
        Reason::ResetClient
    } else {
        Reason::ResetBackend
    }
}
