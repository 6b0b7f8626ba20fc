//! Writing a frame: full NAT, and the RST that answers a packet.

use std::net::IpAddr;

use lb_common::{
    flow::FlowKey,
    net::{Addr, Be16, MacAddr, proto},
};

use super::{
    Entry,
    frame::{View, number16},
};
use crate::packet::{ACK, Packet, RST, Tcp};

/// What a packet is changed to.
pub(super) struct Target {
    pub(super) peer: Addr,
    pub(super) sport: u16,
    pub(super) dport: u16,
    pub(super) ifindex: u32,
    pub(super) eth_dst: MacAddr,
    pub(super) eth_src: MacAddr,
}

/// RFC 1624 eq. 3, one 16-bit word after the other: `HC' = ~(~HC + ~m + m')`.
pub(super) fn update(check: u16, old: &[u8], new: &[u8]) -> u16 {
    assert_eq!(old.len(), new.len());
    let word = |w: &[u8]| u32::from(w[0]) << 8 | u32::from(w.get(1).copied().unwrap_or(0));
    let mut sum = u32::from(!check);
    for (m, n) in old.chunks(2).zip(new.chunks(2)) {
        sum += (!word(m) & 0xffff) + word(n);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}

/// An address as it stands in its header.
pub(super) fn wire(addr: &Addr, v4: bool) -> Vec<u8> {
    if v4 { addr.v4_octets().to_vec() } else { addr.0.to_vec() }
}

pub(super) fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Offset of the addresses in the IP header, and the length of one.
pub(super) fn addresses(v4: bool) -> (usize, usize) {
    if v4 { (12, 4) } else { (8, 16) }
}

/// Lowers the TTL and replaces the addresses of the IP header at `ip`: from the old destination,
/// to `peer`. IPv4's checksum follows.
pub(super) fn ip_header(frame: &mut [u8], ip: usize, v4: bool, peer: &Addr) {
    let (at, len) = addresses(v4);
    let old = frame.to_vec();
    put(frame, ip + at, &old[ip + at + len..ip + at + 2 * len]);
    put(frame, ip + at + len, &wire(peer, v4));
    frame[ip + if v4 { 8 } else { 7 }] -= 1;
    if v4 {
        let check = number16(&old, ip + 10);
        let check = update(check, &old[ip + 8..ip + 10], &frame[ip + 8..ip + 10]);
        let check = update(check, &old[ip + 12..ip + 20], &frame[ip + 12..ip + 20]);
        put(frame, ip + 10, &check.to_be_bytes());
    }
}

/// A TCP or UDP checksum after addresses and ports changed; UDP has its zero.
pub(super) fn transport_check(udp: bool, check: u16, old: &[u8], new: &[u8]) -> u16 {
    if udp && check == 0 {
        return 0;
    }
    match update(check, old, new) {
        0 if udp => 0xffff,
        check => check,
    }
}

/// The packet as it is sent on.
pub(super) fn nat(frame: &[u8], view: &View, to: &Target) -> Vec<u8> {
    let mut out = frame.to_vec();
    let (ip, l4) = (14, view.l4());
    let covered = |frame: &[u8]| {
        let (at, len) = addresses(view.v4);
        [&frame[ip + at..ip + at + 2 * len], &frame[l4..l4 + 4]].concat()
    };
    ip_header(&mut out, ip, view.v4, &to.peer);
    put(&mut out, l4, &to.sport.to_be_bytes());
    put(&mut out, l4 + 2, &to.dport.to_be_bytes());
    let udp = view.key.proto == proto::UDP;
    let at = l4 + if udp { 6 } else { 16 };
    let check = transport_check(udp, number16(frame, at), &covered(frame), &covered(&out));
    put(&mut out, at, &check.to_be_bytes());
    put(&mut out, 0, &to.eth_dst.0);
    put(&mut out, 6, &to.eth_src.0);
    out
}

/// The RST that a closed port answers with (RFC 9293 section 3.10.7.1).
pub(super) fn reset(view: &View) -> Vec<u8> {
    let (seq, ack, flags) = if view.has(ACK) {
        (view.ack, 0, RST)
    } else {
        (0, view.seq.wrapping_add(view.seg_len), RST | ACK)
    };
    let address = |addr: Addr| {
        if view.v4 { IpAddr::from(addr.v4_octets()) } else { IpAddr::from(addr.0) }
    };
    let (sport, dport) = (view.key.dport.get(), view.key.sport.get());
    Packet {
        eth_src: view.eth_dst,
        eth_dst: view.eth_src,
        tags: Vec::new(),
        src: address(view.key.dst),
        dst: address(view.key.src),
        ttl: 64,
        tos: 0,
        id: 0,
        payload: Tcp { sport, dport, seq, ack, flags, ..Tcp::default() }.into(),
        trailer: Vec::new(),
    }
    .bytes()
}

/// What an entry says is to be added to the IPv4 header's and to the transport checksum.
pub(super) fn deltas(key: &FlowKey, entry: &Entry) -> (u16, u16) {
    let v4 = key.dst.is_v4();
    let native = |check: u16| Be16::new(!check).to_wire();
    let (old, new) = (wire(&key.src, v4), wire(&entry.peer, v4));
    let l3 = update(0xffff, &old, &new);
    let old = [key.sport.to_wire(), key.dport.to_wire()].concat();
    let new = [entry.new_sport.to_be_bytes(), entry.new_dport.to_be_bytes()].concat();
    let l4 = update(l3, &old, &new);
    (u16::from_ne_bytes(native(l3)), u16::from_ne_bytes(native(l4)))
}
