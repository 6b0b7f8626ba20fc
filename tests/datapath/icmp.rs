//! ICMP errors about flows, translated in both directions.

use lb_common::reason::Reason;
use lb_tests::packet::{Icmp, Packet, Payload, Udp, datagram};

use super::{
    conn::Conn,
    fixture::{Fixture, backend, both, client, open_tcp, open_udp, syn, v4, v6},
    scene::{BACKEND_MAC, CLIENT_MAC, OWN_BACK_MAC, OWN_MAC, Scene, Want},
    target::{BLOCKED, DNS, ELSEWHERE, HTTPS, TRANSLATED},
};

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = kinds();
    all.extend(quotes());
    all.extend(sends());
    all.extend(unrelated());
    all
}

/// A router's error: too big, unless changed.
fn error(scene: &Scene, quote: Vec<u8>) -> Icmp {
    let (kind, code) = if scene.v6 { (2, 0) } else { (3, 4) };
    Icmp { kind, code, rest: [0, 0, 5, 0x14], body: quote }
}

/// The error as a router on the backend's side sends it to the VIP.
fn from_behind(scene: &Scene, icmp: Icmp) -> Packet {
    let conn = Conn::new(scene, HTTPS, 1);
    Packet {
        eth_src: BACKEND_MAC,
        eth_dst: OWN_BACK_MAC,
        src: scene.router(),
        ttl: 61,
        ..conn.client_sends(icmp)
    }
}

/// The error as a router on the client's side sends it to the VIP.
fn from_front(scene: &Scene, icmp: Icmp) -> Packet {
    Packet { eth_src: CLIENT_MAC, eth_dst: OWN_MAC, ..from_behind(scene, icmp) }
}

/// The error as the client gets it: from the VIP, about its own packet.
fn client_gets(conn: &Conn, icmp: Icmp) -> Packet {
    Packet { ttl: 60, ..conn.client_gets(icmp) }
}

/// The error as the backend gets it.
fn backend_gets(conn: &Conn, icmp: Icmp) -> Packet {
    Packet { ttl: 60, ..conn.backend_gets(icmp) }
}

/// A packet of the client's as a router behind quotes it, and as the client sent it.
fn quoted(conn: &Conn, payload: impl Into<Payload>) -> (Vec<u8>, Vec<u8>) {
    let payload = payload.into();
    let inside = conn.backend_gets(payload.clone()).ip();
    (inside, Packet { ttl: 63, ..conn.client_sends(payload) }.ip())
}

/// The same for the backend's packet, quoted by a router in front.
fn quoted_back(conn: &Conn, payload: impl Into<Payload>) -> (Vec<u8>, Vec<u8>) {
    let payload = payload.into();
    let outside = conn.client_gets(payload.clone()).ip();
    (outside, Packet { ttl: 63, ..conn.backend_sends(payload) }.ip())
}

/// Both errors about an open connection come through, with quotations cut to `len` bytes.
fn both_ways(
    scene: &mut Scene,
    conn: &Conn,
    payload: impl Into<Payload>,
    len: usize,
    kind: impl Fn(Icmp) -> Icmp,
) -> anyhow::Result<()> {
    let payload = payload.into();
    let cut = |(quote, original): (Vec<u8>, Vec<u8>)| {
        let l4 = if quote[0] >> 4 == 6 { 40 } else { 20 };
        let mut original = original;
        if len == l4 + 17 {
            // Half a checksum is left as it is.
            original[l4 + 16] = quote[l4 + 16];
        }
        let len = len.min(quote.len());
        (quote[..len].to_vec(), original[..len].to_vec())
    };
    let (quote, original) = cut(quoted(conn, payload.clone()));
    let frame = from_behind(scene, kind(error(scene, quote))).bytes();
    let out = client_gets(conn, kind(error(scene, original))).bytes();
    scene.expect(&frame, Want::Sent(Reason::IcmpToClient, out))?;
    let (quote, original) = cut(quoted_back(conn, payload));
    let frame = from_front(scene, kind(error(scene, quote))).bytes();
    let out = backend_gets(conn, kind(error(scene, original))).bytes();
    scene.expect(&frame, Want::Sent(Reason::IcmpToBackend, out))
}

