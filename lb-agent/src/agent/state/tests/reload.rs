//! From one configuration to the next.

use super::*;
use crate::agent::status::Standing;

#[test]
fn the_same_configuration_changes_nothing() {
    let mut world = World::new(&three());
    world.up("api/a");
    assert_eq!(world.reload(&three()), []);
}

#[test]
fn a_backend_is_added_and_another_removed() {
    let mut world = World::new(&three());
    for name in ["api/a", "api/b", "api/c"] {
        world.up(name);
    }
    let (a, b, c) = (world.id("api/a"), world.id("api/b"), world.id("api/c"));
    let next = config(&[service("api", 1, &[backend("d", 4), backend("b", 2), backend("a", 1)])]);
    world.reload(&next);
    // The new one is unknown, and others are known up; the old one's flows go on.
    assert_eq!(world.table("api"), "b a");
    assert_eq!((world.id("api/a"), world.id("api/b")), (a, b));
    assert_eq!(world.maps.backends[&c].state, FORWARD);
    assert_eq!(world.checks.keys().map(|t| &t.backend[..]).collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(world.watched, [ip(1), ip(2), ip(3), ip(4)]);
    assert_eq!(world.state.snapshot(world.now).retired, [c]);
    world.resolve();
    world.up("api/d");
    assert_eq!(world.table("api"), "d b a");
}

#[test]
fn a_service_is_removed_with_its_vip() {
    let api = service("api", 1, &[backend("a", 1)]);
    let other = service("other", 2, &[backend("a", 1)]);
    let mut world = World::new(&config(&[api.clone(), other]));
    assert_eq!(world.vips, [vip(1), vip(2)].into());
    let id = world.id("other/a");
    assert_ne!(id, world.id("api/a"));
    world.reload(&config(&[api]));
    assert_eq!((world.vips.clone(), world.maps.services.len()), ([vip(1)].into(), 1));
    assert_eq!(world.checks.len(), 1);
    // Its flows are still ours: the filter and the backend stay until they end.
    let bits = |world: &World| {
        world.maps.config.vip_filter.iter().map(|word| word.count_ones()).sum::<u32>()
    };
    assert_eq!((bits(&world), world.maps.backends.contains_key(&id)), (2, true));
    world.flows(&[]);
    world.flows(&[]);
    assert_eq!((bits(&world), world.maps.backends.contains_key(&id)), (1, false));
}

#[test]
fn a_changed_check_is_restarted_and_health_is_kept() {
    let mut world = World::new(&three());
    world.up("api/a");
    world.down("api/b");
    let mut next = three();
    next.services[0].check.rise = 1;
    next.services[0].check.port = Some(8080);
    world.reload(&next);
    assert!(world.checks.values().all(|c| c.port == 8080 && c.check.rise == 1));
    let standing = |world: &World, name| world.backend(name).standing;
    assert_eq!(standing(&world, "api/a"), Standing::Up);
    assert_eq!(standing(&world, "api/b"), Standing::Down);
    assert_eq!(standing(&world, "api/c"), Standing::Unknown);
    assert_eq!(world.resets(), [0_u16; 0]);
    world.probe("api/b", true);
    assert_eq!(world.table("api"), "a b");
}

#[test]
fn commands_survive_when_name_and_socket_stay() {
    let mut world = World::new(&three());
    world.command("api/a", Command::Drain);
    world.command("api/b", Command::Maint);
    world.command("api/c", Command::Weight(Some(7)));
    let mut next = three();
    next.services[0].affinity = Affinity::Client;
    next.services[0].backends[1].name = "renamed".to_owned();
    let id = world.id("api/b");
    world.reload(&next);
    assert_eq!(world.backend("api/a").standing, Standing::Drain);
    assert_eq!(world.backend("api/c").weight, 7);
    // Another name is another word, but the same flows.
    assert_eq!(world.backend("api/renamed").standing, Standing::Unknown);
    assert_eq!(world.id("api/renamed"), id);
    assert!(world.checks.contains_key(&target("api/renamed")));
    next.services[0].backends[0].port = 6444;
    world.reload(&next);
    assert_eq!(world.backend("api/a").standing, Standing::Unknown);
}

#[test]
fn a_configured_weight_ends_the_commanded_one() {
    let mut world = World::new(&three());
    world.command("api/a", Command::Weight(Some(7)));
    let mut next = three();
    next.services[0].backends[0].weight = 3;
    world.reload(&next);
    assert_eq!(world.backend("api/a").weight, 3);
    world.command("api/a", Command::Weight(Some(7)));
    next.services[0].backends[1].weight = 2;
    world.reload(&next);
    assert_eq!(world.backend("api/a").weight, 7);
}

#[test]
fn a_new_backend_at_a_known_address_needs_no_second_resolution() {
    let mut world = World::new(&three());
    let mut next = three();
    let again = Backend { port: 7000, ..backend("again", 1) };
    next.services[0].backends.push(again);
    world.reload(&next);
    assert!(world.backend("api/again").resolved);
}

#[test]
fn too_many_backends_are_refused_and_nothing_changes() {
    // 4 services of 255 backends: 3 ids are left.
    let many = |service_number: u8, port| {
        let backends: Vec<_> =
            (1..=255).map(|n| Backend { port, ..backend(&format!("b{n}"), n) }).collect();
        service(&format!("s{service_number}"), service_number, &backends)
    };
    let full = config(&[many(1, 1), many(2, 1), many(3, 1), many(4, 1)]);
    let mut world = World::adopting(&full, Adopted::default()).unwrap();
    let mut next = full.clone();
    next.services.push(service("s5", 5, &[1, 2, 3, 4].map(|n| backend(&format!("b{n}"), n))));
    let text = "no id is left for backend `s5/b4`: all 1023 are taken, 0 of them by removed \
                backends whose connections have not ended; reload again when they have";
    match world.reload(&next) {
        [Action::ConfigRefused(refused)] => assert_eq!(refused.to_string(), text),
        other => panic!("{other:?}"),
    }
    assert_eq!((world.maps.services.len(), world.checks.len()), (4, 4 * 255));
    next.services[4].backends.truncate(3);
    world.reload(&next);
    assert_eq!((world.maps.services.len(), world.checks.len()), (5, 4 * 255 + 3));
    // Ids of removed backends are not free yet.
    let text = match world.reload(&config(&[many(1, 2)])) {
        [Action::ConfigRefused(refused)] => refused.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(text.starts_with("no id is left for backend `s1/b1`"), "{text}");
}

#[test]
fn too_many_services_are_refused() {
    let services: Vec<_> = (1..=255)
        .map(|n| service(&format!("s{n}"), n, &[Backend { weight: 0, ..backend("a", 1) }]))
        .collect();
    let mut world = World::new(&config(&services));
    let mut next = services.clone();
    next[0].port = 1;
    match world.reload(&config(&next)) {
        [Action::ConfigRefused(Refused::ServiceIds { service })] => assert_eq!(service, "s1"),
        other => panic!("{other:?}"),
    }
    world.reload(&config(&services[1..]));
    world.flows(&[]);
    world.flows(&[]);
    world.reload(&config(&next));
    assert_eq!(world.maps.services.len(), 255);
}
