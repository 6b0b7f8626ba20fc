use lb_common::{
    backend::{Backend, BackendState, NextHop},
    config::filter_bit,
    net::{Addr, Be16, MacAddr, proto},
    service::{NoBackend, Service, ServiceKey},
};
use proptest::prelude::*;

use super::{Desired, Entry, MapOp, diff, sim::Maps};
use crate::datapath::maglev::{Member, Table};

const FORWARD: u8 = BackendState::Forward as u8;
const RESET: u8 = BackendState::Reset as u8;

fn hop(ifindex: u32) -> NextHop {
    NextHop { ifindex, destination: MacAddr([2, 0, 0, 0, 0, 1]), source: MacAddr([2; 6]) }
}

/// Backends 1, 4, 7… belong to service 1, and so on: an id's identity never changes.
fn backend(id: u16, state: u8) -> Backend {
    Backend {
        address: Addr::v4([10, 0, 1, id as u8]),
        port: Be16::new(6443),
        service: (id - 1) % 3 + 1,
        state,
        hop: 0,
        pad: 0,
        hops: [hop(2), NextHop::default()],
    }
}

fn key(service: u16) -> ServiceKey {
    // Services 1 and 2 share a VIP.
    let vip = Addr::v4([10, 0, 0, (service / 2) as u8]);
    ServiceKey::new(vip, Be16::new(6442 + service), proto::TCP)
}

fn table(members: &[u16]) -> Table {
    let member = |&id: &u16| Member { address: backend(id, 1).address, port: 1, weight: 1, id };
    Table::build(&members.iter().map(member).collect::<Vec<_>>())
}

fn desired(backends: &[(u16, Backend)], services: &[(u16, &[u16])]) -> Desired {
    let mut desired = Desired::empty();
    desired.backends = backends.iter().copied().collect();
    for &(id, members) in services {
        let bit = filter_bit(&key(id).vip);
        desired.config.vip_filter[bit / 64] |= 1 << (bit % 64);
        let service = Service { id, flags: 0, when_no_backend: NoBackend::Reject as u8 };
        desired.services.insert(id, Entry { key: key(id), service, table: Some(table(members)) });
    }
    desired
}

