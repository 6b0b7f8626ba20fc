//! What cannot be right, or cannot be served, is dropped.

use lb_common::{net::proto, reason::Reason};
use lb_tests::packet::{ACK, FIN, PSH, Packet, Payload, RST, SYN, datagram, segment};

use super::{
    conn::Conn,
    fixture::{CLIENT_SEQ, Family, Fixture, both, open_tcp, syn},
    scene::{Scene, Want},
    target::{DNS, HTTPS, Target},
};

/// Length of the Ethernet header.
const ETH: usize = 14;

/// A packet for a service, changed so that it is dropped.
fn dropped(
    name: impl Into<String>,
    reason: Reason,
    change: impl Fn(&Scene, &mut Vec<u8>) + 'static,
) -> Fixture {
    both(name, move |s| {
        let mut frame = Conn::new(s, HTTPS, 40_000).client_sends(syn()).bytes();
        change(s, &mut frame);
        s.expect(&frame, Want::Untouched(reason))
    })
}

fn only(family: Family, fixture: Fixture) -> Fixture {
    Fixture { family, ..fixture }
}

/// Offset of the transport header.
fn l4(scene: &Scene) -> usize {
    ETH + if scene.v6 { 40 } else { 20 }
}

/// Writes the IP length: of the whole packet (IPv4), of what follows the header (IPv6).
fn set_len(scene: &Scene, frame: &mut [u8], len: u16) {
    let at = ETH + if scene.v6 { 4 } else { 2 };
    frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
}

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = headers();
    all.extend(lengths());
    all.extend(fragments_and_options());
    all.extend(tcp());
    all.extend(udp());
    all.extend(tags_and_ttl());
    all
}

fn headers() -> Vec<Fixture> {
    vec![
        dropped("IP header cut short", Reason::Truncated, |s, frame| frame.truncate(l4(s) - 1)),
        dropped("IP header missing", Reason::Truncated, |_, frame| frame.truncate(ETH)),
        dropped("VLAN tag cut short", Reason::Truncated, |_, frame| {
            frame[12..14].copy_from_slice(&[0x81, 0]);
            frame.truncate(ETH + 3);
        }),
        dropped("second VLAN tag cut short", Reason::Truncated, |_, frame| {
            frame[12..18].copy_from_slice(&[0x88, 0xa8, 0, 1, 0x81, 0]);
            frame.truncate(ETH + 4);
        }),
        dropped("IP version 5", Reason::BadIpHeader, |_, frame| {
            frame[ETH] = frame[ETH] & 0xf | 0x50;
        }),
        dropped("the other family's version", Reason::BadIpHeader, |s, frame| {
            frame[ETH] = if s.v6 { 0x45 } else { 0x60 };
        }),
        only(Family::V4, dropped("IHL 4", Reason::BadIpHeader, |_, frame| frame[ETH] = 0x44)),
    ]
}

fn lengths() -> Vec<Fixture> {
    vec![
        dropped("IP length beyond the frame", Reason::BadTotalLength, |s, frame| {
            let len = frame.len() - if s.v6 { l4(s) } else { ETH };
            set_len(s, frame, len as u16 + 1);
        }),
        dropped("frame cut short", Reason::BadTotalLength, |_, frame| {
            frame.pop();
        }),
        dropped("IP length 65535", Reason::BadTotalLength, |s, frame| set_len(s, frame, u16::MAX)),
        only(
            Family::V4,
            dropped("IP length below the header", Reason::BadTotalLength, |s, frame| {
                set_len(s, frame, 19);
            }),
        ),
        dropped("no room for a TCP header", Reason::BadTcpHeader, |s, frame| {
            set_len(s, frame, if s.v6 { 19 } else { 39 });
        }),
        dropped("IP length 0 or header alone", Reason::BadTcpHeader, |s, frame| {
            set_len(s, frame, if s.v6 { 0 } else { 20 });
            frame.truncate(l4(s));
        }),
    ]
}

fn fragments_and_options() -> Vec<Fixture> {
    let mut all = Vec::new();
    for (name, frag) in [("first", 0x2000_u16), ("middle", 0x2010), ("last", 0x0010)] {
        let change = move |_: &Scene, frame: &mut Vec<u8>| {
            frame[ETH + 6..ETH + 8].copy_from_slice(&frag.to_be_bytes());
        };
        let fixture = dropped(format!("{name} fragment"), Reason::Fragment, change);
        all.push(only(Family::V4, fixture));
    }
    for ihl in [6, 15] {
        let change = move |_: &Scene, frame: &mut Vec<u8>| frame[ETH] = 0x40 | ihl;
        all.push(only(Family::V4, dropped(format!("IHL {ihl}"), Reason::IpOptions, change)));
    }
    let extensions = [
        (0, Reason::Ipv6Extension),
        (43, Reason::Ipv6Extension),
        (44, Reason::Fragment),
        (51, Reason::Ipv6Extension),
        (60, Reason::Ipv6Extension),
    ];
    for (next, reason) in extensions {
        let change = move |_: &Scene, frame: &mut Vec<u8>| frame[ETH + 6] = next;
        all.push(only(Family::V6, dropped(format!("next header {next}"), reason, change)));
    }
    all
}

