//! Health and commands: who is in rotation, and whose flows are reset.

use super::*;
use crate::{
    agent::{
        event::{AdminError, Level},
        state::service::{Candidate, rotation},
        status::Standing,
    },
    health::tracker::State as Health,
};

/// `U`, `D`, `?` for an open backend's health; lower case (`x` for unknown) when it is not open;
/// a following `!` = no next hop. Returns the rotation as `1` and `0`.
fn rotated(backends: &str, try_all: bool) -> String {
    let mut candidates: Vec<Candidate> = Vec::new();
    for c in backends.chars() {
        let (open, health) = match c {
            'U' => (true, Health::Up),
            'D' => (true, Health::Down),
            '?' => (true, Health::Unknown),
            'u' => (false, Health::Up),
            'd' => (false, Health::Down),
            'x' => (false, Health::Unknown),
            _ => {
                candidates.last_mut().unwrap().resolved = false;
                continue;
            }
        };
        candidates.push(Candidate { open, health, resolved: true });
    }
    rotation(&candidates, try_all).iter().map(|&r| if r { '1' } else { '0' }).collect()
}

#[test]
fn rotation_of_every_combination() {
    for (backends, reject, try_all) in [
        ("", "", ""),
        ("UUU", "111", "111"),
        ("UD?", "100", "100"),
        ("???", "111", "111"),
        ("?D?", "101", "101"),
        ("DDD", "000", "111"),
        // What is closed neither gets traffic nor decides for the others.
        ("u?D", "010", "010"),
        ("uDd", "000", "010"),
        ("xUx", "010", "010"),
        ("udx", "000", "000"),
        // Unresolved ones wait for the resolved of the same kind only.
        ("UU!D", "100", "100"),
        ("U!U!?", "110", "110"),
        ("?!?", "01", "01"),
        ("?!?!", "11", "11"),
        ("DD!", "00", "10"),
        ("D!D!", "00", "11"),
    ] {
        assert_eq!(rotated(backends, false), reject, "{backends}");
        assert_eq!(rotated(backends, true), try_all, "{backends}, try-all");
    }
}

#[test]
fn a_starting_agent_refuses_nobody() {
    let mut world = World::new(&three());
    assert_eq!(world.table("api"), "a b c");
    world.down("api/c");
    assert_eq!(world.table("api"), "a b");
    world.probe("api/b", true);
    assert_eq!(world.table("api"), "b");
    assert_eq!(world.transitions(), ["unknown up 200 OK"]);
    world.probe("api/a", true);
    assert_eq!(world.table("api"), "a b");
    assert_eq!(world.backend("api/c").standing.word(), "down");
}

#[test]
fn down_leaves_rotation_and_its_flows_are_reset() {
    let mut world = World::new(&three());
    for name in ["api/a", "api/b"] {
        world.up(name);
    }
    let id = world.id("api/a");
    for _ in 0..2 {
        assert_eq!(world.probe("api/a", false), []);
    }
    world.probe("api/a", false);
    assert_eq!(world.table("api"), "b");
    assert_eq!((world.record("api/a").state, world.resets()), (RESET, vec![id]));
    assert_eq!(world.transitions(), ["up down connection refused"]);
    assert_eq!(world.probe("api/a", false), []);
    world.up("api/a");
    assert_eq!(world.table("api"), "a b");
    assert_eq!((world.record("api/a").state, world.resets()), (FORWARD, vec![]));
    assert_eq!(world.transitions(), ["down up 200 OK"]);
}

#[test]
fn down_with_keep_lets_its_flows_be() {
    let mut config = three();
    config.services[0].on_backend_down = OnBackendDown::Keep;
    let mut world = World::new(&config);
    world.up("api/b");
    world.down("api/a");
    assert_eq!(world.table("api"), "b");
    assert_eq!((world.record("api/a").state, world.resets()), (FORWARD, vec![]));
}

#[test]
fn all_down_is_told_and_refused() {
    let mut world = World::new(&three());
    for name in ["api/a", "api/b", "api/c"] {
        world.down(name);
    }
    assert_eq!(world.table("api"), "");
    let told = |level| move |a: &Action| matches!(a, Action::Log { level: l, .. } if *l == level);
    assert!(world.actions.iter().any(told(Level::Error)), "{:?}", world.actions);
    world.up("api/b");
    assert_eq!(world.table("api"), "b");
    assert!(world.actions.iter().any(told(Level::Info)), "{:?}", world.actions);
}

#[test]
fn try_all_keeps_the_dead_until_one_lives() {
    let mut config = three();
    config.services[0].when_no_backend = WhenNoBackend::TryAll;
    let mut world = World::new(&config);
    world.command("api/c", Command::Maint);
    world.down("api/a");
    let id = world.id("api/a");
    assert_eq!((world.table("api").as_str(), world.record("api/a").state), ("b", RESET));
    world.down("api/b");
    assert_eq!(world.table("api"), "a b");
    assert_eq!((world.record("api/a").state, world.record("api/b").state), (FORWARD, FORWARD));
    assert_eq!(world.resets(), [0_u16; 0]);
    world.up("api/b");
    assert_eq!((world.table("api").as_str(), world.resets()), ("b", vec![id]));
}

