//! What is not ours goes to the kernel, untouched.

use lb_common::{net::MacAddr, reason::Reason};
use lb_tests::packet::{Icmp, Packet, Payload, SYN, segment};

use super::{
    conn::{Conn, twin},
    fixture::{Fixture, both, syn, v4, v6},
    scene::{Scene, Want},
    target::{HTTPS, Target},
};

const BROADCAST: MacAddr = MacAddr([0xff; 6]);
const STATION: MacAddr = MacAddr([2, 0, 0, 0, 9, 9]);
/// No service has this port.
const SSH: Target = Target { port: 22, ..HTTPS };

fn kernel(name: &str, reason: Reason, packet: impl Fn(&Scene) -> Packet + 'static) -> Fixture {
    both(name, move |s| {
        let bytes = packet(s).bytes();
        s.expect(&bytes, Want::Untouched(reason))
    })
}

fn to_service(scene: &Scene) -> Packet {
    Conn::new(scene, HTTPS, 40_000).client_sends(syn())
}

fn to(scene: &Scene, payload: Payload) -> Packet {
    Packet { payload, ..to_service(scene) }
}

fn echo(scene: &Scene) -> Packet {
    let kind = if scene.v6 { 128 } else { 8 };
    to(scene, Icmp { kind, code: 0, rest: [0, 1, 0, 2], body: vec![7; 64] }.into())
}

fn other(proto: u8) -> Payload {
    Payload::Other { proto, bytes: vec![0; 24] }
}

/// The same packet to an address that is no VIP but shares the VIP's bit in the filter.
fn beside(packet: Packet) -> Packet {
    Packet { dst: twin(packet.dst), ..packet }
}

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = not_ip();
    all.extend(not_vip());
    all.extend([
        kernel("a frame for another station", Reason::NotOurMac, |s| Packet {
            eth_dst: STATION,
            ..to_service(s)
        }),
        kernel("a broadcast frame", Reason::NotOurMac, |s| Packet {
            eth_dst: BROADCAST,
            ..to_service(s)
        }),
        kernel("no service at this port", Reason::NotService, |s| {
            Conn::new(s, SSH, 40_000).client_sends(syn())
        }),
        kernel("no service at this port, TTL 1", Reason::NotService, |s| Packet {
            ttl: 1,
            ..Conn::new(s, SSH, 40_000).client_sends(syn())
        }),
        kernel("no service at this port, tagged", Reason::NotService, |s| Packet {
            tags: vec![([0x81, 0], [0, 5])],
            ..Conn::new(s, SSH, 40_000).client_sends(syn())
        }),
        kernel("no service with this protocol", Reason::NotService, |s| {
            let conn = Conn::new(s, Target { port: HTTPS.port, ..super::target::DNS }, 40_000);
            conn.client_sends(lb_tests::packet::datagram(b"?"))
        }),
        kernel("GRE", Reason::OtherProtocol, |s| to(s, other(47))),
        kernel("SCTP", Reason::OtherProtocol, |s| to(s, other(132))),
        kernel("an echo request", Reason::OtherProtocol, echo),
        kernel("an echo request, TTL 1", Reason::OtherProtocol, |s| Packet { ttl: 1, ..echo(s) }),
        kernel("an echo request, tagged", Reason::OtherProtocol, |s| Packet {
            tags: vec![([0x81, 0], [0, 5])],
            ..echo(s)
        }),
        kernel("the other family's ICMP", Reason::OtherProtocol, |s| {
            to(s, other(if s.v6 { 1 } else { 58 }))
        }),
        kernel("an ICMP message cut short", Reason::OtherProtocol, |s| {
            let proto = if s.v6 { 58 } else { 1 };
            to(s, Payload::Other { proto, bytes: vec![3, 4, 0, 0] })
        }),
    ]);
    all
}

fn not_ip() -> Vec<Fixture> {
    let mut arp = vec![0xff; 6];
    arp.extend(super::scene::CLIENT_MAC.0);
    arp.extend([0x08, 0x06]);
    arp.extend([0; 28]);
    let mut headless = arp.clone();
    headless.truncate(14);
    vec![
        both("ARP", move |s| s.expect(&arp, Want::Untouched(Reason::NotIp))),
        both("an Ethernet header alone", move |s| {
            s.expect(&headless, Want::Untouched(Reason::NotIp))
        }),
        kernel("three VLAN tags", Reason::NotIp, |s| Packet {
            tags: vec![([0x88, 0xa8], [0, 1]), ([0x81, 0], [0, 2]), ([0x81, 0], [0, 3])],
            ..to_service(s)
        }),
        kernel("a length instead of an EtherType", Reason::NotIp, |s| Packet {
            tags: vec![([0, 40], [0xaa, 0xaa])],
            ..to_service(s)
        }),
    ]
}

fn not_vip() -> Vec<Fixture> {
    vec![
        kernel("another address", Reason::NotVip, |s| Packet { dst: s.router(), ..to_service(s) }),
        kernel("filter collision: TCP", Reason::NotVip, |s| beside(to_service(s))),
        kernel("filter collision: to a NAT port", Reason::NotVip, |s| {
            let conn = Conn::new(s, Target { port: 20_000, ..HTTPS }, 40_000);
            beside(conn.client_sends(segment(SYN, 0, 0)))
        }),
        kernel("filter collision: tagged", Reason::NotVip, |s| {
            beside(Packet { tags: vec![([0x81, 0], [0, 5])], ..to_service(s) })
        }),
        kernel("filter collision: TTL 1", Reason::NotVip, |s| {
            beside(Packet { ttl: 1, ..to_service(s) })
        }),
        kernel("filter collision: bad flags", Reason::NotVip, |s| {
            beside(to(s, segment(0, 0, 0).into()))
        }),
        kernel("filter collision: echo request", Reason::NotVip, |s| beside(echo(s))),
        kernel("filter collision: GRE", Reason::NotVip, |s| beside(to(s, other(47)))),
        v4("an IPv6 packet to the v4-mapped VIP", |s| mapped(s, Reason::NotVip)),
        v6("an IPv6 packet to a v4-mapped address", |s| mapped(s, Reason::NotVip)),
    ]
}

/// `::ffff:a.b.c.d` in an IPv6 header is no IPv4 address.
fn mapped(scene: &mut Scene, reason: Reason) -> anyhow::Result<()> {
    let mut packet = to_service(scene);
    for addr in [&mut packet.src, &mut packet.dst] {
        if let std::net::IpAddr::V4(v4) = addr {
            *addr = v4.to_ipv6_mapped().into();
        }
    }
    if scene.v6 {
        packet.dst = std::net::Ipv4Addr::new(198, 51, 100, 50).to_ipv6_mapped().into();
    }
    scene.expect(&packet.bytes(), Want::Untouched(reason))
}
