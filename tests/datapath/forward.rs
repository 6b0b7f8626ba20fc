//! Every rewrite, byte for byte.

use anyhow::ensure;
use lb_common::reason::Reason;
use lb_tests::packet::{ACK, PSH, Packet, Payload, SYN, Tcp, Udp, checksum, datagram, segment};

use super::{
    conn::Conn,
    fixture::{Fixture, backend, both, client, open_tcp, open_udp, syn, v4},
    scene::{CLIENT_MAC, GATEWAY_MAC, OWN_BACK_MAC, Scene, Want},
    target::{
        BLOCKED, DNS, ELSEWHERE, HTTPS, STICKY, TRANSLATED, Target, UDP_TRANSLATED, UNRESOLVED,
    },
};

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = transport();
    all.extend(checksums());
    all.extend(ways());
    all.push(both("affinity by client", sticky));
    all
}

fn transport() -> Vec<Fixture> {
    let mut all = Vec::new();
    for target in [HTTPS, TRANSLATED] {
        all.push(both(format!("TCP to port {} and back", target.port), move |s| {
            let conn = open_tcp(s, target, 40_000)?;
            conn.forward(s, client(PSH))?;
            conn.reverse(s, backend(PSH))
        }));
    }
    for target in [DNS, UDP_TRANSLATED] {
        all.push(both(format!("UDP to port {} and back", target.port), move |s| {
            let conn = open_udp(s, target, 40_000)?;
            conn.forward(s, datagram(b"more"))?;
            conn.reverse(s, datagram(b"and more"))
        }));
    }
    all.push(both("odd lengths, options, urgent flags", |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        let options = vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        let tcp = Tcp { options, data: vec![0xab; 333], ..segment(ACK | PSH | 0xe0, 5, 6) };
        conn.forward(s, tcp.clone())?;
        conn.reverse(s, tcp)
    }));
    all.push(both("TTL, DSCP, ECN, identification and padding", |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        for ttl in [2, 128, 255] {
            let dress = |packet: Packet, ttl| Packet {
                ttl,
                tos: 0xbb,
                id: 0xfffe,
                trailer: vec![9; 7],
                ..packet
            };
            let there = dress(conn.client_sends(client(0)), ttl).bytes();
            let out = dress(conn.backend_gets(client(0)), ttl - 1).bytes();
            s.expect(&there, Want::Sent(Reason::ToBackend, out))?;
            let back = dress(conn.backend_sends(backend(0)), ttl).bytes();
            let out = dress(conn.client_gets(backend(0)), ttl - 1).bytes();
            s.expect(&back, Want::Sent(Reason::ToClient, out))?;
        }
        Ok(())
    }));
    all.push(both("an empty datagram", |s| {
        let conn = Conn::new(s, DNS, 40_000);
        conn.forward(s, datagram(b""))?;
        conn.reverse(s, datagram(b""))
    }));
    all
}

fn checksums() -> Vec<Fixture> {
    vec![
        v4("UDP without checksum stays without", |s| {
            let conn = Conn::new(s, DNS, 40_000);
            let udp = Udp { unchecked: true, ..datagram(b"x") };
            conn.forward(s, udp.clone())?;
            conn.reverse(s, udp)
        }),
        both("a UDP checksum that becomes zero is sent as ffff", |s| {
            let conn = Conn::new(s, DNS, 40_000);
            let (sent, out) = zero_sum(&conn, Conn::backend_gets)?;
            s.expect(&conn.client_sends(sent).bytes(), Want::Sent(Reason::ToBackend, out))?;
            let (sent, out) = zero_sum(&conn, Conn::client_gets)?;
            s.expect(&conn.backend_sends(sent).bytes(), Want::Sent(Reason::ToClient, out))
        }),
        both("a UDP checksum of ffff is a checksum", |s| {
            let conn = Conn::new(s, DNS, 40_000);
            let (sent, _) = zero_sum(&conn, Conn::client_sends)?;
            conn.forward(s, sent)
        }),
        both("a wrong checksum stays wrong", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            let mut frame = conn.client_sends(client(0)).bytes();
            let last = frame.len() - 1;
            frame[last] ^= 1;
            let mut out = conn.backend_gets(client(0)).bytes();
            out[last] ^= 1;
            let got = s.dp.run(&frame)?;
            ensure!(got.action == 3 && got.frame == out, "repaired, or changed");
            Ok(())
        }),
    ]
}