#[test]
fn drain_keeps_flows_and_maint_resets_them() {
    let mut world = World::new(&three());
    for name in ["api/a", "api/b", "api/c"] {
        world.up(name);
    }
    let id = world.id("api/a");
    assert_eq!(world.command("api/a", Command::Drain).last(), Some(&Action::Answer(Ok(()))));
    assert_eq!((world.table("api").as_str(), world.record("api/a").state), ("b c", FORWARD));
    assert_eq!(world.transitions(), ["up drain by command"]);
    world.command("api/a", Command::Maint);
    assert_eq!((world.record("api/a").state, world.resets()), (RESET, vec![id]));
    // Checks go on: what they find counts once it is ready.
    world.down("api/a");
    assert_eq!((world.transitions(), world.backend("api/a").standing), (vec![], Standing::Maint));
    world.command("api/a", Command::Ready);
    assert_eq!(world.transitions(), ["maint down by command"]);
    assert_eq!(world.table("api"), "b c");
    world.up("api/a");
    assert_eq!(world.table("api"), "a b c");
    // A draining backend that dies has nobody to talk to either.
    world.command("api/a", Command::Drain);
    world.down("api/a");
    assert_eq!((world.record("api/a").state, world.resets()), (RESET, vec![id]));
}

#[test]
fn weight_by_command() {
    let mut world = World::new(&three());
    let share = |world: &World, name: &str| {
        let id = world.id(name);
        world.maps.tables[&1].slots.iter().filter(|slot| **slot == id).count()
    };
    world.command("api/a", Command::Weight(Some(2)));
    assert!(share(&world, "api/a").abs_diff(16_384 / 2) < 80);
    world.command("api/a", Command::Weight(Some(0)));
    assert_eq!((world.table("api").as_str(), world.record("api/a").state), ("b c", FORWARD));
    world.command("api/a", Command::Weight(None));
    assert!(share(&world, "api/a").abs_diff(16_384 / 3) < 80);
    let error = AdminError::Weight { weight: 257 };
    assert_eq!(error.to_string(), "weight `257` is out of range: 0 to 256");
    assert_eq!(world.command("api/a", Command::Weight(Some(257))), [Action::Answer(Err(error))]);
    assert_eq!(world.backend("api/a").weight, 1);
}

#[test]
fn a_command_to_nobody_is_answered() {
    let mut world = World::new(&three());
    let mut answer = |name: &str| match world.command(name, Command::Drain) {
        [Action::Answer(Err(error))] => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(answer("api/x"), "service `api` has no backend `x`, only `a`, `b`, `c`");
    assert_eq!(answer("x/a"), "there is no service `x`, only `api`");
}

#[test]
fn a_report_of_nobody_is_ignored() {
    let mut world = World::new(&three());
    assert_eq!(world.probe("api/x", false), []);
}

#[test]
fn unresolved_backends_wait_and_a_lost_way_is_kept() {
    let mut world = World::adopting(&three(), Adopted::default()).unwrap();
    assert_eq!(world.watched, [ip(1), ip(2), ip(3)]);
    // All unresolved: the loss is counted.
    assert_eq!(world.table("api"), "a b c");
    world.event(Event::NextHop { address: ip(2), hop: Ok(hop(ip(2), 0)) });
    assert_eq!(world.table("api"), "b");
    world.resolve();
    assert_eq!(world.table("api"), "a b c");

    let lost = || Event::NextHop { address: ip(2), hop: Err("no route".to_owned()) };
    let text = "no way to `10.0.1.2`: no route; its last known next hop stays in use".to_owned();
    assert_eq!(world.event(lost()), [Action::Log { level: Level::Warn, text }]);
    assert_eq!(world.event(lost()), []);
    world.event(Event::NextHop { address: ip(2), hop: Ok(hop(ip(2), 9)) });
    let record = world.record("api/b");
    assert_eq!(record.hops[usize::from(record.hop)], hop(ip(2), 9));
    let stranger = Event::NextHop { address: ip(99), hop: Ok(hop(ip(99), 0)) };
    assert_eq!(world.event(stranger), []);
}

#[test]
fn own_macs_fill_the_configuration_and_no_more() {
    let mut world = World::new(&three());
    let macs: Vec<_> = (0..18).map(|n| MacAddr([0, 0, 0, 0, 0, n])).collect();
    let actions = world.event(Event::OwnMacs(macs.clone())).to_vec();
    // All zero is no address; of the 17 others the last does not fit.
    assert!(matches!(&actions[0], Action::Log { text, .. } if text.contains("00:00:00:00:00:11")));
    let expected: Vec<_> = macs[1..17].iter().map(|mac| mac.to_u64()).collect();
    assert_eq!(world.maps.config.own_macs[..], expected);
}

#[test]
fn status_tells_the_last_check() {
    let mut world = World::new(&three());
    assert_eq!(world.backend("api/a").check, None);
    world.probe("api/a", false);
    world.now += Duration::from_secs(1);
    let check = world.backend("api/a").check.unwrap();
    assert_eq!((check.passed, check.reason.as_str()), (false, "connection refused"));
    assert_eq!((check.latency, check.age), (Duration::from_millis(3), Duration::from_secs(1)));
    assert_eq!(world.state.snapshot(world.now).node, "lb-01");
}
