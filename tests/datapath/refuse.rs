//! No backend, no room, a backend that is down: resets and drops.

use lb_common::{
    backend::BackendState,
    flow::{FORWARD, Flow, FlowKey},
    net::Be16,
    reason::Reason,
};
use lb_tests::packet::{ACK, FIN, Packet, RST, SYN, Tcp, datagram, segment};

use super::{
    conn::Conn,
    fixture::{
        BACKEND_SEQ, CLIENT_SEQ, Fixture, ack, backend, both, client, open_tcp, open_udp, syn,
        syn_ack,
    },
    scene::{ENTRIES, Scene, Want},
    target::{DNS, HTTPS, OTHER, REJECT, SILENT, UDP_REJECT},
};

/// The client's acknowledgement number, which a RST to it carries as sequence number.
const CLIENT_ACK: u32 = BACKEND_SEQ.wrapping_add(1);

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = no_backend();
    all.extend(unknown());
    all.extend(full());
    all.extend(down());
    all.extend(down_and_over());
    all
}

/// A TCP packet of a client without backend is answered with this RST.
fn refused(name: &str, sent: Tcp, (flags, seq, ack): (u8, u32, u32)) -> Fixture {
    both(name, move |s| {
        let conn = Conn::new(s, REJECT, 40_000);
        let out = conn.client_reset(flags, seq, ack);
        let frame = Packet { tos: 0xbb, trailer: vec![0; 6], ..conn.client_sends(sent.clone()) };
        s.expect(&frame.bytes(), Want::Sent(Reason::RefusedNoBackend, out))?;
        s.entries(0, 0)
    })
}

fn no_backend() -> Vec<Fixture> {
    let fast_open = Tcp { data: vec![1; 10], ..segment(SYN, u32::MAX - 4, 0) };
    let data = Tcp { data: vec![1; 10], ..segment(ACK, 5, 99) };
    vec![
        refused("no backend: SYN", syn(), (ACK, 0, CLIENT_SEQ + 1)),
        refused("no backend: SYN with data", fast_open, (ACK, 0, 6)),
        refused("no backend: mid-stream data", data, (0, 99, 0)),
        refused("no backend: FIN", segment(FIN | ACK, 5, u32::MAX), (0, u32::MAX, 0)),
        both("no backend, `drop`", |s| {
            Conn::new(s, SILENT, 40_000).stopped(s, syn(), Reason::NoBackend)
        }),
        both("no backend, UDP", |s| {
            Conn::new(s, UDP_REJECT, 40_000).stopped(s, datagram(b"?"), Reason::NoBackend)
        }),
        both("the table names a backend that is down", |s| {
            s.down(HTTPS)?;
            let conn = Conn::new(s, HTTPS, 40_000);
            let out = conn.client_reset(ACK, 0, CLIENT_SEQ + 1);
            s.expect(&conn.client_sends(syn()).bytes(), Want::Sent(Reason::RefusedNoBackend, out))
        }),
        both("the table names an unused slot", |s| {
            s.set_backend(HTTPS, |backend| backend.state = 0)?;
            let conn = Conn::new(s, HTTPS, 40_000);
            let out = conn.client_reset(ACK, 0, CLIENT_SEQ + 1);
            s.expect(&conn.client_sends(syn()).bytes(), Want::Sent(Reason::RefusedNoBackend, out))
        }),
        both("the table names another service's backend", |s| {
            s.set_backend(HTTPS, |backend| backend.service += 1)?;
            let conn = Conn::new(s, HTTPS, 40_000);
            let out = conn.client_reset(ACK, 0, CLIENT_SEQ + 1);
            s.expect(&conn.client_sends(syn()).bytes(), Want::Sent(Reason::RefusedNoBackend, out))
        }),
    ]
}