/// A datagram whose checksum is computed as zero in the packet that `shape` makes of it, and that
/// packet.
fn zero_sum(conn: &Conn, shape: impl Fn(&Conn, Udp) -> Packet) -> anyhow::Result<(Udp, Vec<u8>)> {
    let plain = shape(conn, datagram(&[0, 0])).bytes();
    let at = plain.len() - 4;
    // The sum lacks just what the checksum says.
    let udp = datagram(&[plain[at], plain[at + 1]]);
    let out = shape(conn, udp.clone()).bytes();
    ensure!(out[at..at + 2] == [0xff, 0xff], "no zero sum: {:?}", &out[at..]);
    ensure!(checksum(&[&out[at..at + 2]]) == 0, "arithmetic");
    Ok((udp, out))
}

fn ways() -> Vec<Fixture> {
    vec![
        both("a backend behind another interface", |s| {
            let conn = Conn::new(s, ELSEWHERE, 40_000);
            let out = conn.backend_gets(syn()).bytes();
            s.expect(&conn.client_sends(syn()).bytes(), Want::Redirected(Reason::ToBackend, out))?;
            conn.reverse(s, segment(SYN | ACK, 7, 8))
        }),
        both("an interface that takes no frames", |s| {
            Conn::new(s, BLOCKED, 40_000).stopped(s, syn(), Reason::NoEgress)
        }),
        both("an unresolved next hop", |s| {
            Conn::new(s, UNRESOLVED, 40_000).stopped(s, syn(), Reason::NoNextHop)?;
            s.entries(0, 0)
        }),
        both("a next hop lost on the way", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.set_backend(HTTPS, |backend| backend.hops[0].ifindex = 0)?;
            conn.stopped(s, client(0), Reason::NoNextHop)?;
            conn.reverse(s, backend(0))
        }),
        both("the next hop switches", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.set_backend(HTTPS, |backend| {
                backend.hops[1] = backend.hops[0];
                backend.hops[1].destination = GATEWAY_MAC;
                backend.hop = 1;
            })?;
            let out = Packet { eth_dst: GATEWAY_MAC, ..conn.backend_gets(client(0)) }.bytes();
            s.expect(&conn.client_sends(client(0)).bytes(), Want::Sent(Reason::ToBackend, out))
        }),
        both("the client's gateway fails over", |s| moved(s, HTTPS, open_tcp)),
        both("the client's gateway fails over, UDP", |s| {
            moved(s, DNS, |s, target, port| {
                let conn = Conn::new(s, target, port);
                conn.forward(s, datagram(b"half open"))?;
                Ok(conn)
            })
        }),
        both("the client addresses another interface", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            let there = Packet { eth_dst: OWN_BACK_MAC, ..conn.client_sends(client(0)) };
            let out = conn.backend_gets(client(0)).bytes();
            s.expect(&there.bytes(), Want::Sent(Reason::ToBackend, out))?;
            let out = Packet { eth_src: OWN_BACK_MAC, ..conn.client_gets(backend(0)) }.bytes();
            s.expect(&conn.backend_sends(backend(0)).bytes(), Want::Sent(Reason::ToClient, out))
        }),
    ]
}

fn moved(
    scene: &mut Scene,
    target: Target,
    open: impl Fn(&mut Scene, Target, u16) -> anyhow::Result<Conn>,
) -> anyhow::Result<()> {
    let conn = open(scene, target, 40_000)?;
    let payload: Payload = match target.proto {
        6 => client(0).into(),
        _ => datagram(b"again").into(),
    };
    assert_eq!(conn.client_mac, CLIENT_MAC);
    let conn = Conn { client_mac: GATEWAY_MAC, ..conn };
    conn.forward(scene, payload.clone())?;
    conn.reverse(scene, payload)
}

/// With affinity every port of a client meets the same backend.
fn sticky(scene: &mut Scene) -> anyhow::Result<()> {
    let (id, other) = (scene.id(STICKY), scene.id(HTTPS));
    scene.set_backend(HTTPS, |backend| backend.service = id)?;
    scene.set_table(STICKY, |slot| if slot % 2 == 0 { id } else { other })?;
    let mut totals = [0_u64; 2];
    for cport in 40_000..40_032 {
        let frame = Conn::new(scene, STICKY, cport).client_sends(syn()).bytes();
        ensure!(scene.dp.run(&frame)?.action == 3, "port {cport} was not forwarded");
    }
    for (total, id) in totals.iter_mut().zip([id, other]) {
        *total = scene.dp.backend_traffic(id)?.packets_in;
    }
    ensure!(totals == [32, 0] || totals == [0, 32], "spread over both: {totals:?}");
    Ok(())
}
