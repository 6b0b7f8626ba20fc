//! Packets built field by field, every checksum computed in full (RFC 1071).
//!
//! Nothing here comes from the data plane's own code: what it sends is compared with this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::net::{MacAddr, proto};

/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// PSH.
pub const PSH: u8 = 0x08;
/// ACK.
pub const ACK: u8 = 0x10;

/// An Ethernet frame with an IP packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Ethernet source.
    pub eth_src: MacAddr,
    /// Ethernet destination.
    pub eth_dst: MacAddr,
    /// VLAN tags, outermost first: the EtherType that announces the tag, and the tag.
    pub tags: Vec<([u8; 2], [u8; 2])>,
    /// IP source; its family is the packet's.
    pub src: IpAddr,
    /// IP destination, of the same family.
    pub dst: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// IPv4 identification.
    pub id: u16,
    /// What the IP packet carries.
    pub payload: Payload,
    /// Bytes after the IP packet (Ethernet padding).
    pub trailer: Vec<u8>,
}

/// What an IP packet carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A TCP segment.
    Tcp(Tcp),
    /// A UDP datagram.
    Udp(Udp),
    /// An ICMP or ICMPv6 message.
    Icmp(Icmp),
    /// Anything else.
    Other {
        /// Protocol number.
        proto: u8,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// A TCP segment.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// Payload.
    pub data: Vec<u8>,
}

/// A UDP datagram.
#[derive(Clone, Debug, Default)]
pub struct Udp {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Sent without a checksum (IPv4 only).
    pub unchecked: bool,
    /// Payload.
    pub data: Vec<u8>,
}

/// An ICMP or ICMPv6 message.
#[derive(Clone, Debug)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second word: unused, MTU, or identifier and sequence.
    pub rest: [u8; 4],
    /// What follows: for an error the quoted packet.
    pub body: Vec<u8>,
}

impl Packet {
    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(128);
        frame.extend(self.eth_dst.0);
        frame.extend(self.eth_src.0);
        for (announced, tag) in &self.tags {
            frame.extend(announced);
            frame.extend(tag);
        }
        frame.extend(if self.src.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(self.ip());
        frame.extend(&self.trailer);
        frame
    }

    /// The IP packet's bytes.
    pub fn ip(&self) -> Vec<u8> {
        let (proto, payload) = self.transport();
        let mut ip = Vec::with_capacity(64 + payload.len());
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                ip.extend([0x45, self.tos]);
                ip.extend((20 + payload.len() as u16).to_be_bytes());
                ip.extend(self.id.to_be_bytes());
                ip.extend([0x40, 0, self.ttl, proto, 0, 0]);
                ip.extend(src.octets());
                ip.extend(dst.octets());
                let check = checksum(&[&ip]);
                ip[10..12].copy_from_slice(&check.to_be_bytes());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                ip.extend([0x60 | self.tos >> 4, self.tos << 4, 0, 0]);
                ip.extend((payload.len() as u16).to_be_bytes());
                ip.extend([proto, self.ttl]);
                ip.extend(src.octets());
                ip.extend(dst.octets());
            }
            _ => panic!("families differ: {self:?}"),
        }
        ip.extend(payload);
        ip
    }

    fn transport(&self) -> (u8, Vec<u8>) {
        let v4 = self.src.is_ipv4();
        match &self.payload {
            Payload::Tcp(tcp) => (proto::TCP, self.checked(proto::TCP, tcp.bytes(), 16)),
            Payload::Udp(udp) if udp.unchecked => (proto::UDP, udp.bytes()),
            Payload::Udp(udp) => {
                let mut bytes = self.checked(proto::UDP, udp.bytes(), 6);
                if bytes[6..8] == [0, 0] {
                    bytes[6..8].copy_from_slice(&[0xff, 0xff]);
                }
                (proto::UDP, bytes)
            }
            Payload::Icmp(icmp) if v4 => {
                let mut bytes = icmp.bytes();
                let check = checksum(&[&bytes]);
                bytes[2..4].copy_from_slice(&check.to_be_bytes());
                (proto::ICMP, bytes)
            }
            Payload::Icmp(icmp) => (proto::ICMPV6, self.checked(proto::ICMPV6, icmp.bytes(), 2)),
            Payload::Other { proto, bytes } => (*proto, bytes.clone()),
        }
    }

    fn checked(&self, proto: u8, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        let check = checksum(&[&pseudo(self.src, self.dst, proto, bytes.len()), &bytes]);
        bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }
}

impl From<Tcp> for Payload {
    fn from(tcp: Tcp) -> Self {
        Self::Tcp(tcp)
    }
}

impl From<Udp> for Payload {
    fn from(udp: Udp) -> Self {
        Self::Udp(udp)
    }
}

impl From<Icmp> for Payload {
    fn from(icmp: Icmp) -> Self {
        Self::Icmp(icmp)
    }
}

