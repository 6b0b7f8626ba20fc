//! Ethernet frames that the agent sends itself, built byte by byte with every checksum complete,
//! and the claims of others.
//!
//! Frames are not padded to the Ethernet minimum of 60 bytes: the driver does that.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod claim;

use std::net::{Ipv4Addr, Ipv6Addr};

use lb_common::net::{Addr, Be16, MacAddr, proto};

pub use self::claim::{Claim, decode_claim};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const BROADCAST: MacAddr = MacAddr([0xff; 6]);
/// RFC 2464 §7: 33:33 and the last four bytes of the group.
const ALL_NODES_MAC: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
/// RFC 4291 §2.7.1: the nodes of this link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// RFC 4861 §7.1.2: a receiver drops a Neighbor Advertisement that a router has forwarded.
const ND_HOP_LIMIT: u8 = 255;
const TCP_HOP_LIMIT: u8 = 64;

/// Bytes of an IPv6 header, and of a TCP header without options.
const IPV6_LEN: usize = 40;
const TCP_LEN: usize = 20;

/// The two forms of a gratuitous ARP; some stacks learn from one of them only, so both are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpForm {
    /// An ARP request for one's own address (RFC 5227 §3, "ARP Announcement").
    Request,
    /// An ARP reply that nobody asked for (RFC 5944 §4.6).
    Reply,
}

/// A gratuitous ARP: whoever knows `vip` shall find it at `mac` from now on.
pub fn gratuitous_arp(form: ArpForm, mac: MacAddr, vip: Ipv4Addr) -> Vec<u8> {
    // RFC 5944 §4.6: the target hardware address repeats the sender's in a reply and means
    // nothing in a request.
    let (operation, target_mac) = match form {
        ArpForm::Request => (1, MacAddr::UNSET),
        ArpForm::Reply => (2, mac),
    };
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP);
    put16(&mut frame, 1);
    put16(&mut frame, ETHERTYPE_IPV4);
    frame.extend([6, 4]);
    put16(&mut frame, operation);
    frame.extend(mac.0);
    frame.extend(vip.octets());
    frame.extend(target_mac.0);
    frame.extend(vip.octets());
    frame
}

/// An unsolicited Neighbor Advertisement to all nodes of the link (RFC 4861 §7.2.6): whoever knows
/// `vip` shall find it at `mac` from now on.
///
/// The Router flag stays clear (§4.4): the VIP is nobody's default router. RFC 9568 §6.4.3 sets it
/// because its routers are; hosts that saw it set and later clear, as the kernel answers
/// solicitations while it does not forward, would drop the VIP from their default routers
/// (RFC 4861 §7.2.5).
pub fn unsolicited_na(mac: MacAddr, vip: Ipv6Addr) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

    let mut body = vec![136, 0, 0, 0, OVERRIDE, 0, 0, 0];
    body.extend(vip.octets());
    // The option's length counts units of 8 bytes.
    body.extend([TARGET_LINK_LAYER_ADDRESS, 1]);
    body.extend(mac.0);
    let sum = checksum(pseudo_v6(vip, ALL_NODES, proto::ICMPV6, body.len()) + sum(&body));
    body[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6);
    ipv6(&mut frame, body.len(), proto::ICMPV6, ND_HOP_LIMIT, vip, ALL_NODES);
    frame.extend(body);
    frame
}

/// One end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where frames of this end come from or go to: its own Ethernet address or a gateway's.
    pub mac: MacAddr,
    /// IP address.
    pub addr: Addr,
    /// TCP port, network order.
    pub port: Be16,
}

