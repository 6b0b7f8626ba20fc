//! Ports towards the backends: collisions, losses, adoption.

use anyhow::ensure;
use lb_common::{
    abi::NAT_PROBES,
    flow::{Flow, REVERSE},
    net::Be16,
    reason::Reason,
};
use lb_ebpf::select::FlowHash;
use lb_tests::packet::datagram;

use super::{
    conn::Conn,
    fixture::{Fixture, ack, both, open_tcp, syn, syn_ack},
    scene::{CLIENT_MAC, OWN_MAC, Scene},
    target::{DNS, HTTPS},
};

/// The table in which another client holds a port.
#[derive(Clone, Copy)]
enum Table {
    Established,
    HalfOpen,
}

/// The connection as it is with the port of probe `k`.
fn probe(conn: &Conn, k: u32) -> Conn {
    Conn { nat: FlowHash::new(&conn.key(), false).nat_port(k).get(), ..*conn }
}

/// Lets another client hold this connection's port.
fn take(scene: &mut Scene, conn: &Conn, table: Table) -> anyhow::Result<()> {
    let flow = Flow {
        peer: scene.router().into(),
        new_sport: Be16::new(conn.target.port),
        new_dport: Be16::new(conn.cport),
        backend: scene.id(conn.target),
        service: scene.id(conn.target),
        client_ifindex: 1,
        client_mac: CLIENT_MAC.to_u64(),
        own_mac: OWN_MAC.to_u64(),
        direction: REVERSE,
        ..Flow::default()
    };
    let map = match table {
        Table::Established => &mut scene.dp.conns,
        Table::HalfOpen => &mut scene.dp.embryo,
    };
    Ok(map.insert(conn.reverse_key(), flow, 0)?)
}

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = collisions();
    all.extend(losses());
    all
}

fn collisions() -> Vec<Fixture> {
    let mut all = Vec::new();
    for taken in [1, 2, NAT_PROBES - 1] {
        all.push(both(format!("{taken} ports taken: the next probe"), move |s| {
            let first = Conn::new(s, HTTPS, 40_000);
            for k in 0..taken {
                let table = if k % 2 == 0 { Table::HalfOpen } else { Table::Established };
                take(s, &probe(&first, k), table)?;
            }
            let conn = probe(&first, taken);
            ensure!((0..taken).all(|k| probe(&first, k).nat != conn.nat), "the probes repeat");
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.connections(HTTPS, 1, 1)
        }));
    }
    for table in [Table::Established, Table::HalfOpen] {
        all.push(both("every probed port taken", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            for k in 0..NAT_PROBES {
                take(s, &probe(&conn, k), table)?;
            }
            conn.stopped(s, syn(), Reason::NatPortsBusy)?;
            let entries = NAT_PROBES as usize;
            match table {
                Table::Established => s.entries(entries, 0),
                Table::HalfOpen => s.entries(0, entries),
            }
        }));
    }
    all.push(both("another client's port at another backend is no collision", |s| {
        let conn = Conn::new(s, HTTPS, 40_000);
        take(s, &Conn { backend: s.router(), ..conn }, Table::HalfOpen)?;
        conn.forward(s, syn())
    }));
    all
}

fn losses() -> Vec<Fixture> {
    vec![
        both("the port is lost before the flow is established", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            take(s, &conn, Table::Established)?;
            conn.stopped(s, ack(), Reason::NatPortLost)?;
            s.connections(HTTPS, 0, 0)?;
            s.entries(1, 0)
        }),
        both("the port is lost: the next SYN takes another", |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            conn.forward(s, syn())?;
            take(s, &conn, Table::HalfOpen)?;
            conn.stopped(s, syn(), Reason::NatPortLost)?;
            s.entries(0, 1)?;
            probe(&conn, 1).forward(s, syn())?;
            s.entries(0, 3)
        }),
        both("the port is lost: the next datagram takes another", |s| {
            let conn = Conn::new(s, DNS, 40_000);
            conn.forward(s, datagram(b"one"))?;
            take(s, &conn, Table::HalfOpen)?;
            conn.stopped(s, datagram(b"two"), Reason::NatPortLost)?;
            let conn = probe(&conn, 1);
            conn.forward(s, datagram(b"three"))?;
            conn.reverse(s, datagram(b"answer"))
        }),
        both("the client's own port is adopted", |s| {
            let conn = open_tcp(s, HTTPS, 40_000)?;
            s.dp.conns.remove(&conn.key())?;
            conn.forward(s, syn())?;
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.entries(2, 0)
        }),
    ]
}
