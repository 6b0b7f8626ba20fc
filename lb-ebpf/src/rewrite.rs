//! Full NAT: both addresses, both ports, the checksums, the TTL and the Ethernet addresses.

use lb_common::{
    flow::{FORWARD, Flow, FlowKey, REVERSE, flow_flags},
    net::{Addr, Be16, MacAddr, proto},
};

use crate::{
    csum,
    cursor::Cursor,
    header::{EthHdr, Ipv4Hdr, Ipv6Hdr, TcpHdr, UdpHdr},
};

/// What is written into a packet, and where it leaves.
///
/// The new source address is always the packet's own destination, the VIP.
/// Ethernet addresses are words, as in [`Packet`](crate::parse::Packet).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite {
    /// New destination address.
    pub peer: Addr,
    /// Egress interface index.
    pub ifindex: u32,
    /// New source port.
    pub sport: Be16,
    /// New destination port.
    pub dport: Be16,
    /// Destination of the frame.
    pub eth_dst: u64,
    /// To add to the IPv4 header checksum for the addresses.
    pub l3_delta: u16,
    /// Source of the frame.
    pub eth_src: u64,
    /// To add to the TCP or UDP checksum for address and ports.
    pub l4_delta: u16,
}

/// Fills in the two checksum deltas of a flow entry from its key and its rewrite target.
#[inline(always)]
pub fn set_deltas(key: &FlowKey, flow: &mut Flow) {
    flow.l3_delta = csum::addr_delta(&key.src, &flow.peer, key.dst.is_v4());
    let old = csum::word(key.sport.to_wire()) + csum::word(key.dport.to_wire());
    let new = csum::word(flow.new_sport.to_wire()) + csum::word(flow.new_dport.to_wire());
    flow.l4_delta = csum::fold(u64::from(flow.l3_delta) + csum::minus(old) + new);
}

/// Writes the key and the entry of the other direction of the flow with this key and entry.
#[inline(always)]
pub fn mirror(key: &FlowKey, flow: &Flow, other: &mut FlowKey, reverse: &mut Flow) {
    *other = key.other(flow);
    reverse.peer = key.src;
    reverse.new_sport = key.dport;
    reverse.new_dport = key.sport;
    reverse.backend = flow.backend;
    reverse.service = flow.service;
    reverse.last_seen = flow.last_seen;
    reverse.created = flow.created;
    reverse.client_ifindex = flow.client_ifindex;
    reverse.expect_ack = 0;
    reverse.client_mac = flow.client_mac;
    reverse.own_mac = flow.own_mac;
    reverse.direction = FORWARD + REVERSE - flow.direction;
    reverse.flags = flow.flags & flow_flags::CLOSED;
    reverse.pad = 0;
    set_deltas(other, reverse);
}

/// Rewrites an untagged, option-less packet that [`parse`](crate::parse::parse) has accepted.
/// `None` when a header is missing after all; then nothing was changed.
#[inline(always)]
pub fn apply(mut cursor: Cursor<'_>, v4: bool, proto: u8, to: &Rewrite) -> Option<()> {
    let eth = cursor.take::<EthHdr>()?;
    if v4 {
        let ip = cursor.take::<Ipv4Hdr>()?;
        transport(cursor, proto, to)?;
        ipv4(ip, to.peer.v4_octets(), to.l3_delta);
    } else {
        let ip = cursor.take::<Ipv6Hdr>()?;
        transport(cursor, proto, to)?;
        ip.src = ip.dst;
        ip.dst = to.peer.0;
        ip.hop_limit -= 1;
    }
    eth.dst = MacAddr::from_u64(to.eth_dst);
    eth.src = MacAddr::from_u64(to.eth_src);
    Some(())
}

/// Addresses, TTL and header checksum of an IPv4 header.
#[inline(always)]
pub(crate) fn ipv4(ip: &mut Ipv4Hdr, peer: [u8; 4], l3_delta: u16) {
    let ttl_old = csum::word([ip.ttl, ip.proto]);
    ip.ttl -= 1;
    let ttl_new = csum::word([ip.ttl, ip.proto]);
    ip.src = ip.dst;
    ip.dst = peer;
    ip.check = csum::apply(ip.check, u64::from(l3_delta) + csum::minus(ttl_old) + ttl_new);
}

#[inline(always)]
fn transport(mut cursor: Cursor<'_>, proto: u8, to: &Rewrite) -> Option<()> {
    if proto == proto::TCP {
        let tcp = cursor.take::<TcpHdr>()?;
        tcp.sport = to.sport.to_wire();
        tcp.dport = to.dport.to_wire();
        tcp.check = csum::apply(tcp.check, u64::from(to.l4_delta));
    } else {
        let udp = cursor.take::<UdpHdr>()?;
        udp.sport = to.sport.to_wire();
        udp.dport = to.dport.to_wire();
        udp.check = udp_check(udp.check, to.l4_delta);
    }
    Some(())
}

/// RFC 768: zero means "no checksum" and stays; a computed zero is sent as all ones.
#[inline(always)]
pub(crate) fn udp_check(check: [u8; 2], delta: u16) -> [u8; 2] {
    if check == [0, 0] {
        return check;
    }
    let new = csum::apply(check, u64::from(delta));
    if new == [0, 0] { [0xff, 0xff] } else { new }
}
