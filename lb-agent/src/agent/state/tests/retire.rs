//! Removed backends, and when their ids are free.

use super::*;
use crate::datapath::plan::MapOp;

fn two() -> Config {
    config(&[service("api", 1, &[backend("a", 1), backend("b", 2)])])
}

#[test]
fn an_id_is_free_after_two_walks_without_its_flows() {
    let mut world = World::new(&three());
    let c = world.id("api/c");
    world.reload(&two());
    for walk in [&[][..], &[c], &[], &[c, 77], &[]] {
        world.flows(walk);
        assert!(world.maps.backends.contains_key(&c), "after {walk:?}");
    }
    world.flows(&[]);
    assert!(!world.maps.backends.contains_key(&c));
    assert_eq!(world.watched, [ip(1), ip(2)]);

    let mut next = two();
    next.services[0].backends.push(backend("d", 4));
    let actions = world.reload(&next).to_vec();
    assert_eq!(world.id("api/d"), c);
    let anew = |a: &Action| match a {
        Action::Map(ops) => ops.contains(&MapOp::ResetBackendStats { id: c }),
        _ => false,
    };
    assert!(actions.iter().any(anew), "{actions:?}");
}

#[test]
fn configured_backends_are_never_cleared() {
    let mut world = World::new(&two());
    let before = world.maps.backends.clone();
    for _ in 0..3 {
        world.flows(&[]);
    }
    assert_eq!(world.maps.backends, before);
}

#[test]
fn an_id_with_flows_is_not_given_to_another() {
    let mut world = World::new(&three());
    let c = world.id("api/c");
    let mut next = two();
    next.services[0].backends.push(backend("d", 4));
    world.reload(&next);
    assert_ne!(world.id("api/d"), c);
}

#[test]
fn a_removed_backend_that_comes_back_keeps_its_id_and_flows() {
    let mut world = World::new(&three());
    let c = world.id("api/c");
    world.reload(&two());
    world.flows(&[]);
    world.reload(&three());
    assert_eq!(world.id("api/c"), c);
    world.flows(&[]);
    world.flows(&[]);
    assert!(world.maps.backends.contains_key(&c));
    assert!(world.backend("api/c").resolved);
}

#[test]
fn a_removed_backend_that_was_down_comes_back_down() {
    let mut world = World::new(&three());
    world.down("api/c");
    world.reload(&two());
    world.reload(&three());
    assert_eq!((world.record("api/c").state, world.table("api").as_str()), (RESET, "a b"));
}

#[test]
fn a_removed_backend_follows_its_next_hop() {
    let mut world = World::new(&three());
    let c = world.id("api/c");
    world.reload(&two());
    world.event(Event::NextHop { address: ip(3), hop: Ok(hop(ip(3), 5)) });
    let record = world.maps.backends[&c];
    assert_eq!(record.hops[usize::from(record.hop)], hop(ip(3), 5));
}

#[test]
fn a_removed_service_that_comes_back_keeps_its_id() {
    let other = service("other", 2, &[backend("x", 9)]);
    let first = config(&[service("api", 1, &[backend("a", 1)]), other.clone()]);
    let mut world = World::new(&first);
    let ids = (world.id("api/a"), world.id("other/x"));
    world.reload(&config(&[other]));
    world.reload(&first);
    assert_eq!((world.id("api/a"), world.id("other/x")), ids);
}