/// A SYN inside an established connection, as if `from` had sent it.
///
/// Whatever its sequence number (host order), the receiver answers with an ACK that carries its
/// own exact numbers (RFC 5961 §4, "challenge ACK"). Linux sends one such answer per connection in
/// 500 ms. Both ends are of one family; the frame is IPv4 when `to` is.
pub fn challenge_syn(from: &Endpoint, to: &Endpoint, sequence: u32) -> Vec<u8> {
    if to.addr.is_v4() {
        let (src, dst) = (from.addr.v4_octets().into(), to.addr.v4_octets().into());
        let pseudo = pseudo_v4(src, dst, proto::TCP, TCP_LEN);
        let mut frame = ethernet(to.mac, from.mac, ETHERTYPE_IPV4);
        ipv4(&mut frame, TCP_LEN, proto::TCP, TCP_HOP_LIMIT, src, dst);
        frame.extend(tcp_syn(from.port, to.port, sequence, pseudo));
        frame
    } else {
        let (src, dst) = (from.addr.0.into(), to.addr.0.into());
        let pseudo = pseudo_v6(src, dst, proto::TCP, TCP_LEN);
        let mut frame = ethernet(to.mac, from.mac, ETHERTYPE_IPV6);
        ipv6(&mut frame, TCP_LEN, proto::TCP, TCP_HOP_LIMIT, src, dst);
        frame.extend(tcp_syn(from.port, to.port, sequence, pseudo));
        frame
    }
}

/// RFC 9293 §3.1, without options: a timestamp that does not fit would make the receiver drop the
/// segment before it comes to the challenge (RFC 7323 §5.3).
fn tcp_syn(sport: Be16, dport: Be16, sequence: u32, pseudo: u32) -> [u8; TCP_LEN] {
    const DATA_OFFSET: u8 = (TCP_LEN as u8 / 4) << 4;
    const SYN: u8 = 0x02;
    const WINDOW: u16 = 1024;

    let mut tcp = [0; TCP_LEN];
    tcp[0..2].copy_from_slice(&sport.to_wire());
    tcp[2..4].copy_from_slice(&dport.to_wire());
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    tcp[12] = DATA_OFFSET;
    tcp[13] = SYN;
    tcp[14..16].copy_from_slice(&WINDOW.to_be_bytes());
    let sum = checksum(pseudo + sum(&tcp));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    tcp
}

fn ethernet(destination: MacAddr, source: MacAddr, ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + IPV6_LEN + 32);
    frame.extend(destination.0);
    frame.extend(source.0);
    put16(&mut frame, ethertype);
    frame
}

/// RFC 791 §3.1, without options; Don't Fragment, so that the identification may be zero
/// (RFC 6864 §4.1).
fn ipv4(frame: &mut Vec<u8>, payload: usize, protocol: u8, ttl: u8, src: Ipv4Addr, dst: Ipv4Addr) {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
    header[6] = 0x40;
    header[8] = ttl;
    header[9] = protocol;
    header[12..16].copy_from_slice(&src.octets());
    header[16..20].copy_from_slice(&dst.octets());
    let sum = checksum(sum(&header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(header);
}

/// RFC 8200 §3.
fn ipv6(
    frame: &mut Vec<u8>,
    payload: usize,
    next_header: u8,
    hop_limit: u8,
    src: Ipv6Addr,
    dst: Ipv6Addr,
) {
    frame.extend([0x60, 0, 0, 0]);
    put16(frame, payload as u16);
    frame.extend([next_header, hop_limit]);
    frame.extend(src.octets());
    frame.extend(dst.octets());
}

/// Sum over the pseudo header of RFC 9293 §3.1.
fn pseudo_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: usize) -> u32 {
    sum(&src.octets()) + sum(&dst.octets()) + u32::from(protocol) + len as u32
}

/// Sum over the pseudo header of RFC 8200 §8.1.
fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, len: usize) -> u32 {
    sum(&src.octets()) + sum(&dst.octets()) + u32::from(next_header) + len as u32
}

/// Sum of the 16-bit words, carries not folded. `data` is of even length, and short enough (64 KiB)
/// that 32 bits hold the sum.
fn sum(data: &[u8]) -> u32 {
    data.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

/// RFC 1071: fold the carries in, complement.
fn checksum(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn put16(frame: &mut Vec<u8>, host: u16) {
    frame.extend(host.to_be_bytes());
}

#[cfg(test)]
mod tests;