fn unknown() -> Vec<Fixture> {
    vec![
        both("a RST of no flow", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.stopped(s, segment(RST, 1, 0), Reason::RstUnknown)?;
            conn.stopped(s, segment(RST | ACK, 1, 0), Reason::RstUnknown)?;
            s.entries(0, 0)
        }),
        both("a backend's segment of no flow", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            for tcp in [syn_ack(), backend(0), backend(FIN), segment(RST, 1, 0)] {
                conn.backend_stopped(s, tcp, Reason::NatPortMiss)?;
            }
            s.entries(0, 0)
        }),
        both("a backend's datagram of no flow", |s| {
            Conn::new(s, DNS, 40_000).backend_stopped(s, datagram(b"late"), Reason::NatPortMiss)
        }),
        both("the first and the last NAT port, and their neighbours", |s| {
            for (nat, reason) in [
                (12_287, Reason::NotService),
                (12_288, Reason::NatPortMiss),
                (28_671, Reason::NatPortMiss),
                (28_672, Reason::NotService),
            ] {
                let conn = Conn { nat, ..Conn::new(s, HTTPS, 40_000) };
                conn.backend_stopped(s, backend(0), reason)?;
            }
            Ok(())
        }),
    ]
}

/// Fills the table of established flows but for `left` entries.
fn fill(scene: &mut Scene, left: u32) -> anyhow::Result<()> {
    for port in 1..=(ENTRIES - left) as u16 {
        let key = FlowKey { sport: Be16::new(port), ..Conn::new(scene, OTHER, 1).key() };
        let flow = Flow { direction: FORWARD, ..Flow::default() };
        scene.dp.conns.insert(key, flow, 0)?;
    }
    Ok(())
}

fn full() -> Vec<Fixture> {
    let mut all = Vec::new();
    for left in [0, 1] {
        all.push(both(format!("table full, {left} entries left: TCP"), move |s| {
            fill(s, left)?;
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            let out = conn.client_reset(0, CLIENT_ACK, 0);
            let completing = conn.client_sends(ack()).bytes();
            s.expect(&completing, Want::Sent(Reason::RefusedTableFull, out))?;
            s.connections(HTTPS, 0, 0)?;
            s.entries((ENTRIES - left) as usize, 0)
        }));
        all.push(both(format!("table full, {left} entries left: UDP"), move |s| {
            fill(s, left)?;
            let conn = Conn::new(s, DNS, 40_000);
            conn.forward(s, datagram(b"question"))?;
            conn.backend_stopped(s, datagram(b"answer"), Reason::TableFull)?;
            s.connections(DNS, 0, 0)?;
            s.entries((ENTRIES - left) as usize, 0)
        }));
    }
    all.push(both("the last two entries", |s| {
        fill(s, 2)?;
        open_tcp(s, HTTPS, 40_000)?;
        s.connections(HTTPS, 1, 1)?;
        s.entries(ENTRIES as usize, 0)
    }));
    all
}

fn down() -> Vec<Fixture> {
    vec![
        both("backend down: both sides are reset", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.down(HTTPS)?;
            reset_backend(s, &conn)?;
            s.connections(HTTPS, 1, 1)?;
            reset_client(s, &conn)?;
            s.connections(HTTPS, 1, 0)?;
            s.entries(0, 2)?;
            reset_client(s, &conn)?;
            reset_backend(s, &conn)
        }),
        both("backend down: a half-open flow is reset", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            s.down(HTTPS)?;
            reset_backend(s, &conn)?;
            reset_client(s, &conn)
        }),
        both("backend down: a FIN is answered with its own length", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.down(HTTPS)?;
            let out = conn.client_reset(0, CLIENT_ACK, 0);
            s.expect(&conn.client_sends(client(FIN)).bytes(), Want::Sent(Reason::ResetClient, out))
        }),
        both("backend down: RSTs are not answered", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.down(HTTPS)?;
            conn.backend_stopped(s, segment(RST, 1, 0), Reason::ResetOfReset)?;
            s.connections(HTTPS, 1, 1)?;
            conn.stopped(s, segment(RST, 1, 0), Reason::ResetOfReset)?;
            s.connections(HTTPS, 1, 0)?;
            s.entries(0, 2)?;
            conn.stopped(s, segment(RST | ACK, 1, 0), Reason::ResetOfReset)
        }),
        both("backend down: a backend's datagram", |s| {
            let conn = open_udp(s, DNS, 40_000)?;
            s.down(DNS)?;
            conn.backend_stopped(s, datagram(b"late"), Reason::BackendGone)
        }),
        both("the backend's id is unused", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.set_backend(HTTPS, |backend| backend.state = 0)?;
            reset_client(s, &conn)
        }),
    ]
}

