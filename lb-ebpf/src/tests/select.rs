use std::{collections::BTreeSet, vec, vec::Vec};

use lb_common::{
    abi::{NAT_PORT_FIRST, NAT_PORTS, NAT_PROBES},
    flow::FlowKey,
    maglev::SLOTS,
    net::{Addr, Be16, proto},
};

use super::frames::{CLIENT4, CLIENT6, VIP4, VIP6};
use crate::select::{FlowHash, is_nat_port};

fn key(src: Addr, dst: Addr, sport: u16, proto: u8) -> FlowKey {
    let (sport, dport) = (Be16::new(sport), Be16::new(6443));
    FlowKey { src, dst, sport, dport, proto, pad: 0, pad_end: 0 }
}

/// Flows that differ as real ones do: few clients, consecutive ports.
fn flows() -> impl Iterator<Item = FlowKey> {
    (0..64_u8).flat_map(|host| {
        (0..1024).map(move |n| key(Addr::v4([192, 0, 2, host]), VIP4, 32_768 + n * 2, proto::TCP))
    })
}

/// Other nodes, and other versions, must come to the same answers. Never adapt these values to the
/// code: a new hash needs a new layout version and a plan for the change-over.
#[test]
fn golden_vectors() {
    let vectors = [
        (key(CLIENT4, VIP4, 40_000, proto::TCP), false, 15541, [13642, 28083]),
        (key(CLIENT4, VIP4, 40_001, proto::TCP), false, 8005, [26965, 22752]),
        (key(CLIENT4, VIP4, 40_000, proto::UDP), false, 8426, [17665, 28000]),
        (key(CLIENT4, VIP4, 40_000, proto::TCP), true, 8403, [13642, 28083]),
        (key(CLIENT6, VIP6, 40_000, proto::TCP), false, 2041, [17221, 14958]),
        (key(CLIENT6, VIP6, 40_000, proto::TCP), true, 9229, [17221, 14958]),
        (key(Addr([0; 16]), Addr([0; 16]), 0, 0), false, 3063, [27316, 25909]),
        (key(Addr([0xff; 16]), Addr([0xff; 16]), 0xffff, 0xff), false, 4955, [20279, 17634]),
    ];
    for (i, (key, by_client, slot, ports)) in vectors.into_iter().enumerate() {
        let hash = FlowHash::new(&key, by_client);
        let got = (hash.slot(), [hash.nat_port(0).get(), hash.nat_port(7).get()]);
        assert_eq!(got, (slot, ports), "vector {i}");
    }
}

/// Each of `n` equal shares of 65,536 samples lies within five standard deviations.
fn even(counts: &[u32]) -> bool {
    let mean = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    counts.iter().all(|&count| (f64::from(count) - mean).abs() < 5.0 * mean.sqrt())
}

#[test]
fn slots_and_ports_are_even() {
    let (mut slots, mut ports) = (vec![0; 256], vec![0; 256]);
    let (mut high_slots, mut high_ports) = (vec![0; 256], vec![0; 256]);
    for key in flows() {
        let hash = FlowHash::new(&key, false);
        let port = usize::from(hash.nat_port(0).get() - NAT_PORT_FIRST);
        slots[hash.slot() % 256] += 1;
        high_slots[hash.slot() / (SLOTS / 256)] += 1;
        ports[port % 256] += 1;
        high_ports[port / (usize::from(NAT_PORTS) / 256)] += 1;
    }
    for (name, counts) in
        [("slots", slots), ("high slots", high_slots), ("ports", ports), ("high ports", high_ports)]
    {
        assert!(even(&counts), "{name}: {counts:?}");
    }
}

/// A backend's slots must not narrow the ports that its flows begin at.
#[test]
fn slot_and_port_are_independent() {
    let mut joint = vec![0; 256];
    for key in flows() {
        let hash = FlowHash::new(&key, false);
        let port = usize::from(hash.nat_port(0).get() - NAT_PORT_FIRST);
        joint[hash.slot() % 16 * 16 + port % 16] += 1;
    }
    assert!(even(&joint), "{joint:?}");
    let low: BTreeSet<u16> = flows()
        .map(|key| FlowHash::new(&key, false))
        .filter(|hash| hash.slot() < SLOTS / 16)
        .map(|hash| hash.nat_port(0).get() % 256)
        .collect();
    assert_eq!(low.len(), 256, "the flows of one backend begin at some ports only");
}

#[test]
fn affinity_looks_at_the_client_alone() {
    let slot =
        |src, sport, by_client| FlowHash::new(&key(src, VIP4, sport, proto::TCP), by_client).slot();
    for sport in [1, 2, 40_000] {
        assert_eq!(slot(CLIENT4, sport, true), slot(CLIENT4, 9, true));
        assert_ne!(slot(CLIENT4, sport, false), slot(CLIENT4, 9, false));
    }
    let clients: BTreeSet<usize> =
        (0..64).map(|host| slot(Addr::v4([192, 0, 2, host]), 9, true)).collect();
    assert!(clients.len() > 60, "clients meet the same slots: {clients:?}");
    for (a, b) in [(40_000, 40_001), (1, 2)] {
        let port = |sport| FlowHash::new(&key(CLIENT4, VIP4, sport, proto::TCP), true).nat_port(0);
        assert_ne!(port(a), port(b), "affinity must not narrow the ports");
    }
}

#[test]
fn probes_differ_and_stay_in_range() {
    for key in flows().step_by(97) {
        let hash = FlowHash::new(&key, false);
        let ports: Vec<Be16> = (0..NAT_PROBES).map(|k| hash.nat_port(k)).collect();
        assert!(ports.iter().all(|&port| is_nat_port(port)));
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), NAT_PROBES as usize);
    }
}

#[test]
fn the_ends_of_the_port_range() {
    let inside = |port| is_nat_port(Be16::new(port));
    assert!(!inside(12_287) && inside(12_288) && inside(28_671) && !inside(28_672));
    assert!(!inside(0) && !inside(30_000) && !inside(32_768) && !inside(65_535));
}
