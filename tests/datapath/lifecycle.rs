//! How a connection is established and how it ends.

use anyhow::{Context as _, ensure};
use lb_common::flow::flow_flags;
use lb_tests::packet::{ACK, FIN, PSH, RST, Tcp, datagram, segment};

use super::{
    conn::Conn,
    fixture::{
        BACKEND_SEQ, CLIENT_SEQ, Fixture, ack, backend, both, client, open_tcp, open_udp, syn,
        syn_ack,
    },
    scene::Scene,
    target::{DNS, HTTPS},
};

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = opening();
    all.extend(refused());
    all.extend(udp());
    all.extend(midstream());
    all.extend(closing());
    all.extend(halves());
    all
}

fn opening() -> Vec<Fixture> {
    vec![
        both("the handshake establishes", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            s.entries(0, 2)?;
            conn.reverse(s, syn_ack())?;
            s.connections(HTTPS, 0, 0)?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)?;
            s.entries(2, 0)
        }),
        both("retransmissions establish once", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, syn())?;
            conn.forward(s, ack())?;
            conn.forward(s, ack())?;
            conn.reverse(s, syn_ack())?;
            s.connections(HTTPS, 1, 1)?;
            s.entries(2, 0)
        }),
        both("a guessed ACK does not establish", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.forward(s, ack())?;
            conn.reverse(s, syn_ack())?;
            for wrong in [BACKEND_SEQ, BACKEND_SEQ.wrapping_add(2), 0x8000_0000] {
                conn.forward(s, segment(ACK, CLIENT_SEQ + 1, wrong))?;
            }
            s.connections(HTTPS, 0, 0)?;
            s.entries(0, 2)?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)
        }),
        both("the ACK may carry data", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, client(PSH))?;
            s.connections(HTTPS, 1, 1)
        }),
    ]
}

fn refused() -> Vec<Fixture> {
    vec![
        both("a refusal by the backend", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, segment(RST | ACK, 0, CLIENT_SEQ + 1))?;
            s.entries(0, 2)?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 0, 0)?;
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)
        }),
        both("a client that gives up", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, segment(RST, CLIENT_SEQ + 1, 0))?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 0, 0)?;
            s.entries(0, 2)
        }),
    ]
}

fn udp() -> Vec<Fixture> {
    vec![
        both("a datagram's answer establishes", |s| {
            let conn = Conn::new(s, DNS, 40_000);
            conn.forward(s, datagram(b"one"))?;
            conn.forward(s, datagram(b"two"))?;
            s.connections(DNS, 0, 0)?;
            s.entries(0, 2)?;
            conn.reverse(s, datagram(b"answer"))?;
            s.connections(DNS, 1, 1)?;
            s.entries(2, 0)
        }),
        both("more answers establish nothing more", |s| {
            let conn = open_udp(s, DNS, 40_000)?;
            conn.reverse(s, datagram(b"second"))?;
            conn.forward(s, datagram(b"third"))?;
            s.connections(DNS, 1, 1)
        }),
    ]
}

fn midstream() -> Vec<Fixture> {
    vec![
        both("a flow is re-derived from mid-stream", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, client(PSH))?;
            s.entries(0, 2)?;
            conn.forward(s, client(PSH))?;
            s.connections(HTTPS, 0, 0)?;
            conn.reverse(s, backend(PSH))?;
            conn.forward(s, client(0))?;
            s.connections(HTTPS, 1, 1)?;
            s.entries(2, 0)
        }),
        both("the same backend and port as before", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.reset()?;
            conn.forward(s, client(PSH))?;
            conn.reverse(s, backend(PSH))
        }),
        both("re-derived, and unknown to the backend", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, client(PSH))?;
            conn.reverse(s, segment(RST, 1, 0))?;
            conn.forward(s, client(PSH))?;
            s.connections(HTTPS, 0, 0)?;
            s.entries(0, 2)
        }),
        both("re-derived from a FIN, and closed", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, client(FIN))?;
            conn.reverse(s, backend(FIN))?;
            conn.forward(s, client(0))?;
            s.connections(HTTPS, 0, 0)?;
            s.entries(0, 2)?;
            conn.forward(s, syn())
        }),
        both("re-derived while the backend closes", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, client(PSH))?;
            conn.reverse(s, backend(FIN))?;
            conn.forward(s, client(0))?;
            s.connections(HTTPS, 1, 1)?;
            conn.forward(s, client(FIN))?;
            s.connections(HTTPS, 1, 0)
        }),
    ]
}