fn down_and_over() -> Vec<Fixture> {
    vec![
        both("backend down: a SYN selects another, established", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            replace_backend(s)?;
            elsewhere(s, &conn)?;
            s.connections(HTTPS, 1, 0)?;
            s.entries(0, 2)
        }),
        both("backend down: a SYN selects another, half-open", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            replace_backend(s)?;
            elsewhere(s, &conn)?;
            s.entries(0, 2)
        }),
        both("backend down: a SYN finds none", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.down(HTTPS)?;
            let out = conn.client_reset(ACK, 0, CLIENT_SEQ + 1);
            let frame = conn.client_sends(syn()).bytes();
            s.expect(&frame, Want::Sent(Reason::RefusedNoBackend, out))?;
            s.connections(HTTPS, 1, 0)?;
            s.entries(0, 0)
        }),
        both("backend down: a client's datagram selects another", |s| {
            let conn = open_udp(s, DNS, 40_000)?;
            let id = s.id(DNS);
            s.down(DNS)?;
            s.set_backend(super::target::UDP_TRANSLATED, |backend| backend.service = id)?;
            let other = s.id(super::target::UDP_TRANSLATED);
            s.set_table(DNS, |_| other)?;
            let frame = conn.client_sends(datagram(b"again")).bytes();
            let moved = Conn {
                target: super::target::Target { backend_port: 5353, ..DNS },
                backend: s.backend(super::target::UDP_TRANSLATED),
                ..conn
            };
            let out = moved.backend_gets(datagram(b"again")).bytes();
            let (action, got) = (3, s.dp.run(&frame)?);
            anyhow::ensure!(got.action == action && got.frame == out, "not sent elsewhere");
            anyhow::ensure!(s.dp.backend_traffic(id)?.connections_active == 0, "still counted");
            s.entries(0, 2)
        }),
        both("`keep`: a backend out of the table keeps its flows", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.set_table(HTTPS, |_| 0)?;
            s.set_backend(HTTPS, |backend| backend.state = BackendState::Forward as u8)?;
            conn.forward(s, client(0))?;
            conn.reverse(s, backend(0))
        }),
    ]
}

/// Takes the backend down and lets the table name another.
fn replace_backend(scene: &mut Scene) -> anyhow::Result<()> {
    let (id, other) = (scene.id(HTTPS), scene.id(OTHER));
    scene.down(HTTPS)?;
    scene.set_backend(OTHER, |backend| backend.service = id)?;
    scene.set_table(HTTPS, |_| other)
}

/// The client's SYN goes to the other backend. Their counters differ from the service's, so this
/// looks at the frame alone.
fn elsewhere(scene: &mut Scene, conn: &Conn) -> anyhow::Result<()> {
    let target = super::target::Target { backend_port: OTHER.backend_port, ..HTTPS };
    let moved = Conn { backend: scene.backend(OTHER), target, ..*conn };
    let got = scene.dp.run(&conn.client_sends(syn()).bytes())?;
    let out = moved.backend_gets(syn()).bytes();
    anyhow::ensure!(got.action == 3 && got.frame == out, "not sent elsewhere");
    Ok(())
}

fn reset_client(scene: &mut Scene, conn: &Conn) -> anyhow::Result<()> {
    let out = conn.client_reset(0, CLIENT_ACK, 0);
    scene.expect(&conn.client_sends(client(0)).bytes(), Want::Sent(Reason::ResetClient, out))
}

fn reset_backend(scene: &mut Scene, conn: &Conn) -> anyhow::Result<()> {
    let out = conn.backend_reset(0, CLIENT_SEQ + 4, 0);
    scene.expect(&conn.backend_sends(backend(0)).bytes(), Want::Sent(Reason::ResetBackend, out))
}
