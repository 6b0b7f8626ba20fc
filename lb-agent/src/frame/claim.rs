//! Who claims an address: what neighbours learn from, read as they read it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::net::{MacAddr, proto};

use super::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV6_LEN, ND_HOP_LIMIT, checksum};

const ETHERNET_LEN: usize = 14;
const ARP_LEN: usize = 28;
/// ICMPv6 header, flags and target (RFC 4861 §4.4).
const NA_LEN: usize = 24;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// A sender that says of an address: it is mine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The claimed address.
    pub address: IpAddr,
    /// Where neighbours shall find it.
    pub mac: MacAddr,
}

/// The claim that an Ethernet frame makes: ARP of either operation by its sender's protocol address
/// (RFC 826; a probe of RFC 5227 has none, and claims nothing), a Neighbor Advertisement that
/// passes the checks of RFC 4861 §7.1.2 by its target. `None` for any other frame.
pub fn decode_claim(frame: &[u8]) -> Option<Claim> {
    let payload = frame.get(ETHERNET_LEN..)?;
    match be16(frame, 12)? {
        ETHERTYPE_ARP => arp(payload),
        ETHERTYPE_IPV6 => advertisement(payload, mac_at(frame, 6)?),
        _ => None,
    }
}

fn arp(packet: &[u8]) -> Option<Claim> {
    let packet = packet.get(..ARP_LEN)?;
    let ethernet_and_ipv4 =
        be16(packet, 0)? == 1 && be16(packet, 2)? == ETHERTYPE_IPV4 && packet[4..6] == [6, 4];
    let operation = be16(packet, 6)?;
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(&packet[14..18]).ok()?);
    if !ethernet_and_ipv4 || !matches!(operation, 1 | 2) || address.is_unspecified() {
        return None;
    }
    Some(Claim { address: address.into(), mac: mac_at(packet, 8)? })
}

/// `sender`: from the Ethernet header, where the advertisement names no other address (it need not
/// when it answers a unicast solicitation).
fn advertisement(packet: &[u8], sender: MacAddr) -> Option<Claim> {
    let length = usize::from(be16(packet, 4)?);
    let body = packet.get(IPV6_LEN..)?.get(..length)?;
    let from_this_link = packet[6] == proto::ICMPV6 && packet[7] == ND_HOP_LIMIT;
    let kind = body.len() >= NA_LEN && body[..2] == [NEIGHBOUR_ADVERTISEMENT, 0];
    if !from_this_link || !kind || !intact(packet, body) {
        return None;
    }
    let target = Ipv6Addr::from(<[u8; 16]>::try_from(&body[8..NA_LEN]).ok()?);
    let mac = link_layer_address(&body[NA_LEN..])?.unwrap_or(sender);
    Some(Claim { address: target.into(), mac })
}

/// The Target Link-Layer Address option, where there is one. `None`: the options are malformed, and
/// the whole message is to be dropped (RFC 4861 §7.1.2).
fn link_layer_address(mut options: &[u8]) -> Option<Option<MacAddr>> {
    let mut found = None;
    while !options.is_empty() {
        let units = usize::from(*options.get(1)?);
        let option = options.get(..units * 8).filter(|option| !option.is_empty())?;
        if option[0] == TARGET_LINK_LAYER_ADDRESS && units == 1 {
            found = mac_at(option, 2);
        }
        options = &options[units * 8..];
    }
    Some(found)
}

/// Whether the checksum over pseudo header and message is right (RFC 4443 §2.3).
fn intact(packet: &[u8], body: &[u8]) -> bool {
    let words = |bytes: &[u8]| -> u32 {
        let word = |two: &[u8]| u32::from(u16::from_be_bytes([two[0], *two.get(1).unwrap_or(&0)]));
        bytes.chunks(2).map(word).sum()
    };
    // At most 64 KiB: 32 bits hold the sum.
    let pseudo = words(&packet[8..IPV6_LEN]) + u32::from(proto::ICMPV6) + body.len() as u32;
    checksum(pseudo + words(body)) == 0
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([two[0], two[1]]))
}

fn mac_at(bytes: &[u8], at: usize) -> Option<MacAddr> {
    bytes.get(at..at + 6)?.try_into().ok().map(MacAddr)
}

#[cfg(test)]
mod tests;
