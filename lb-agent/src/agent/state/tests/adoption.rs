//! A restarted agent finds the maps in use.

use lb_common::service::{NoBackend, service_flags};

use super::*;
use crate::{agent::status::Standing, datapath::plan::MapOp};

/// The writes of one event.
fn ops(actions: &[Action]) -> &[MapOp] {
    let mut lists = actions.iter().filter_map(|a| match a {
        Action::Map(ops) => Some(&ops[..]),
        _ => None,
    });
    let ops = lists.next().unwrap_or_default();
    assert!(lists.next().is_none(), "two lists of writes");
    ops
}

#[test]
fn a_restart_disturbs_nothing() {
    let mut before = World::new(&three());
    for name in ["api/a", "api/b", "api/c"] {
        before.up(name);
    }
    let after = World::adopting(&three(), before.found()).unwrap();
    // Only the table, which cannot be compared, is written: the same one.
    let [MapOp::SetMaglev { service: 1, table }] = ops(&after.actions) else {
        panic!("{:?}", after.actions);
    };
    assert_eq!(table, &before.maps.tables[&1]);
    assert_eq!(after.maps.backends, before.maps.backends);
    assert_eq!((after.checks.len(), after.vips.len(), after.resets()), (3, 1, vec![]));
    assert_eq!(after.backend("api/a").standing, Standing::Unknown);
    assert!(after.actions.contains(&Action::AddVip { vip: vip(1) }));
}

#[test]
fn what_was_being_reset_is_known_to_be_down() {
    let mut before = World::new(&three());
    before.up("api/a");
    before.down("api/b");
    let mut after = World::adopting(&three(), before.found()).unwrap();
    assert_eq!(after.table("api"), "a c");
    assert_eq!((after.record("api/b").state, after.resets()), (RESET, vec![]));
    after.up("api/b");
    assert_eq!(after.record("api/b").state, FORWARD);
}

#[test]
fn another_configuration_meets_the_old_ids() {
    let old = config(&[
        service("gone", 9, &[backend("x", 9)]),
        service("api", 1, &[backend("a", 1), backend("b", 2)]),
    ]);
    let before = World::new(&old);
    let new = config(&[service("renamed", 1, &[backend("c", 3), backend("z", 2)])]);
    let mut after = World::adopting(&new, before.found()).unwrap();
    assert_eq!(after.id("renamed/z"), before.id("api/b"));
    assert_eq!(after.maps.services.len(), 1);
    assert_eq!(after.vips, [vip(1)].into());
    let retired = vec![before.id("gone/x"), before.id("api/a")];
    assert_eq!(after.state.snapshot(after.now).retired, retired);
    assert!(!retired.contains(&after.id("renamed/c")));
    // Known ways count, also of the retired.
    assert!(after.backend("renamed/z").resolved && !after.backend("renamed/c").resolved);
    assert_eq!(after.table("renamed"), "z");
    after.flows(&[]);
    after.flows(&[]);
    assert_eq!(after.state.snapshot(after.now).retired, [0_u16; 0]);
}

#[test]
fn backends_of_a_service_that_is_gone_keep_their_service_id_from_being_reused() {
    let before = World::new(&three());
    let mut found = before.found();
    found.services.clear();
    let new = config(&[service("new", 7, &[backend("n", 7)])]);
    let after = World::adopting(&new, found).unwrap();
    assert_eq!(after.maps.services.values().next().unwrap().id, 2);
    assert_eq!(after.state.snapshot(after.now).retired, [1, 2, 3]);
}

#[test]
fn records_that_mean_nothing_are_left_out() {
    let record = before_record();
    let found = Adopted {
        config: None,
        services: Vec::new(),
        backends: vec![
            (0, record),
            (1, Record { service: 0, ..record }),
            (2, Record { state: 0, ..record }),
            (3, Record { state: 3, ..record }),
            (1024, record),
            (5, record),
        ],
    };
    let world = World::adopting(&three(), found).unwrap();
    assert_eq!(world.state.snapshot(world.now).retired, [5]);
}

fn before_record() -> Record {
    World::new(&three()).record("api/a")
}

#[test]
fn services_with_impossible_ids_are_left_out() {
    let world = World::new(&three());
    let (key, mut record) = world.found().services[0];
    record.id = 256;
    let found = Adopted { services: vec![(key, record)], ..Adopted::default() };
    assert!(super::super::adopt(found).services.is_empty());
}

#[test]
fn too_many_retired_backends_refuse_the_start() {
    let record = Record { service: 9, ..before_record() };
    let found =
        Adopted { backends: (1..=1021).map(|id| (id, record)).collect(), ..Adopted::default() };
    match World::adopting(&three(), found) {
        Err(Refused::BackendIds { backend, retired, .. }) => {
            assert_eq!((backend.as_str(), retired), ("c", 1021));
        }
        other => panic!("{:?}", other.map(|w| w.actions)),
    }
}

#[test]
fn a_service_without_backends_leaves_nothing_behind() {
    let mut found = World::new(&three()).found();
    found.backends.clear();
    let new = config(&[service("new", 7, &[backend("n", 7)])]);
    let world = World::adopting(&new, found).unwrap();
    let bits: u32 = world.maps.config.vip_filter.iter().map(|word| word.count_ones()).sum();
    assert_eq!((bits, world.state.keys.len()), (1, 1));
}

#[test]
fn flags_follow_the_configuration() {
    let mut config = three();
    config.services[0].affinity = Affinity::Client;
    config.services[0].when_no_backend = WhenNoBackend::Drop;
    let before = World::new(&three());
    let after = World::adopting(&config, before.found()).unwrap();
    let service = after.maps.services.values().next().unwrap();
    assert_eq!(service.flags, service_flags::AFFINITY_CLIENT);
    assert_eq!(service.when_no_backend, NoBackend::Drop as u8);
}

/// The writer stops at any write of a change; the next attempt starts from what is there.
#[test]
fn a_failed_write_is_made_good_from_wherever_it_stopped() {
    let next = config(&[
        service("api", 1, &[backend("a", 1), backend("d", 4)]),
        service("more", 2, &[backend("a", 1)]),
    ]);
    for stop in 0.. {
        let mut world = World::new(&three());
        world.up("api/b");
        let mut maps = world.maps.clone();
        let writes = world.reload(&next).to_vec();
        let writes = ops(&writes);
        for op in writes.iter().take(stop) {
            maps.apply(op);
        }
        world.maps = maps;
        world.event(Event::Resync(world.found()));
        if stop == writes.len() {
            break;
        }
    }
}
