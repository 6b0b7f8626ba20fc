//! The program against the model: random packets, random damage, a changing configuration.

use std::{collections::BTreeSet, env};

use anyhow::Context as _;
use lb_common::{
    backend::BackendState,
    flow::{Flow, FlowKey, REVERSE},
    net::{Addr, Be16},
    reason::Reason,
};
use lb_ebpf::select::FlowHash;
use lb_tests::datapath::INGRESS;

use super::{
    scene::{CLIENT_MAC, OWN_MAC},
    traffic::Traffic,
    twins::{Spec, Twins, fresh_backend},
};

/// Packets to one pair of tables: few enough that the LRU evicts nothing.
const ROUND: u64 = 100_000;

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("`{name}` is `{text}`, not a number")),
        Err(_) => default,
    }
}

#[test]
fn the_program_does_what_the_model_does() {
    let seed = number("LB_DIFF_SEED", 0x6c62);
    let packets = number("LB_DIFF_PACKETS", ROUND);
    println!("seed {seed} (LB_DIFF_SEED), {packets} packets (LB_DIFF_PACKETS)");
    let mut seen = BTreeSet::new();
    for (round, start) in (0..packets).step_by(ROUND as usize).enumerate() {
        let seed = seed.wrapping_add(round as u64);
        match play(seed, ROUND.min(packets - start)) {
            Ok(reasons) => seen.extend(reasons),
            Err(error) => panic!("LB_DIFF_SEED={seed}: {error:#}"),
        }
    }
    if packets >= ROUND {
        let missing: Vec<_> =
            Reason::ALL.iter().filter(|r| **r != Reason::Internal && !seen.contains(r)).collect();
        assert!(missing.is_empty(), "the packets never met {missing:?}");
    }
}

fn play(seed: u64, packets: u64) -> anyhow::Result<BTreeSet<Reason>> {
    let mut twins = Twins::new()?;
    let mut traffic = Traffic::new(seed, twins.specs.clone());
    for step in 0..packets {
        if traffic.rng.below(60) == 0 {
            change(&mut twins, &mut traffic).with_context(|| format!("change at step {step}"))?;
        }
        let frame = traffic.next();
        let done = twins.step(&frame).with_context(|| format!("step {step}"))?;
        if done.action > 2 {
            traffic.remember(done.frame.unwrap_or_default());
        }
        if step % 4096 == 0 {
            twins.compare_counters().with_context(|| format!("step {step}"))?;
        }
    }
    twins.compare_counters()?;
    twins.compare_tables()?;
    Ok(twins.reasons())
}

/// One change of configuration or tables.
fn change(twins: &mut Twins, traffic: &mut Traffic) -> anyhow::Result<()> {
    let rng = &mut traffic.rng;
    let spec = twins.specs[rng.below(twins.specs.len())];
    match rng.below(46) {
        // A table swap waits for a grace period of the kernel: seldom.
        0 => twins.set_table(&spec, rng.next() as u16),
        1..6 => {
            let (sticky, reject) = (rng.percent(30), rng.percent(60));
            twins.set_service(&spec, sticky, reject)
        }
        6..18 => backend(twins, traffic, &spec),
        18..24 => {
            let keys: Vec<FlowKey> = (0..8).map(|_| traffic.tuple()).collect();
            twins.reap(&keys)
        }
        24..34 => {
            let established = rng.percent(30);
            let Some(key) = traffic.some_key() else { return Ok(()) };
            twins.evict(&key, established)
        }
        34..40 => occupy(twins, traffic, &spec),
        _ => {
            let (now, hour) = (twins.model.now, 3_600_000_000_000);
            let deadline = rng.pick(&[None, Some(0), Some(now), Some(now + hour), Some(u64::MAX)]);
            twins.set_lease(spec.vip, deadline)
        }
    }
}

fn backend(twins: &mut Twins, traffic: &mut Traffic, spec: &Spec) -> anyhow::Result<()> {
    let rng = &mut traffic.rng;
    for id in spec.backend_ids() {
        let mut backend = fresh_backend(spec, id);
        match rng.below(10) {
            0 | 1 => backend.state = BackendState::Reset as u8,
            2 => backend.state = 0,
            3 => backend.hops[0].ifindex = 0,
            4 => backend.hop = 1,
            _ => {}
        }
        twins.set_backend(id, backend)?;
    }
    Ok(())
}

/// Another client holds some, or all, of the ports that a tuple would try.
fn occupy(twins: &mut Twins, traffic: &mut Traffic, spec: &Spec) -> anyhow::Result<()> {
    let key = FlowKey { dst: spec.vip, ..traffic.tuple() };
    let key = match key.src.is_v4() == spec.vip.is_v4() {
        true => FlowKey { dport: Be16::new(spec.port), proto: spec.proto, ..key },
        false => return Ok(()),
    };
    let ports = traffic.rng.pick(&[1, 1, 2, 8, 8]);
    let established = traffic.rng.percent(20);
    let foreign = if key.src.is_v4() {
        Addr::v4([192, 0, 2, 99])
    } else {
        Addr::v6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99])
    };
    for id in spec.backend_ids() {
        let backend = fresh_backend(spec, id);
        for k in 0..ports {
            let dport = FlowHash::new(&key, false).nat_port(k);
            let held = FlowKey { src: backend.address, sport: backend.port, dport, ..key };
            let flow = Flow {
                peer: foreign,
                new_sport: key.dport,
                new_dport: key.sport,
                backend: id,
                service: spec.id,
                client_ifindex: INGRESS,
                client_mac: CLIENT_MAC.to_u64(),
                own_mac: OWN_MAC.to_u64(),
                direction: REVERSE,
                ..Flow::default()
            };
            twins.evict(&held, false)?;
            twins.store(held, &flow, established)?;
        }
    }
    Ok(())
}