fn kinds() -> Vec<Fixture> {
    let mut all = Vec::new();
    for (kind, code) in [(3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (4, 0), (11, 0), (12, 0)] {
        all.push(v4(format!("ICMP type {kind} code {code}"), move |s| {
            let conn = open_tcp(s, TRANSLATED, 40_000)?;
            both_ways(s, &conn, client(0), 1000, |icmp| Icmp { kind, code, ..icmp })
        }));
    }
    for (kind, code) in [(1, 0), (1, 4), (2, 0), (3, 0), (4, 1)] {
        all.push(v6(format!("ICMPv6 type {kind} code {code}"), move |s| {
            let conn = open_tcp(s, TRANSLATED, 40_000)?;
            both_ways(s, &conn, client(0), 1000, |icmp| Icmp { kind, code, ..icmp })
        }));
    }
    all
}

fn quotes() -> Vec<Fixture> {
    let mut all = Vec::new();
    for l4_len in [8, 9, 16, 17, 18, 19, 20] {
        all.push(both(format!("{l4_len} bytes of TCP quoted"), move |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            let len = l4_len + if s.v6 { 40 } else { 20 };
            both_ways(s, &conn, client(0), len, |icmp| icmp)
        }));
        all.push(both(format!("{l4_len} bytes of UDP quoted"), move |s| {
            let conn = open_udp(s, DNS, 40_000)?;
            // Only TCP's checksum can be cut in half.
            let len = if l4_len == 17 { 18 } else { l4_len } + if s.v6 { 40 } else { 20 };
            both_ways(s, &conn, datagram(b"some more words"), len, |icmp| icmp)
        }));
    }
    all.push(v4("quoted UDP without checksum", |s| {
        let conn = open_udp(s, DNS, 40_000)?;
        let udp = Udp { unchecked: true, ..datagram(b"words") };
        both_ways(s, &conn, udp, 1000, |icmp| icmp)
    }));
    all.push(both("bytes after the quotation are not part of it", |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        let len = 8 + if s.v6 { 40 } else { 20 };
        let (quote, original) = quoted(&conn, client(0));
        let pad = |packet: Packet| Packet { trailer: vec![0x55; 24], ..packet }.bytes();
        let frame = pad(from_behind(s, error(s, quote[..len].to_vec())));
        let out = pad(client_gets(&conn, error(s, original[..len].to_vec())));
        s.expect(&frame, Want::Sent(Reason::IcmpToClient, out))
    }));
    all
}

fn sends() -> Vec<Fixture> {
    vec![
        both("an error about a half-open flow", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            both_ways(s, &conn, syn(), 1000, |icmp| icmp)
        }),
        both("an error about a flow of a backend that is down", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.down(HTTPS)?;
            both_ways(s, &conn, client(0), 1000, |icmp| icmp)
        }),
        both("an error leaves by another interface", |s| {
            let conn = Conn::new(s, ELSEWHERE, 40_000);
            s.dp.run(&conn.client_sends(syn()).bytes())?;
            let (quote, original) = quoted_back(&conn, backend(0));
            let frame = from_front(s, error(s, quote)).bytes();
            let out = backend_gets(&conn, error(s, original)).bytes();
            s.expect(&frame, Want::Redirected(Reason::IcmpToBackend, out))
        }),
        both("an error cannot leave", |s| {
            let conn = Conn::new(s, BLOCKED, 40_000);
            s.dp.run(&conn.client_sends(syn()).bytes())?;
            let (quote, _) = quoted_back(&conn, backend(0));
            let frame = from_front(s, error(s, quote)).bytes();
            s.expect(&frame, Want::Untouched(Reason::NoEgress))
        }),
        both("an error to a backend without next hop", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.set_backend(HTTPS, |backend| backend.hops[0].ifindex = 0)?;
            let (quote, _) = quoted_back(&conn, backend(0));
            let frame = from_front(s, error(s, quote)).bytes();
            s.expect(&frame, Want::Untouched(Reason::NoNextHop))
        }),
        both("an error with TTL 1", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            let (quote, _) = quoted(&conn, client(0));
            let frame = Packet { ttl: 1, ..from_behind(s, error(s, quote)) }.bytes();
            s.expect(&frame, Want::Untouched(Reason::TtlExpired))
        }),
    ]
}

/// An error whose quotation is changed so that it names no flow.
fn kernel(name: &str, reason: Reason, change: impl Fn(&Scene, &mut Icmp) + 'static) -> Fixture {
    both(name, move |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        let mut icmp = error(s, quoted(&conn, client(0)).0);
        change(s, &mut icmp);
        s.expect(&from_behind(s, icmp).bytes(), Want::Untouched(reason))
    })
}

fn unrelated() -> Vec<Fixture> {
    const UNRELATED: Reason = Reason::IcmpUnrelated;
    let l4 = |s: &Scene| if s.v6 { 40 } else { 20 };
    let mut all = vec![
        kernel("an error about no flow", UNRELATED, move |s, icmp| icmp.body[l4(s)] ^= 1),
        kernel("an error about another address", UNRELATED, move |s, icmp| {
            icmp.body[l4(s) - if s.v6 { 17 } else { 5 }] ^= 1;
        }),
        kernel("ports quoted in part", UNRELATED, move |s, icmp| icmp.body.truncate(l4(s) + 7)),
        kernel("IP header quoted in part", UNRELATED, move |s, icmp| icmp.body.truncate(l4(s) - 1)),
        kernel("nothing quoted", UNRELATED, |_, icmp| icmp.body.clear()),
        kernel("quoted ICMP", UNRELATED, |s, icmp| icmp.body[if s.v6 { 6 } else { 9 }] = 1),
        kernel("an ICMP redirect", Reason::OtherProtocol, |s, icmp| {
            icmp.kind = if s.v6 { 137 } else { 5 };
        }),
        both("quotation ends in the padding", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            let quote = quoted(&conn, client(0)).0;
            let cut = quote.len() - 20;
            let packet = from_behind(s, error(s, quote[..cut].to_vec()));
            let frame = Packet { trailer: quote[cut..].to_vec(), ..packet }.bytes();
            s.expect(&frame, Want::Untouched(UNRELATED))
        }),
    ];
    for (name, at, value) in [("a later fragment", 7, 5), ("an IP header with options", 0, 0x46)] {
        let fixture = kernel(name, UNRELATED, move |_, icmp| icmp.body[at] = value);
        all.push(Fixture { family: super::fixture::Family::V4, ..fixture });
    }
    all
}
