//! Who asks for an address: by ARP (RFC 826), or by neighbour solicitation (RFC 4861 section 4.3).

use lb_common::net::{Addr, proto};

use crate::{
    cursor::Cursor,
    header::{ArpHdr, ETHERTYPE_ARP, ETHERTYPE_IPV6, EthHdr, IcmpHdr, Ipv6Hdr},
};

/// [`ArpHdr::form`] of a request about IPv4 over Ethernet.
const ARP_REQUEST: u64 = u64::from_ne_bytes([0, 1, 8, 0, 6, 4, 0, 1]);
/// Type of a neighbour solicitation.
const SOLICITATION: u8 = 135;
/// A solicitation that was forwarded is none (RFC 4861 section 7.1.1).
const HOP_LIMIT: u8 = 255;

/// The `wanted` address that an untagged frame asks for, where asking is what makes a host answer.
///
/// A gratuitous ARP request (RFC 5227 section 3) tells and does not ask. Solicitations count when
/// they are for a solicited-node address or for the target itself, without extension headers.
#[inline(always)]
pub fn asked(mut cursor: Cursor<'_>, wanted: impl FnOnce(&Addr) -> bool) -> Option<Addr> {
    let target = match cursor.take::<EthHdr>()?.ethertype {
        ETHERTYPE_ARP => arp(cursor)?,
        ETHERTYPE_IPV6 => solicitation(cursor)?,
        _ => return None,
    };
    wanted(&target).then_some(target)
}

#[inline(always)]
fn arp(mut cursor: Cursor<'_>) -> Option<Addr> {
    let arp = cursor.take::<ArpHdr>()?;
    let asks = u64::from_ne_bytes(arp.form) == ARP_REQUEST
        && u32::from_ne_bytes(arp.sender) != u32::from_ne_bytes(arp.target);
    asks.then_some(Addr::v4(arp.target))
}

#[inline(always)]
fn solicitation(mut cursor: Cursor<'_>) -> Option<Addr> {
    let ip = cursor.take::<Ipv6Hdr>()?;
    if ip.version_flow[0] >> 4 != 6 || ip.next != proto::ICMPV6 || ip.hop_limit != HOP_LIMIT {
        return None;
    }
    let len = usize::from(u16::from_be_bytes(ip.payload_len));
    if len < size_of::<IcmpHdr>() + size_of::<Addr>() || len > cursor.left() {
        return None;
    }
    if cursor.take::<IcmpHdr>()?.kind != SOLICITATION {
        return None;
    }
    let target = Addr::v6(*cursor.take::<[u8; 16]>()?);
    let dst = Addr::v6(ip.dst);
    // In our keys a v4-mapped address means IPv4; nobody solicits one.
    let asks = (is_solicited_node(&dst) || dst == target) && !target.is_v4();
    asks.then_some(target)
}

/// Whether a destination lies in `ff02::/64`, as solicited-node addresses do; one comparison.
#[inline(always)]
pub const fn may_be_group(addr: &Addr) -> bool {
    addr.halves().0 == u64::from_le_bytes([0xff, 2, 0, 0, 0, 0, 0, 0])
}

/// Whether an address lies in `ff02::1:ff00:0/104` (RFC 4291 section 2.7.1).
#[inline(always)]
pub const fn is_solicited_node(addr: &Addr) -> bool {
    const LOW: u64 = u64::from_le_bytes([0, 0, 0, 1, 0xff, 0, 0, 0]);
    may_be_group(addr) && addr.halves().1 & 0xff_ffff_ffff == LOW
}
