//! The program by which the agent ends flows.

use anyhow::ensure;
use lb_common::{abi::program, flow::FlowKey, reap::BATCH};

use super::{
    conn::Conn,
    fixture::{Fixture, both, open_tcp, open_udp, syn},
    scene::Scene,
    target::{DNS, HTTPS},
};

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    vec![
        both("reap: flows are removed and counted", |s| {
            let keys = [open_tcp(s, HTTPS, 40_000)?.key(), open_tcp(s, HTTPS, 40_001)?.key()];
            let datagrams = open_udp(s, DNS, 40_000)?.key();
            removes(s, &[keys[0], datagrams, keys[0], keys[1]], 1, 3)?;
            s.entries(0, 0)?;
            s.connections(HTTPS, 2, 0)?;
            s.connections(DNS, 1, 0)
        }),
        both("reap: a full batch", |s| {
            let mut keys = Vec::new();
            for port in 0..BATCH as u16 {
                keys.push(Conn::new(s, HTTPS, 40_000 + port).key());
            }
            for port in 25..BATCH as u16 {
                open_tcp(s, HTTPS, 40_000 + port)?;
            }
            removes(s, &keys, 1, 7)?;
            s.entries(0, 0)
        }),
        both("reap: half-open flows and reverse keys are left alone", |s| {
            let open = open_tcp(s, HTTPS, 40_000)?;
            let half = Conn::new(s, HTTPS, 40_001);
            half.forward(s, syn())?;
            removes(s, &[half.key(), half.reverse_key()], 1, 0)?;
            removes(s, &[], 1, 0)?;
            s.entries(2, 2)?;
            removes(s, &[open.key()], 1, 1)
        }),
        both("reap: the younger direction counts", ages),
        both("reap: the clock", |s| {
            let (first, second) = (s.dp.reap(&[], 0)?, s.dp.reap(&[], 0)?);
            ensure!(second.ktime_ns > first.ktime_ns, "{first:?} then {second:?}");
            ensure!(second.jiffies.wrapping_sub(first.jiffies) < 1 << 20, "{first:?} {second:?}");
            Ok(())
        }),
        both("reap: a short request is refused", |s| {
            let (action, _) = s.dp.test_run(program::REAP, &[0; 1303], &mut [0; 1400])?;
            ensure!(action == 0, "action {action}");
            Ok(())
        }),
    ]
}

/// Asks for these flows with a limit `later` ticks from now.
fn removes(scene: &Scene, keys: &[FlowKey], later: i32, flows: u32) -> anyhow::Result<()> {
    let now = scene.dp.reap(&[], 0)?.jiffies;
    let removed = scene.dp.reap(keys, now.wrapping_add_signed(later))?.removed;
    ensure!(removed == flows, "{removed} flows removed instead of {flows}");
    Ok(())
}

fn ages(scene: &mut Scene) -> anyhow::Result<()> {
    const HOUR: i32 = 3_600_000;
    let conn = open_tcp(scene, HTTPS, 40_000)?;
    // The last: another CPU's packet, a tick after the reaper looked at the clock.
    let younger = [(-HOUR * 2, 0), (0, -HOUR * 2), (-HOUR * 2, -HOUR + 60_000), (5, 5), (-HOUR, 5)];
    for (forward, reverse) in younger {
        seen(scene, &conn, forward, reverse)?;
        removes(scene, &[conn.key()], -HOUR, 0)?;
    }
    scene.connections(HTTPS, 1, 1)?;
    seen(scene, &conn, -HOUR * 2, -HOUR - 60_000)?;
    removes(scene, &[conn.key()], -HOUR, 1)?;
    scene.connections(HTTPS, 1, 0)
}

/// Sets when each direction was last seen, in ticks from now.
fn seen(scene: &mut Scene, conn: &Conn, forward: i32, reverse: i32) -> anyhow::Result<()> {
    let now = scene.dp.reap(&[], 0)?.jiffies;
    for (key, when) in [(conn.key(), forward), (conn.reverse_key(), reverse)] {
        let mut flow = scene.dp.conns.get(&key, 0)?;
        flow.last_seen = now.wrapping_add_signed(when);
        scene.dp.conns.insert(key, flow, 0)?;
    }
    Ok(())
}
