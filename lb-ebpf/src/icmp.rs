//! ICMP errors about a flow: found by the packet they quote, translated inside and outside.

use lb_common::{
    flow::FlowKey,
    net::{Addr, Be16, MacAddr, proto},
    reason::Reason,
};

use crate::{
    csum,
    cursor::Cursor,
    header::{EthHdr, IcmpHdr, Ipv4Hdr, Ipv6Hdr, UdpHdr},
    parse::Packet,
    rewrite::{self, Rewrite},
};

/// The rest of a TCP header after its first eight bytes, as far as the checksum.
type TcpTail = [u8; 10];

/// Whether a message of this type quotes a packet (RFC 792; RFC 4443 section 2.1).
#[inline(always)]
pub const fn is_error(v4: bool, kind: u8) -> bool {
    if v4 { matches!(kind, 3 | 4 | 11 | 12) } else { matches!(kind, 1..=4) }
}

/// Writes the key of the flow that the quoted packet belongs to: its tuple mirrored, as the answer
/// to it would have arrived. [`Reason::OtherProtocol`] when the message is no error,
/// [`Reason::IcmpUnrelated`] when it quotes no TCP or UDP ports.
#[inline(always)]
pub fn quoted(mut cursor: Cursor<'_>, packet: &Packet, key: &mut FlowKey) -> Result<(), Reason> {
    cursor.take::<EthHdr>().ok_or(Reason::Internal)?;
    let icmp = if packet.v4 {
        cursor.take::<Ipv4Hdr>().ok_or(Reason::Internal)?;
        cursor.take::<IcmpHdr>()
    } else {
        cursor.take::<Ipv6Hdr>().ok_or(Reason::Internal)?;
        cursor.take::<IcmpHdr>()
    };
    match icmp {
        Some(icmp) if is_error(packet.v4, icmp.kind) => {}
        _ => return Err(Reason::OtherProtocol),
    }
    // The frame may be longer than the packet (Ethernet padding).
    if packet.ip_len < quote_end(packet.v4) {
        return Err(Reason::IcmpUnrelated);
    }
    tuple(cursor, packet.v4, key).ok_or(Reason::IcmpUnrelated)
}

/// Length of an IP packet that quotes one as far as its ports.
#[inline(always)]
const fn quote_end(v4: bool) -> u16 {
    if v4 { 20 + 8 + 20 + 8 } else { 40 + 8 + 40 + 8 }
}

#[inline(always)]
fn tuple(mut cursor: Cursor<'_>, v4: bool, key: &mut FlowKey) -> Option<()> {
    if v4 {
        let inner = cursor.take::<Ipv4Hdr>()?;
        if inner.version_ihl != 0x45 {
            return None;
        }
        // Only the first fragment carries ports.
        if u16::from_be_bytes(inner.frag) & 0x1fff != 0 {
            return None;
        }
        key.src = inner.destination();
        key.dst = inner.source();
        key.proto = inner.proto;
    } else {
        let inner = cursor.take::<Ipv6Hdr>()?;
        key.src = Addr::v6(inner.dst);
        key.dst = Addr::v6(inner.src);
        key.proto = inner.next;
    }
    if key.proto != proto::TCP && key.proto != proto::UDP {
        return None;
    }
    let l4 = cursor.take::<UdpHdr>()?;
    key.sport = Be16::from_wire(l4.dport);
    key.dport = Be16::from_wire(l4.sport);
    Some(())
}

/// Translates an error whose quoted packet belongs to the flow that `to` was made from.
///
/// Outside: from the VIP (a router's own address would not pass reverse-path filters on the other
/// side) to `to.peer`. Inside: the packet as `to.peer` once sent it. `None` when a header is
/// missing.
#[inline(always)]
pub fn translate(mut cursor: Cursor<'_>, packet: &Packet, proto: u8, to: &Rewrite) -> Option<()> {
    let v4 = packet.v4;
    let eth = cursor.take::<EthHdr>()?;
    let mut delta = u64::from(to.l4_delta);
    let icmp;
    if v4 {
        let ip = cursor.take::<Ipv4Hdr>()?;
        icmp = cursor.take::<IcmpHdr>()?;
        let inner = cursor.take::<Ipv4Hdr>()?;
        let (vip, peer) = (ip.dst, to.peer.v4_octets());
        let outer = csum::fold(csum::minus(csum::sum4(ip.src)) + csum::sum4(peer));
        rewrite::ipv4(ip, peer, outer);
        let check = inner.check;
        inner.check = csum::apply(check, u64::from(to.l3_delta));
        inner.src = peer;
        inner.dst = vip;
        delta += csum::minus(csum::word(check)) + csum::word(inner.check);
    } else {
        let ip = cursor.take::<Ipv6Hdr>()?;
        icmp = cursor.take::<IcmpHdr>()?;
        let inner = cursor.take::<Ipv6Hdr>()?;
        let vip = ip.dst;
        // ICMPv6 covers the outer addresses as well.
        delta += csum::minus(csum::sum16(&ip.src)) + csum::sum16(&to.peer.0);
        ip.src = vip;
        ip.dst = to.peer.0;
        ip.hop_limit -= 1;
        inner.src = to.peer.0;
        inner.dst = vip;
    }
    let whole = packet.ip_len >= quote_end(v4) + size_of::<TcpTail>() as u16;
    delta += transport(cursor, proto, whole, to)?;
    icmp.check = csum::apply(icmp.check, delta);
    eth.dst = MacAddr::from_u64(to.eth_dst);
    eth.src = MacAddr::from_u64(to.eth_src);
    Some(())
}

/// The quoted ports, and the quoted checksum; with TCP it may lie beyond the quotation, unless
/// `whole`. Returns what the checksum's own change adds to the ICMP checksum's delta.
#[inline(always)]
fn transport(mut cursor: Cursor<'_>, proto: u8, whole: bool, to: &Rewrite) -> Option<u64> {
    let l4 = cursor.take::<UdpHdr>()?;
    l4.sport = to.dport.to_wire();
    l4.dport = to.sport.to_wire();
    if proto == proto::UDP {
        let old = l4.check;
        l4.check = rewrite::udp_check(old, to.l4_delta);
        return Some(csum::minus(csum::word(old)) + csum::word(l4.check));
    }
    if !whole {
        return Some(0);
    }
    let tail = cursor.take::<TcpTail>()?;
    let old = [tail[8], tail[9]];
    let new = csum::apply(old, u64::from(to.l4_delta));
    [tail[8], tail[9]] = new;
    Some(csum::minus(csum::word(old)) + csum::word(new))
}