/// A segment with these flags, sequence and acknowledgement numbers.
pub fn segment(flags: u8, seq: u32, ack: u32) -> Tcp {
    Tcp { seq, ack, flags, window: 0x7210, ..Tcp::default() }
}

/// A datagram.
pub fn datagram(data: &[u8]) -> Udp {
    Udp { data: data.to_vec(), ..Udp::default() }
}

impl Tcp {
    fn bytes(&self) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(self.sport.to_be_bytes());
        b.extend(self.dport.to_be_bytes());
        b.extend(self.seq.to_be_bytes());
        b.extend(self.ack.to_be_bytes());
        b.extend([(5 + self.options.len() as u8 / 4) << 4, self.flags]);
        b.extend(self.window.to_be_bytes());
        b.extend([0; 4]);
        b.extend(&self.options);
        b.extend(&self.data);
        b
    }
}

impl Udp {
    fn bytes(&self) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(self.sport.to_be_bytes());
        b.extend(self.dport.to_be_bytes());
        b.extend((8 + self.data.len() as u16).to_be_bytes());
        b.extend([0; 2]);
        b.extend(&self.data);
        b
    }
}

impl Icmp {
    fn bytes(&self) -> Vec<u8> {
        let mut b = vec![self.kind, self.code, 0, 0];
        b.extend(self.rest);
        b.extend(&self.body);
        b
    }
}

/// The pseudo-header of RFC 9293 section 3.1 and RFC 8200 section 8.1.
pub(crate) fn pseudo(src: IpAddr, dst: IpAddr, proto: u8, len: usize) -> Vec<u8> {
    let mut b = Vec::new();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            b.extend(src.octets());
            b.extend(dst.octets());
            b.extend([0, proto]);
            b.extend((len as u16).to_be_bytes());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            b.extend(src.octets());
            b.extend(dst.octets());
            b.extend((len as u32).to_be_bytes());
            b.extend([0, 0, 0, proto]);
        }
        _ => panic!("families differ: {src} and {dst}"),
    }
    b
}

/// The Internet checksum over the concatenation of these parts; all but the last are of even
/// length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for word in part.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}

/// An ARP message about IPv4 over Ethernet (RFC 826), without padding.
pub fn arp(
    operation: u16,
    (eth_src, eth_dst): (MacAddr, MacAddr),
    sender: Ipv4Addr,
    target: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = [eth_dst.0, eth_src.0].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(eth_src.0);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

/// A neighbour solicitation (RFC 4861 section 4.3) with the sender's Ethernet address.
pub fn solicitation(eth_src: MacAddr, target: Ipv6Addr) -> Icmp {
    let mut body = target.octets().to_vec();
    body.extend([1, 1]);
    body.extend(eth_src.0);
    Icmp { kind: 135, code: 0, rest: [0; 4], body }
}

/// The solicited-node address of `target` (RFC 4291 section 2.7.1), and its Ethernet address.
pub fn solicited_node(target: Ipv6Addr) -> (Ipv6Addr, MacAddr) {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    (group, MacAddr([0x33, 0x33, 0xff, a, b, c]))
}

/// Recomputes every checksum of an untagged frame without IP options: IP, then TCP, UDP or ICMP.
pub fn verify(frame: &[u8]) -> Result<(), String> {
    let ip = &frame[14..];
    let (src, dst, proto, payload): (IpAddr, IpAddr, u8, &[u8]) = if frame[12..14] == [8, 0] {
        if checksum(&[&ip[..20]]) != 0 {
            return Err("IPv4 header checksum is wrong".into());
        }
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        (octets::<4>(&ip[12..]).into(), octets::<4>(&ip[16..]).into(), ip[9], &ip[20..total])
    } else {
        let len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        (octets::<16>(&ip[8..]).into(), octets::<16>(&ip[24..]).into(), ip[6], &ip[40..40 + len])
    };
    let sum = match proto {
        proto::UDP if src.is_ipv4() && payload[6..8] == [0, 0] => 0,
        proto::UDP if payload[6..8] == [0, 0] => return Err("UDP checksum is zero".into()),
        proto::TCP | proto::UDP | proto::ICMPV6 => {
            checksum(&[&pseudo(src, dst, proto, payload.len()), payload])
        }
        proto::ICMP => checksum(&[payload]),
        other => return Err(format!("protocol {other} has no checksum")),
    };
    if sum == 0 { Ok(()) } else { Err(format!("checksum of protocol {proto} is wrong")) }
}

fn octets<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| bytes[i])
}

/// Bytes as hex digits, sixteen to a group.
pub fn hex(bytes: &[u8]) -> String {
    let group = |chunk: &[u8]| chunk.iter().map(|b| format!("{b:02x}")).collect::<String>();
    bytes.chunks(16).map(group).collect::<Vec<_>>().join(" ")
}