/// Ends a connection with these segments: `true` = the client's.
fn ends(name: &str, segments: &'static [(bool, u8)], open: &'static [(bool, u8)]) -> Fixture {
    both(name, move |s| {
        let conn = open_tcp(s, HTTPS, 40_000)?;
        for (i, &(from_client, flags)) in open.iter().chain(segments).enumerate() {
            pass(s, &conn, from_client, flags)?;
            let active = u64::from(i + 1 < open.len() + segments.len());
            s.connections(HTTPS, 1, active).with_context(|| format!("after segment {i}"))?;
        }
        s.entries(0, 2)?;
        // Its last packets still pass, both ways.
        pass(s, &conn, true, 0)?;
        pass(s, &conn, false, 0)?;
        s.connections(HTTPS, 1, 0)?;
        // And the tuple can be used anew.
        conn.forward(s, syn())?;
        conn.reverse(s, syn_ack())?;
        conn.forward(s, ack())?;
        s.connections(HTTPS, 2, 1)?;
        s.entries(2, 0)
    })
}

fn pass(scene: &mut Scene, conn: &Conn, from_client: bool, flags: u8) -> anyhow::Result<()> {
    let without_ack = |tcp: Tcp| if flags == RST { Tcp { flags, ..tcp } } else { tcp };
    if from_client {
        conn.forward(scene, without_ack(client(flags)))
    } else {
        conn.reverse(scene, without_ack(backend(flags)))
    }
}

fn closing() -> Vec<Fixture> {
    vec![
        ends("the client closes first", &[(false, FIN)], &[(true, FIN), (false, 0), (false, PSH)]),
        ends("the backend closes first", &[(true, FIN)], &[(false, FIN), (true, 0), (true, PSH)]),
        ends("both close at once", &[(false, FIN)], &[(true, FIN)]),
        ends("a FIN again", &[(false, FIN)], &[(true, FIN), (true, FIN), (true, FIN)]),
        ends("the client resets", &[(true, RST)], &[(true, 0)]),
        ends("the backend resets", &[(false, RST)], &[(false, 0)]),
        ends("a reset after a FIN", &[(true, RST)], &[(false, FIN), (true, 0)]),
        both("half closed stays open", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            conn.forward(s, client(FIN))?;
            for _ in 0..5 {
                conn.reverse(s, backend(PSH))?;
                conn.forward(s, client(0))?;
            }
            s.connections(HTTPS, 1, 1)?;
            s.entries(2, 0)
        }),
        both("a SYN inside an established connection is the backend's to judge", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            conn.forward(s, syn())?;
            conn.reverse(s, backend(0))?;
            s.connections(HTTPS, 1, 1)?;
            s.entries(2, 0)
        }),
        both("the handshake's ACK is lost and the FIN establishes", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, client(FIN))?;
            s.connections(HTTPS, 1, 1)?;
            conn.reverse(s, backend(FIN))?;
            s.connections(HTTPS, 1, 0)
        }),
    ]
}

/// The LRU may evict either half of a flow.
fn halves() -> Vec<Fixture> {
    vec![
        both("the reverse half is evicted: a SYN restores it", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            s.dp.embryo.remove(&conn.reverse_key())?;
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)
        }),
        both("the reverse half is evicted after the SYN-ACK", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            s.dp.embryo.remove(&conn.reverse_key())?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)?;
            conn.reverse(s, backend(0))
        }),
        both("the reverse half is evicted: a datagram restores it", |s| {
            let conn = Conn::new(s, DNS, 40_000);
            conn.forward(s, datagram(b"one"))?;
            s.dp.embryo.remove(&conn.reverse_key())?;
            conn.forward(s, datagram(b"two"))?;
            conn.reverse(s, datagram(b"answer"))
        }),
        both("the reverse half is evicted: mid-stream data restore it", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, client(PSH))?;
            s.dp.embryo.remove(&conn.reverse_key())?;
            conn.forward(s, client(PSH))?;
            conn.reverse(s, backend(0))
        }),
        both("the forward half is evicted", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            s.dp.embryo.remove(&conn.key())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)
        }),
        both("an adopted reverse half learns the way to the client anew", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            conn.forward(s, client(FIN))?;
            conn.reverse(s, backend(FIN))?;
            s.dp.embryo.remove(&conn.key())?;
            let conn = Conn { client_mac: super::scene::GATEWAY_MAC, ..conn };
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 2, 1)?;
            let reverse = s.dp.conns.get(&conn.reverse_key(), 0)?;
            ensure!(reverse.flags & flow_flags::FIN == 0, "the old connection's FIN is left");
            Ok(())
        }),
    ]
}
