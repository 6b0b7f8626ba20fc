//! From a frame to a [`Packet`], or to the reason why there is none.

use lb_common::{
    flow::FlowKey,
    net::{Addr, Be16, proto},
    reason::Reason,
};

use crate::{
    cursor::Cursor,
    header::{
        ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, EthHdr, Ipv4Hdr, Ipv6Hdr,
        TcpHdr, UdpHdr, VlanTag, tcp_flags,
    },
};

/// Next-header numbers of IPv6 extension headers (RFC 8200 section 4) that may precede TCP or UDP.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

/// What the later steps need to know of a packet; addresses and ports as they arrived.
///
/// Ethernet addresses are held as words ([`MacAddr::to_u64`](lb_common::net::MacAddr::to_u64)):
/// the verifier allows misaligned access to packets and maps, but not to the stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet {
    /// Addresses, ports and protocol. For ICMP the ports are zero.
    pub key: FlowKey,
    /// Source of the frame.
    pub eth_src: u64,
    /// Length of the IP packet, header included.
    pub ip_len: u16,
    /// Destination of the frame.
    pub eth_dst: u64,
    /// Sequence space the TCP segment takes: payload, and one each for SYN and FIN.
    pub seg_len: u16,
    /// TCP sequence number, host order.
    pub seq: u32,
    /// TCP acknowledgement number, host order.
    pub ack: u32,
    /// TCP flags; zero for anything else.
    pub flags: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Whether it is IPv4.
    pub v4: bool,
    /// Whether the frame carried VLAN tags.
    pub tagged: bool,
}

impl Packet {
    /// Whether all of these TCP flags are set.
    #[inline(always)]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// A TCP segment that opens a connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
    }

    /// Whether it is TCP.
    #[inline(always)]
    pub const fn is_tcp(&self) -> bool {
        self.key.proto == proto::TCP
    }
}

/// Reads Ethernet and IP up to the addresses; `wanted` is asked about the destination before
/// anything else is looked at.
///
/// On `Err`, `packet.key.dst` is set unless the reason is [`Reason::NotIp`] or
/// [`Reason::Truncated`]: reasons that hold only "for a VIP" must be confirmed by the caller.
#[inline(always)]
pub fn parse(
    mut cursor: Cursor<'_>,
    wanted: impl FnOnce(&Addr) -> bool,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let eth = cursor.take::<EthHdr>().ok_or(Reason::Truncated)?;
    packet.eth_dst = eth.dst.to_u64();
    packet.eth_src = eth.src.to_u64();
    let mut ethertype = eth.ethertype;
    if ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ {
        packet.tagged = true;
        ethertype = cursor.take::<VlanTag>().ok_or(Reason::Truncated)?.ethertype;
        if ethertype == ETHERTYPE_VLAN {
            ethertype = cursor.take::<VlanTag>().ok_or(Reason::Truncated)?.ethertype;
        }
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(cursor, wanted, packet),
        ETHERTYPE_IPV6 => ipv6(cursor, wanted, packet),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
fn ipv4(
    mut cursor: Cursor<'_>,
    wanted: impl FnOnce(&Addr) -> bool,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let available = cursor.left();
    let ip = cursor.take::<Ipv4Hdr>().ok_or(Reason::Truncated)?;
    packet.key.dst = ip.destination();
    if !wanted(&packet.key.dst) {
        return Err(Reason::NotVip);
    }
    packet.v4 = true;
    packet.key.src = ip.source();
    packet.key.proto = ip.proto;
    packet.ttl = ip.ttl;
    packet.ip_len = u16::from_be_bytes(ip.total_len);
    match ip.version_ihl {
        0x45 => {}
        0x46..=0x4f => return Err(Reason::IpOptions),
        _ => return Err(Reason::BadIpHeader),
    }
    if packet.ip_len < 20 || usize::from(packet.ip_len) > available {
        return Err(Reason::BadTotalLength);
    }
    if u16::from_be_bytes(ip.frag) & 0x3fff != 0 {
        return Err(Reason::Fragment);
    }
    transport(cursor, packet.ip_len - 20, packet)
}

#[inline(always)]
fn ipv6(
    mut cursor: Cursor<'_>,
    wanted: impl FnOnce(&Addr) -> bool,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let ip = cursor.take::<Ipv6Hdr>().ok_or(Reason::Truncated)?;
    packet.key.dst = Addr::v6(ip.dst);
    // In our keys a v4-mapped address means IPv4; in an IPv6 header it is nobody's.
    if packet.key.dst.is_v4() || !wanted(&packet.key.dst) {
        return Err(Reason::NotVip);
    }
    packet.key.src = Addr::v6(ip.src);
    packet.key.proto = ip.next;
    packet.ttl = ip.hop_limit;
    let payload_len = u16::from_be_bytes(ip.payload_len);
    packet.ip_len = payload_len.saturating_add(40);
    if ip.version_flow[0] >> 4 != 6 {
        return Err(Reason::BadIpHeader);
    }
    if usize::from(payload_len) > cursor.left() {
        return Err(Reason::BadTotalLength);
    }
    match ip.next {
        extension::FRAGMENT => return Err(Reason::Fragment),
        extension::HOP_BY_HOP
        | extension::ROUTING
        | extension::AUTHENTICATION
        | extension::DESTINATION => return Err(Reason::Ipv6Extension),
        _ => {}
    }
    transport(cursor, payload_len, packet)
}

#[inline(always)]
fn transport(mut cursor: Cursor<'_>, len: u16, packet: &mut Packet) -> Result<(), Reason> {
    match packet.key.proto {
        proto::TCP => {
            let tcp = cursor.take::<TcpHdr>().ok_or(Reason::BadTcpHeader)?;
            let header_len = u16::from(tcp.doff >> 4) * 4;
            if header_len < 20 || header_len > len {
                return Err(Reason::BadTcpHeader);
            }
            packet.key.sport = Be16::from_wire(tcp.sport);
            packet.key.dport = Be16::from_wire(tcp.dport);
            packet.seq = u32::from_be_bytes(tcp.seq);
            packet.ack = u32::from_be_bytes(tcp.ack);
            packet.flags = tcp.flags;
            packet.seg_len = len - header_len
                + u16::from(tcp.flags & tcp_flags::SYN != 0)
                + u16::from(tcp.flags & tcp_flags::FIN != 0);
            check_flags(tcp.flags)
        }
        proto::UDP => {
            let udp = cursor.take::<UdpHdr>().ok_or(Reason::BadUdpLength)?;
            let udp_len = u16::from_be_bytes(udp.len);
            if udp_len < 8 || udp_len > len {
                return Err(Reason::BadUdpLength);
            }
            packet.key.sport = Be16::from_wire(udp.sport);
            packet.key.dport = Be16::from_wire(udp.dport);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Every segment but a SYN or a RST carries ACK (RFC 9293 section 3.1); SYN, FIN and RST exclude
/// each other.
#[inline(always)]
fn check_flags(flags: u8) -> Result<(), Reason> {
    use tcp_flags::{ACK, FIN, RST, SYN};
    let exclusive = flags & (SYN | FIN | RST);
    if exclusive & exclusive.wrapping_sub(1) != 0 || flags & (SYN | RST | ACK) == 0 {
        return Err(Reason::BadTcpFlags);
    }
    Ok(())
}
