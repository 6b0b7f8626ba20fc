//! Flows: one entry for each direction, found by the tuple as it arrives.

use crate::net::{Addr, Be16};

/// Key of `conns` and `embryo`: addresses and ports exactly as the arriving packet carries them.
///
/// Forward (client → VIP) and reverse (backend → VIP) entries share the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// Source address: the client, or the backend.
    pub src: Addr,
    /// Destination address: always the VIP, which is the SNAT address too.
    pub dst: Addr,
    /// Source port, network order.
    pub sport: Be16,
    /// Destination port, network order: the service's, or the NAT port.
    pub dport: Be16,
    /// 6 (TCP) or 17 (UDP).
    pub proto: u8,
    /// Always zero: the kernel hashes it.
    pub pad: u8,
    /// Always zero.
    pub pad_end: u16,
}
map_type!(FlowKey {
    src: Addr,
    dst: Addr,
    sport: Be16,
    dport: Be16,
    proto: u8,
    pad: u8,
    pad_end: u16,
} size 40 align 8);

/// Value of `conns` and `embryo`: what becomes of a packet with this key.
///
/// The new source address is the old destination address (the VIP) in both directions.
/// Inserted by the XDP program; each entry is touched only by packets of its own direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// New destination address: the backend (forward) or the client (reverse).
    pub peer: Addr,
    /// New source port, network order.
    pub new_sport: Be16,
    /// New destination port, network order.
    pub new_dport: Be16,
    /// Backend id.
    pub backend: u16,
    /// Service id.
    pub service: u16,
    /// Low 32 bits of `bpf_jiffies64` at the last packet, refreshed when older than
    /// [`TOUCH_JIFFIES`].
    pub last_seen: u32,
    /// Low 32 bits of `bpf_jiffies64` when the flow was made.
    pub created: u32,
    /// Interface at which the client's packets arrive; reverse packets leave there.
    pub client_ifindex: u32,
    /// Embryo only: the acknowledgement number, host order, by which the client proves that it
    /// saw the backend's SYN-ACK (its sequence number + 1). Valid with [`flow_flags::REPLIED`].
    pub expect_ack: u32,
    /// Source of the client's frames, the client itself or its gateway, as
    /// [`MacAddr::to_u64`](crate::net::MacAddr::to_u64).
    pub client_mac: u64,
    /// Destination of the client's frames: this node; in the same form.
    pub own_mac: u64,
    /// One's complement sum to add to the IPv4 header checksum (RFC 1624 eq. 3), in the byte
    /// order of the wire as loaded natively; TTL not included. Unused for IPv6.
    pub l3_delta: u16,
    /// The same for the TCP or UDP checksum: address and both ports.
    pub l4_delta: u16,
    /// 1 = forward (client → backend), 2 = reverse.
    pub direction: u8,
    /// Bits of [`flow_flags`].
    pub flags: u8,
    /// Always zero.
    pub pad: u16,
}
map_type!(Flow {
    peer: Addr,
    new_sport: Be16,
    new_dport: Be16,
    backend: u16,
    service: u16,
    last_seen: u32,
    created: u32,
    client_ifindex: u32,
    expect_ack: u32,
    client_mac: u64,
    own_mac: u64,
    l3_delta: u16,
    l4_delta: u16,
    direction: u8,
    flags: u8,
    pad: u16,
} size 64 align 8);

/// [`Flow::direction`]: client → backend.
pub const FORWARD: u8 = 1;
/// [`Flow::direction`]: backend → client.
pub const REVERSE: u8 = 2;

/// Age in jiffies at which [`Flow::last_seen`] is written again: often enough for ageing in
/// seconds, seldom enough to keep the entry's cache line clean.
pub const TOUCH_JIFFIES: u32 = 64;

/// Bits of [`Flow::flags`].
pub mod flow_flags {
    /// A FIN was seen in this entry's direction.
    pub const FIN: u8 = 1;
    /// Embryo: the backend has answered (anything but RST).
    pub const REPLIED: u8 = 2;
    /// Embryo: the connection has ended; the entry serves its last packets and keeps the NAT port
    /// from other clients. A SYN makes a new flow.
    pub const CLOSED: u8 = 4;
    /// Embryo: made from a packet in mid-stream, without a handshake seen here.
    pub const MIDSTREAM: u8 = 8;
}

impl FlowKey {
    /// The key under which the same flow's other direction is found, given this direction's value.
    ///
    /// A packet with this key leaves as `dst:new_sport → peer:new_dport`; the answer to that
    /// arrives as the mirror image.
    #[inline(always)]
    pub const fn other(&self, flow: &Flow) -> Self {
        Self {
            src: flow.peer,
            dst: self.dst,
            sport: flow.new_dport,
            dport: flow.new_sport,
            proto: self.proto,
            pad: 0,
            pad_end: 0,
        }
    }
}