fn tcp() -> Vec<Fixture> {
    let mut all = Vec::new();
    for doff in [0_u8, 4, 8, 15] {
        let change = move |s: &Scene, frame: &mut Vec<u8>| frame[l4(s) + 12] = doff << 4;
        // The SYN has eight bytes of options: seven words.
        all.push(dropped(format!("data offset {doff}"), Reason::BadTcpHeader, change));
    }
    for flags in [
        0,
        FIN,
        PSH,
        FIN | PSH | 0x20,
        SYN | FIN,
        SYN | RST,
        FIN | RST | ACK,
        SYN | FIN | ACK,
        SYN | RST | FIN | ACK | PSH,
        0xff,
    ] {
        all.push(both(format!("TCP flags {flags:#04x}"), move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.stopped(s, segment(flags, CLIENT_SEQ, 1), Reason::BadTcpFlags)
        }));
    }
    all.push(both("bad flags in an established flow", |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        conn.stopped(s, segment(SYN | RST, 0, 0), Reason::BadTcpFlags)?;
        conn.backend_stopped(s, segment(0, 0, 0), Reason::BadTcpFlags)?;
        s.entries(2, 0)
    }));
    all.push(both("a client's SYN-ACK", |s| {
        let conn = Conn::new(s, HTTPS, 40_000);
        conn.stopped(s, segment(SYN | ACK, CLIENT_SEQ, 1), Reason::BadTcpFlags)?;
        s.entries(0, 0)
    }));
    all
}

fn udp() -> Vec<Fixture> {
    let mut all = Vec::new();
    for len in [0_u16, 7, 13, u16::MAX] {
        all.push(both(format!("UDP length {len}, of 12"), move |s| {
            let mut frame = Conn::new(s, DNS, 40_000).client_sends(datagram(b"four")).bytes();
            let at = l4(s) + 4;
            frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
            s.expect(&frame, Want::Untouched(Reason::BadUdpLength))
        }));
    }
    all.push(both("no room for a UDP header", |s| {
        let packet = Conn::new(s, DNS, 40_000).client_sends(datagram(b""));
        let payload = Payload::Other { proto: proto::UDP, bytes: vec![0, 1, 0, 53, 0, 8, 0] };
        s.expect(&Packet { payload, ..packet }.bytes(), Want::Untouched(Reason::BadUdpLength))
    }));
    all
}

fn tags_and_ttl() -> Vec<Fixture> {
    /// A NAT port, as a client would use it.
    const NAT_PORT: Target = Target { port: 12_288, ..HTTPS };
    let mut all = Vec::new();
    let tagged = [
        ("a VLAN tag", vec![([0x81, 0], [0, 5])]),
        ("a priority tag", vec![([0x81, 0], [0xe0, 0])]),
        ("a service tag", vec![([0x88, 0xa8], [0, 5])]),
        ("two VLAN tags", vec![([0x88, 0xa8], [0, 5]), ([0x81, 0], [0, 6])]),
    ];
    for (name, tags) in tagged {
        for target in [HTTPS, NAT_PORT] {
            let tags = tags.clone();
            all.push(both(format!("{name}, port {}", target.port), move |s| {
                let packet = Conn::new(s, target, 40_000).client_sends(syn());
                let packet = Packet { tags: tags.clone(), ..packet };
                s.expect(&packet.bytes(), Want::Untouched(Reason::VlanTagged))
            }));
        }
    }
    for ttl in [0, 1] {
        for target in [HTTPS, NAT_PORT] {
            all.push(both(format!("TTL {ttl}, port {}", target.port), move |s| {
                let packet = Conn::new(s, target, 40_000).client_sends(syn());
                s.expect(&Packet { ttl, ..packet }.bytes(), Want::Untouched(Reason::TtlExpired))
            }));
        }
    }
    all.push(both("TTL 1 in an established flow", |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        let there = Packet { ttl: 1, ..conn.client_sends(super::fixture::client(PSH)) };
        s.expect(&there.bytes(), Want::Untouched(Reason::TtlExpired))?;
        let back = Packet { ttl: 1, ..conn.backend_sends(super::fixture::backend(PSH)) };
        s.expect(&back.bytes(), Want::Untouched(Reason::TtlExpired))
    }));
    all
}
