//! Ports towards the backends: collisions, losses, adoption.

use anyhow::ensure;
use lb_common::{
    abi::NAT_PROBES,
    flow::{FORWARD, Flow, FlowKey, REVERSE, flow_flags},
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

/// Lets another client's half-open flow, both entries, hold this connection's port.
fn take_whole(scene: &mut Scene, conn: &Conn, flags: u8) -> anyhow::Result<FlowKey> {
    take(scene, conn, Table::HalfOpen)?;
    // Each has a port of its own, like a flow that the data plane made.
    let theirs = Conn { client: scene.router(), cport: conn.nat, ..*conn };
    let mut reverse = scene.dp.embryo.get(&conn.reverse_key(), 0)?;
    reverse.new_dport = Be16::new(theirs.cport);
    scene.dp.embryo.insert(conn.reverse_key(), reverse, 0)?;
    let forward = Flow {
        peer: conn.backend.into(),
        new_sport: Be16::new(conn.nat),
        new_dport: Be16::new(conn.target.backend_port),
        direction: FORWARD,
        flags,
        ..reverse
    };
    scene.dp.embryo.insert(theirs.key(), forward, 0)?;
    Ok(theirs.key())
}

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = collisions();
    all.extend(exhaustion());
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
    all.push(both("another client's port at another backend is no collision", |s| {
        let conn = Conn::new(s, HTTPS, 40_000);
        take(s, &Conn { backend: s.router(), ..conn }, Table::HalfOpen)?;
        conn.forward(s, syn())
    }));
    all
}

/// No probed port is free.
fn exhaustion() -> Vec<Fixture> {
    let all = NAT_PROBES as usize;
    vec![
        both("every probed port held by an established flow", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            for k in 0..NAT_PROBES {
                take(s, &probe(&conn, k), Table::Established)?;
            }
            conn.stopped(s, syn(), Reason::NatPortsBusy)?;
            s.entries(all, 0)
        }),
        both("every probed port held by a flow of which half is still half open", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            for k in 0..NAT_PROBES {
                let theirs = take_whole(s, &probe(&conn, k), 0)?;
                let forward = s.dp.embryo.get(&theirs, 0)?;
                s.dp.embryo.remove(&theirs)?;
                s.dp.conns.insert(theirs, forward, 0)?;
            }
            conn.stopped(s, syn(), Reason::NatPortsBusy)?;
            s.entries(all, all)
        }),
        both("every probed port held by a half-open flow: the first is taken over", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            let mut holders = Vec::new();
            for k in 0..NAT_PROBES {
                holders.push(take_whole(s, &probe(&conn, k), 0)?);
            }
            conn.forward(s, syn())?;
            let gone = |key| s.dp.embryo.get(key, 0).is_err();
            let lost: Vec<usize> = (0..all).filter(|&k| gone(&holders[k])).collect();
            ensure!(lost == [0], "{lost:?} lost their ports");
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.entries(2, 2 * (all - 1))
        }),
        both("a closed flow's port is taken over before a half-open one's", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            let mut holders = Vec::new();
            for k in 0..NAT_PROBES {
                let flags = if k == 5 || k == 6 { flow_flags::CLOSED } else { 0 };
                holders.push(take_whole(s, &probe(&conn, k), flags)?);
            }
            let conn = probe(&conn, 5);
            conn.forward(s, syn())?;
            let gone = |key| s.dp.embryo.get(key, 0).is_err();
            let lost: Vec<usize> = (0..all).filter(|&k| gone(&holders[k])).collect();
            ensure!(lost == [5], "{lost:?} lost their ports");
            conn.reverse(s, syn_ack())?;
            conn.forward(s, ack())?;
            s.entries(2, 2 * (all - 1))
        }),
        both("the one half-open holder among established ones is taken over", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            for k in 0..NAT_PROBES {
                let table = if k == 3 { Table::HalfOpen } else { Table::Established };
                take(s, &probe(&conn, k), table)?;
            }
            probe(&conn, 3).forward(s, syn())?;
            s.entries(all - 1, 2)
        }),
        both("who lost its port before keeps the flow that it has made since", move |s| {
            let conn = Conn::new(s, HTTPS, 40_000);
            for k in 1..NAT_PROBES {
                take(s, &probe(&conn, k), Table::Established)?;
            }
            let theirs = take_whole(s, &conn, 0)?;
            let mut moved = s.dp.embryo.get(&theirs, 0)?;
            moved.new_sport = Be16::new(moved.new_sport.get() ^ 1);
            s.dp.embryo.insert(theirs, moved, 0)?;
            conn.forward(s, syn())?;
            ensure!(s.dp.embryo.get(&theirs, 0)? == moved, "the flow is gone");
            s.entries(all - 1, 3)
        }),
    ]
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
