//! A TCP packet turned around into the RST that answers it.

use lb_common::net::proto;

use crate::{
    csum,
    cursor::Cursor,
    header::{EthHdr, Ipv4Hdr, Ipv6Hdr, TcpHdr, tcp_flags},
    parse::Packet,
};

/// Sequence number, acknowledgement number and flags of the RST that a closed port answers with
/// (RFC 9293 section 3.10.7.1); numbers in host order.
#[inline(always)]
pub const fn answer(packet: &Packet) -> (u32, u32, u8) {
    if packet.flags & tcp_flags::ACK != 0 {
        (packet.ack, 0, tcp_flags::RST)
    } else {
        (0, packet.seq.wrapping_add(packet.seg_len as u32), tcp_flags::RST | tcp_flags::ACK)
    }
}

/// Turns the packet around in place; the caller cuts the frame to the returned length.
/// `None` when a header is missing.
#[inline(always)]
pub fn turn_around(mut cursor: Cursor<'_>, packet: &Packet) -> Option<usize> {
    let eth = cursor.take::<EthHdr>()?;
    (eth.dst, eth.src) = (eth.src, eth.dst);
    if packet.v4 {
        let ip = cursor.take::<Ipv4Hdr>()?;
        let tcp = cursor.take::<TcpHdr>()?;
        let (src, dst) = (ip.dst, ip.src);
        *ip = Ipv4Hdr {
            version_ihl: 0x45,
            tos: 0,
            total_len: 40_u16.to_be_bytes(),
            id: [0; 2],
            frag: [0x40, 0],
            ttl: 64,
            proto: proto::TCP,
            check: [0; 2],
            src,
            dst,
        };
        let addresses = csum::sum4(src) + csum::sum4(dst);
        let fixed = csum::word([0x45, 0])
            + csum::word(ip.total_len)
            + csum::word(ip.frag)
            + csum::word([ip.ttl, ip.proto]);
        ip.check = (!csum::fold(addresses + fixed)).to_ne_bytes();
        header(tcp, packet, addresses);
        Some(size_of::<EthHdr>() + 40)
    } else {
        let ip = cursor.take::<Ipv6Hdr>()?;
        let tcp = cursor.take::<TcpHdr>()?;
        let (src, dst) = (ip.dst, ip.src);
        *ip = Ipv6Hdr {
            version_flow: [0x60, 0, 0, 0],
            payload_len: 20_u16.to_be_bytes(),
            next: proto::TCP,
            hop_limit: 64,
            src,
            dst,
        };
        let addresses =
            csum::sum_addr(&packet.key.src, false) + csum::sum_addr(&packet.key.dst, false);
        header(tcp, packet, addresses);
        Some(size_of::<EthHdr>() + 60)
    }
}

#[inline(always)]
fn header(tcp: &mut TcpHdr, packet: &Packet, addresses: u64) {
    let (seq, ack, flags) = answer(packet);
    *tcp = TcpHdr {
        sport: packet.key.dport.to_wire(),
        dport: packet.key.sport.to_wire(),
        seq: seq.to_be_bytes(),
        ack: ack.to_be_bytes(),
        doff: 5 << 4,
        flags,
        window: [0; 2],
        check: [0; 2],
        urgent: [0; 2],
    };
    let sum = addresses
        + csum::word([0, proto::TCP])
        + csum::word(20_u16.to_be_bytes())
        + csum::word(tcp.sport)
        + csum::word(tcp.dport)
        + csum::sum4(tcp.seq)
        + csum::sum4(tcp.ack)
        + csum::word([tcp.doff, tcp.flags]);
    tcp.check = (!csum::fold(sum)).to_ne_bytes();
}
