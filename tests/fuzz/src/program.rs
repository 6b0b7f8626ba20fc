//! The frames that the XDP program reads.

use lb_common::{flow::FlowKey, net::proto};
use lb_ebpf::{
    claim,
    cursor::Cursor,
    icmp,
    parse::{Packet, parse},
};

pub(crate) fn run(input: &[u8]) {
    let mut frame = input.to_vec();
    if let Some(target) = claim::asked(Cursor::new(&mut frame), |_| true) {
        assert!(claim::asked(Cursor::new(&mut frame), |other| *other != target).is_none());
    }
    let mut packet = Packet::default();
    if parse(Cursor::new(&mut frame), |_| true, &mut packet).is_err() {
        return;
    }
    let header = if packet.v4 { 20 } else { 40 };
    assert!(usize::from(packet.ip_len) + 14 <= frame.len(), "longer than the frame");
    assert!(packet.ip_len >= header, "shorter than its header");
    assert!(packet.seg_len <= packet.ip_len - header + 2, "more sequence space than bytes");
    if matches!(packet.key.proto, proto::ICMP | proto::ICMPV6) && !packet.tagged {
        let mut key = FlowKey::default();
        if icmp::quoted(Cursor::new(&mut frame), &packet, &mut key).is_ok() {
            assert!(matches!(key.proto, proto::TCP | proto::UDP), "a quotation without ports");
        }
    }
    assert_eq!(frame, input, "reading changes nothing");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tcp4 = ip4(proto::TCP, &tcp());
    let tcp6 = ip6(proto::TCP, &tcp());
    let udp = [0x9c, 0x40, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let unreachable = |kind, quoted: &[u8]| [&[kind, 4, 0, 0, 0, 0, 0x05, 0x78], quoted].concat();
    let tagged = |mut frame: Vec<u8>| {
        frame.splice(12..12, [0x81, 0, 0, 1]);
        frame
    };
    vec![
        ethernet(0x0800, &tcp4),
        ethernet(0x86dd, &tcp6),
        ethernet(0x0800, &ip4(proto::UDP, &udp)),
        ethernet(0x86dd, &ip6(proto::UDP, &udp)),
        ethernet(0x0800, &ip4(proto::ICMP, &unreachable(3, &tcp4))),
        ethernet(0x86dd, &ip6(proto::ICMPV6, &unreachable(2, &tcp6))),
        tagged(ethernet(0x0800, &tcp4)),
        ethernet(0x0806, &who_has()),
    ]
}

/// An ARP request.
fn who_has() -> Vec<u8> {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    arp
}

fn tcp() -> Vec<u8> {
    let mut tcp = vec![0; 20];
    tcp[..4].copy_from_slice(&[0x9c, 0x40, 0x19, 0x2b]);
    tcp[12] = 0x50;
    tcp[13] = 0x02;
    tcp
}

fn ethernet(kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(packet);
    frame
}

fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut packet =
        vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet.extend(payload);
    packet
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&[next, 64]);
    packet[8] = 0xfd;
    packet[24] = 0xfd;
    packet.extend(payload);
    packet
}
