//! Packets that clients, backends, routers and vandals might send.

use std::net::IpAddr;

use lb_common::{
    flow::FlowKey,
    net::{Addr, Be16, MacAddr, proto},
};
use lb_tests::packet::{
    ACK, FIN, Icmp, PSH, Packet, Payload, RST, SYN, Tcp, Udp, arp, solicitation, solicited_node,
};

use super::{
    rng::Rng,
    scene::{CLIENT_MAC, GATEWAY_MAC, OWN_MAC},
    twins::{Spec, VIPS},
};

/// Sent packets that are remembered.
const MEMORY: usize = 64;

/// The source of packets.
pub(crate) struct Traffic {
    pub(crate) rng: Rng,
    specs: Vec<Spec>,
    /// Frames that the program sent: to clients and to backends.
    sent: Vec<Vec<u8>>,
}

/// What a sent frame says, as far as an answer needs it.
struct Sent {
    eth_dst: MacAddr,
    eth_src: MacAddr,
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    sport: u16,
    dport: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    len: u32,
}

impl Traffic {
    pub(crate) fn new(seed: u64, specs: Vec<Spec>) -> Self {
        Self { rng: Rng::new(seed), specs, sent: Vec::new() }
    }

    /// Remembers a frame that the program sent.
    pub(crate) fn remember(&mut self, frame: Vec<u8>) {
        if self.sent.len() == MEMORY {
            self.sent.remove(0);
        }
        self.sent.push(frame);
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut frame = match self.rng.below(104) {
            0..30 => self.client_packet().bytes(),
            30..88 => self.answer().bytes(),
            88..95 => self.error().bytes(),
            95..100 => self.stray().bytes(),
            _ => self.question(),
        };
        while self.rng.percent(12) {
            super::vandal::mutate(&mut self.rng, &mut frame);
        }
        frame
    }

    /// The key of a packet of some flow, in either direction.
    pub(crate) fn some_key(&mut self) -> Option<FlowKey> {
        let sent = self.some_sent()?;
        Some(FlowKey {
            src: sent.dst.into(),
            dst: sent.src.into(),
            sport: Be16::new(sent.dport),
            dport: Be16::new(sent.sport),
            proto: sent.proto,
            pad: 0,
            pad_end: 0,
        })
    }