/// One word per write.
fn words(old: &Desired, new: &Desired) -> String {
    let word = |op: &MapOp| match op {
        MapOp::SetConfig(_) => "config".to_owned(),
        MapOp::PutBackend { id, backend } => {
            format!("{id}:state{}hop{}", backend.state, backend.hop)
        }
        MapOp::ClearBackend { id } => format!("{id}:clear"),
        MapOp::ResetBackendStats { id } => format!("{id}:stats"),
        MapOp::ResetServiceStats { service } => format!("s{service}:stats"),
        MapOp::SetMaglev { service, .. } => format!("s{service}:table"),
        MapOp::ClearMaglev { service } => format!("s{service}:notable"),
        MapOp::PutVip { .. } => "vip".to_owned(),
        MapOp::DeleteVip { .. } => "novip".to_owned(),
        MapOp::PutService { service, .. } => format!("s{}:put", service.id),
        MapOp::DeleteService { .. } => "delete".to_owned(),
    };
    diff(old, new).iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_service_appears_last_and_disappears_first() {
    let none = Desired::empty();
    let one = desired(&[(1, backend(1, FORWARD))], &[(1, &[1])]);
    assert_eq!(words(&none, &one), "config vip 1:stats 1:state1hop0 s1:stats s1:table s1:put");
    assert_eq!(words(&one, &none), "delete novip s1:notable 1:clear config");
    assert_eq!(words(&one, &one), "");
}

#[test]
fn down_leaves_the_table_before_it_resets_and_comes_back_in_reverse() {
    let up = desired(&[(1, backend(1, FORWARD)), (4, backend(4, FORWARD))], &[(1, &[1, 4])]);
    let down = desired(&[(1, backend(1, RESET)), (4, backend(4, FORWARD))], &[(1, &[4])]);
    assert_eq!(words(&up, &down), "s1:table 1:state2hop0");
    assert_eq!(words(&down, &up), "1:state1hop0 s1:table");
}

#[test]
fn a_next_hop_is_written_where_nobody_reads_and_then_switched_to() {
    let old = desired(&[(1, backend(1, FORWARD))], &[(1, &[1])]);
    let mut record = backend(1, FORWARD);
    record.hops[1] = hop(9);
    record.hop = 1;
    let new = desired(&[(1, record)], &[(1, &[1])]);
    assert_eq!(words(&old, &new), "1:state1hop0 1:state1hop1");
}

#[test]
fn a_known_id_keeps_its_counters() {
    let mut found = desired(&[(1, backend(1, FORWARD))], &[(1, &[1])]);
    let wanted = found.clone();
    for entry in found.services.values_mut() {
        entry.table = None;
    }
    // A table that was not read is written whatever it was.
    assert_eq!(words(&found, &wanted), "s1:table");
}

#[test]
fn the_old_vip_passes_the_filter_until_its_service_is_gone() {
    let old = desired(&[(1, backend(1, FORWARD))], &[(1, &[1])]);
    let new = desired(&[(1, backend(1, FORWARD)), (3, backend(3, FORWARD))], &[(3, &[3])]);
    assert_eq!(
        words(&old, &new),
        "config vip delete novip 3:stats 3:state1hop0 s3:stats s3:table s3:put s1:notable config"
    );
}

prop_compose! {
    /// Any record; unresolved in one of five.
    fn any_backend(id: u16)(
        state in prop_oneof![3 => Just(FORWARD), 1 => Just(RESET)],
        index in 0..2_u8,
        hops in [0..5_u32, 0..5_u32],
    ) -> Backend {
        let mut record = backend(id, state);
        record.hop = index;
        record.hops = hops.map(|n| if n == 0 { NextHop::default() } else { hop(n) });
        record
    }
}

prop_compose! {
    /// Any content that keeps the rule: tables name usable backends, or, when none has a next hop,
    /// unresolved ones.
    fn any_desired()(
        backends in (1..=9_u16)
            .map(|id| proptest::option::weighted(0.8, any_backend(id)))
            .collect::<Vec<_>>(),
        services in proptest::collection::vec((any::<bool>(), any::<[bool; 9]>(), 0..4_u8), 3),
    ) -> Desired {
        let backends: Vec<_> = (1..).zip(backends).filter_map(|(id, b)| Some((id, b?))).collect();
        let mut tables = Vec::new();
        for (service, (exists, chosen, _)) in (1..).zip(&services) {
            let chosen = backends.iter().filter(|(id, b)| {
                b.service == service && b.state == FORWARD && chosen[usize::from(id - 1)]
            });
            let (resolved, unresolved): (Vec<&(u16, Backend)>, Vec<_>) =
                chosen.partition(|(_, b)| b.hops[usize::from(b.hop)].ifindex != 0);
            let members = if resolved.is_empty() { unresolved } else { resolved };
            if *exists {
                tables.push((service, members.iter().map(|m| m.0).collect::<Vec<_>>()));
            }
        }
        let tables: Vec<_> = tables.iter().map(|(id, members)| (*id, &members[..])).collect();
        let mut desired = desired(&backends, &tables);
        for (entry, (.., flags)) in desired.services.values_mut().zip(services) {
            entry.service.flags = flags;
        }
        desired
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_prefix_serves_and_the_end_is_what_was_wanted(old in any_desired(), new in any_desired()) {
        let mut maps = Maps::holding(&old);
        maps.assert_serves(&old, &new);
        for op in diff(&old, &new) {
            maps.apply(&op);
            maps.assert_serves(&old, &new);
        }
        maps.assert_holds(&new);
    }

    #[test]
    fn nothing_is_written_twice_for_nothing(old in any_desired(), new in any_desired()) {
        let mut maps = Maps::holding(&old);
        for op in diff(&old, &new) {
            let before = maps.clone();
            maps.apply(&op);
            let counters =
                matches!(op, MapOp::ResetBackendStats { .. } | MapOp::ResetServiceStats { .. });
            let same = maps.config == before.config
                && maps.backends == before.backends
                && maps.services == before.services
                && maps.vips == before.vips
                && maps.tables == before.tables;
            prop_assert_eq!(same, counters, "{:?}", op);
        }
    }
}
