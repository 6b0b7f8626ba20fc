//! Frames for the tests, their checksums computed in full.

use std::{vec, vec::Vec};

use lb_common::net::{Addr, proto};

use crate::header::tcp_flags;

pub(super) const CLIENT4: Addr = Addr::v4([192, 0, 2, 10]);
pub(super) const VIP4: Addr = Addr::v4([198, 51, 100, 50]);
pub(super) const BACKEND4: Addr = Addr::v4([10, 0, 0, 11]);
pub(super) const CLIENT6: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]);
pub(super) const VIP6: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50]);
pub(super) const BACKEND6: Addr = Addr([0xfd, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11]);

/// The one's complement of the one's complement sum, word by word in network order.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn wire(addr: &Addr, v4: bool) -> Vec<u8> {
    if v4 { addr.v4_octets().to_vec() } else { addr.0.to_vec() }
}

fn pseudo(src: &Addr, dst: &Addr, proto: u8, len: usize) -> Vec<u8> {
    let v4 = dst.is_v4();
    let mut bytes = [wire(src, v4), wire(dst, v4)].concat();
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, proto]);
    bytes
}

/// An IP packet with this payload, TTL 64.
pub(super) fn ip(src: &Addr, dst: &Addr, proto: u8, payload: &[u8]) -> Vec<u8> {
    let v4 = dst.is_v4();
    let mut header = if v4 {
        let [high, low] = (20 + payload.len() as u16).to_be_bytes();
        vec![0x45, 0xb8, high, low, 0xca, 0xfe, 0x40, 0, 64, proto, 0, 0]
    } else {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        vec![0x6b, 0x80, 1, 2, high, low, proto, 64]
    };
    header.extend(wire(src, v4));
    header.extend(wire(dst, v4));
    if v4 {
        let check = checksum(&header);
        header[10..12].copy_from_slice(&check.to_be_bytes());
    }
    header.extend(payload);
    header
}

/// A frame with this IP packet.
pub(super) fn frame(ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] });
    frame.extend(ip);
    frame
}

/// Writes the checksum of a transport segment at `at`.
pub(super) fn seal(src: &Addr, dst: &Addr, proto: u8, at: usize, segment: &mut [u8]) {
    let sum = checksum(&[&pseudo(src, dst, proto, segment.len()), &*segment].concat());
    let sum = if proto == proto::UDP && sum == 0 { 0xffff } else { sum };
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A frame with a TCP segment.
pub(super) fn tcp(src: &Addr, dst: &Addr, ports: (u16, u16), flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    segment.extend([0, 0, 3, 0xe8, 0, 0, 7, 0xd0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    segment.extend(data);
    seal(src, dst, proto::TCP, 16, &mut segment);
    frame(&ip(src, dst, proto::TCP, &segment))
}

/// A frame with a UDP datagram.
pub(super) fn udp(src: &Addr, dst: &Addr, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    datagram.extend((8 + data.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    seal(src, dst, proto::UDP, 6, &mut datagram);
    frame(&ip(src, dst, proto::UDP, &datagram))
}

/// A SYN of the client's to the VIP.
pub(super) fn syn(v4: bool) -> Vec<u8> {
    let (src, dst) = if v4 { (CLIENT4, VIP4) } else { (CLIENT6, VIP6) };
    tcp(&src, &dst, (40_000, 6443), tcp_flags::SYN, &[])
}

/// The checksums of a frame are right: of the IPv4 header, and of TCP or UDP with checksum.
pub(super) fn right(frame: &[u8]) -> bool {
    let ip = &frame[14..];
    let v4 = ip[0] >> 4 == 4;
    let (src, dst, proto, l4) = if v4 {
        let octets = |at: usize| Addr::v4([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
        (octets(12), octets(16), ip[9], &ip[20..])
    } else {
        let octets = |at: usize| Addr(std::array::from_fn(|i| ip[at + i]));
        (octets(8), octets(24), ip[6], &ip[40..])
    };
    let header = !v4 || checksum(&ip[..20]) == 0;
    let covered = match proto {
        proto::ICMP => l4.to_vec(),
        _ => [&pseudo(&src, &dst, proto, l4.len()), l4].concat(),
    };
    header && checksum(&covered) == 0
}