    /// The forward key of a tuple that clients use.
    pub(crate) fn tuple(&mut self) -> FlowKey {
        let at = self.rng.below(self.specs.len());
        let spec = self.specs[at];
        let host = self.rng.below(3) as u8;
        let src = match spec.vip.is_v4() {
            true => Addr::v4([192, 0, 2, host]),
            false => Addr::v6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]),
        };
        FlowKey {
            src,
            dst: spec.vip,
            sport: Be16::new(40_000 + self.rng.below(8) as u16),
            dport: Be16::new(spec.port),
            proto: spec.proto,
            pad: 0,
            pad_end: 0,
        }
    }

    fn client_packet(&mut self) -> Packet {
        let key = self.tuple();
        let (sport, dport) = (key.sport.get(), key.dport.get());
        let payload: Payload = if key.proto == proto::UDP {
            self.datagram(key.dst.is_v4(), sport, dport).into()
        } else {
            let flags = match self.rng.below(10) {
                0..6 => SYN,
                6 | 7 => ACK | PSH,
                8 => ACK | FIN,
                _ => self.rng.pick(&[RST, RST | ACK, SYN | ACK, ACK, SYN | 0xc0]),
            };
            self.segment((sport, dport), (flags, None, None)).into()
        };
        let eth_src = if self.rng.percent(95) { CLIENT_MAC } else { GATEWAY_MAC };
        self.packet((eth_src, OWN_MAC), (key.src.into(), key.dst.into()), payload)
    }

    /// An answer to something that was sent.
    fn answer(&mut self) -> Packet {
        let Some(sent) = self.some_sent() else { return self.client_packet() };
        let (sport, dport) = (sent.dport, sent.sport);
        let payload: Payload = if sent.proto == proto::UDP {
            self.datagram(sent.src.is_ipv4(), sport, dport).into()
        } else {
            let flags = match (sent.flags & (SYN | ACK), self.rng.below(20)) {
                (SYN, 0..16) => SYN | ACK,
                (SYN, 16 | 17) => RST | ACK,
                (_, 0..13) => ACK,
                (_, 13..17) => ACK | FIN,
                (_, 17) => RST,
                (_, 18) => SYN,
                _ => ACK | PSH,
            };
            let ack = sent.seq.wrapping_add(sent.len);
            let ack = if self.rng.percent(93) { ack } else { self.rng.next() as u32 };
            let seq = if sent.flags & ACK != 0 { Some(sent.ack) } else { None };
            self.segment((sport, dport), (flags, seq, Some(ack))).into()
        };
        let eth_src = if self.rng.percent(97) { sent.eth_dst } else { GATEWAY_MAC };
        self.packet((eth_src, sent.eth_src), (sent.dst, sent.src), payload)
    }

    /// A router's error about something that was sent.
    fn error(&mut self) -> Packet {
        let Some(sent) = self.some_sent() else { return self.client_packet() };
        let at = self.recent();
        let mut body = self.sent[at][14..].to_vec();
        let about = read(&self.sent[at]);
        if self.rng.percent(50) {
            body.truncate(20 + self.rng.below(64));
        }
        if self.rng.percent(10) && !body.is_empty() {
            let at = self.rng.below(body.len());
            body[at] ^= 1 << self.rng.below(8);
        }
        let v4 = about.src.is_ipv4();
        let kind = if v4 {
            self.rng.pick(&[3, 3, 3, 4, 11, 12, 5, 8, 0])
        } else {
            self.rng.pick(&[1, 2, 2, 3, 4, 128, 137])
        };
        let rest = [0, 0, 5, self.rng.next() as u8];
        let icmp = Icmp { kind, code: self.rng.below(5) as u8, rest, body };
        let router = match v4 {
            true => IpAddr::from([203, 0, 113, 1]),
            false => IpAddr::from([0x2001, 0xdb8, 9, 0, 0, 0, 0, 1]),
        };
        self.packet((sent.eth_dst, about.eth_src), (router, about.src), icmp.into())
    }

    /// Something that nobody has asked for.
    fn stray(&mut self) -> Packet {
        let mut packet = if self.rng.percent(50) { self.client_packet() } else { self.answer() };
        match self.rng.below(6) {
            0 => {
                let proto = self.rng.pick(&[1, 2, 47, 50, 58, 89, 112, 132]);
                let len = self.rng.below(60);
                packet.payload = Payload::Other { proto, bytes: self.rng.bytes(len) };
            }
            1 => packet.ttl = self.rng.below(3) as u8,
            2 => {
                if let Payload::Tcp(tcp) = &mut packet.payload {
                    tcp.dport = self.rng.pick(&[22, 12_287, 12_288, 20_000, 28_671, 28_672]);
                }
            }
            3 => {
                if let Payload::Tcp(tcp) = &mut packet.payload {
                    tcp.flags = self.rng.next() as u8;
                }
            }
            4 => packet.eth_dst = self.rng.pick(&[MacAddr([0xff; 6]), CLIENT_MAC, MacAddr::UNSET]),
            _ => {
                let (src, dst) = (packet.src, packet.dst);
                let at = usize::from(dst.is_ipv6());
                packet.src = if src == dst { IpAddr::from(VIPS[at]) } else { dst };
                packet.dst = if self.rng.percent(50) { dst } else { src };
            }
        }
        packet
    }

    /// Somebody asks for a VIP, or seems to.
    fn question(&mut self) -> Vec<u8> {
        let key = self.tuple();
        let target = IpAddr::from(if self.rng.percent(90) { key.dst } else { key.src });
        match (IpAddr::from(key.src), target) {
            (IpAddr::V4(sender), IpAddr::V4(target)) => {
                let operation = self.rng.pick(&[1, 1, 1, 1, 2]);
                let sender = if self.rng.percent(10) { target } else { sender };
                let eth_dst = self.rng.pick(&[MacAddr([0xff; 6]), OWN_MAC]);
                arp(operation, (CLIENT_MAC, eth_dst), sender, target)
            }
            (src, IpAddr::V6(target)) => {
                let (group, group_mac) = solicited_node(target);
                let to_group = self.rng.percent(60);
                let (dst, eth_dst) = if to_group { (group, group_mac) } else { (target, OWN_MAC) };
                let icmp = solicitation(CLIENT_MAC, target);
                let packet = self.packet((CLIENT_MAC, eth_dst), (src, dst.into()), icmp.into());
                let ttl = if self.rng.percent(90) { 255 } else { packet.ttl };
                Packet { ttl, ..packet }.bytes()
            }
            (src, target) => panic!("families differ: {src} and {target}"),
        }
    }

    fn datagram(&mut self, v4: bool, sport: u16, dport: u16) -> Udp {
        let len = self.rng.below(24);
        let unchecked = v4 && self.rng.percent(15);
        Udp { sport, dport, unchecked, data: self.rng.bytes(len) }
    }

    fn segment(
        &mut self,
        (sport, dport): (u16, u16),
        (flags, seq, ack): (u8, Option<u32>, Option<u32>),
    ) -> Tcp {
        let random = self.rng.next();
        let options = 4 * self.rng.pick(&[0, 0, 2, 3, 10]);
        let data = if flags & PSH != 0 { self.rng.below(40) } else { 0 };
        Tcp {
            sport,
            dport,
            seq: seq.unwrap_or(random as u32),
            ack: ack.unwrap_or((random >> 32) as u32),
            flags,
            window: random as u16,
            options: self.rng.bytes(options),
            data: self.rng.bytes(data),
        }
    }

    fn packet(
        &mut self,
        (eth_src, eth_dst): (MacAddr, MacAddr),
        (src, dst): (IpAddr, IpAddr),
        payload: Payload,
    ) -> Packet {
        let random = self.rng.next();
        let trailer = if self.rng.percent(10) { self.rng.below(20) } else { 0 };
        Packet {
            eth_src,
            eth_dst,
            tags: Vec::new(),
            src,
            dst,
            ttl: (random as u8).max(2),
            tos: (random >> 8) as u8,
            id: (random >> 16) as u16,
            payload,
            trailer: self.rng.bytes(trailer),
        }
    }

    /// Mostly the last one.
    fn recent(&mut self) -> usize {
        let last = self.sent.len() - 1;
        if self.rng.percent(60) { last } else { self.rng.below(last + 1) }
    }

    fn some_sent(&mut self) -> Option<Sent> {
        if self.sent.is_empty() {
            return None;
        }
        let at = self.recent();
        Some(read(&self.sent[at]))
    }
}

fn read(frame: &[u8]) -> Sent {
    fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        std::array::from_fn(|i| bytes.get(at + i).copied().unwrap_or(0))
    }
    let v4 = array(frame, 12) == [8, 0];
    let l4 = if v4 { 34 } else { 54 };
    let address = |n: usize| match v4 {
        true => IpAddr::from(array::<4>(frame, 26 + 4 * n)),
        false => IpAddr::from(array::<16>(frame, 22 + 16 * n)),
    };
    let number16 = |at| u16::from_be_bytes(array(frame, at));
    let number32 = |at| u32::from_be_bytes(array(frame, at));
    let end = 14 + usize::from(number16(if v4 { 16 } else { 18 })) + if v4 { 0 } else { 40 };
    let flags = array::<1>(frame, l4 + 13)[0];
    let header = usize::from(array::<1>(frame, l4 + 12)[0] >> 4) * 4;
    let sequence = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    Sent {
        eth_dst: MacAddr(array(frame, 0)),
        eth_src: MacAddr(array(frame, 6)),
        src: address(0),
        dst: address(1),
        proto: array::<1>(frame, if v4 { 23 } else { 20 })[0],
        sport: number16(l4),
        dport: number16(l4 + 2),
        seq: number32(l4 + 4),
        ack: number32(l4 + 8),
        flags,
        len: end.saturating_sub(l4 + header) as u32 + sequence,
    }
}
