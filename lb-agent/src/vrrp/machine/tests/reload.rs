//! A new configuration of the whole router.

use super::*;

fn instance(group: Option<&str>) -> Instance {
    Instance { params: v3(100, 1000), group: group.map(str::to_owned) }
}

/// Instances of those groups, the first `active` of them active and the others fresh backups.
fn router(groups: &[Option<&str>], active: usize) -> (Router, Time) {
    let mut router = Router::new(groups.iter().copied().map(instance).collect());
    let mut now = at(1_000_000_000);
    let mut out = vec![];
    for (index, _) in groups.iter().enumerate() {
        router.handle(index, Event::Link(true), now, &mut out);
        router.handle(index, Event::Source(Some(ip(OWN))), now, &mut out);
    }
    for index in 0..active {
        router.handle(index, Event::Start { lease: None }, now, &mut out);
    }
    now = router.next_deadline().unwrap_or(now);
    router.expire(now, &mut out);
    for index in active..groups.len() {
        router.handle(index, Event::Start { lease: None }, now, &mut out);
    }
    (router, now)
}

fn states(router: &Router) -> Vec<State> {
    router.iter().map(Machine::state).collect()
}

fn of(out: &[(usize, Action)], instance: usize) -> String {
    let own: Vec<_> =
        out.iter().filter(|(of, _)| *of == instance).map(|(_, action)| action.clone()).collect();
    letters(&own)
}

const A: State = State::Active;
const B: State = State::Backup;
const I: State = State::Init;

#[test]
fn instances_are_removed_kept_and_added() {
    let (mut router, now) = router(&[None, None, None], 2);
    assert_eq!(states(&router), [A, A, B]);
    let (mut removed, mut out) = (vec![], vec![]);
    let changed = Instance { params: v3(90, 1000), group: None };
    let plan = vec![(instance(None), None), (instance(None), Some(2)), (changed, Some(0))];
    router.reconfigure(plan, now, &mut removed, &mut out);
    assert_eq!(states(&router), [I, B, A]);
    assert_eq!((of(&removed, 1).as_str(), removed.len()), ("NsZDC", 5));
    assert_eq!((of(&out, 2).as_str(), out.len()), ("SL", 2));
    assert_eq!(router.get(2).unwrap().effective_priority(), 90);
}

#[test]
fn a_group_that_loses_a_member_stays() {
    let (mut router, now) = router(&[Some("g"), Some("g")], 2);
    let (mut removed, mut out) = (vec![], vec![]);
    router.reconfigure(vec![(instance(None), Some(1))], now, &mut removed, &mut out);
    assert_eq!((states(&router), of(&removed, 0).as_str()), (vec![A], "NsZDC"));
    assert_eq!(out, []);
}

#[test]
fn a_member_that_leaves_a_group_leaves_its_faults() {
    let (mut router, now) = router(&[Some("g"), Some("g")], 2);
    let (mut removed, mut out) = (vec![], vec![]);
    router.handle(0, Event::Link(false), now, &mut out);
    assert_eq!(states(&router), [State::Fault; 2]);
    let plan = vec![(instance(Some("g")), Some(0)), (instance(None), Some(1))];
    router.reconfigure(plan, now, &mut removed, &mut out);
    assert_eq!(states(&router), [State::Fault, B]);
}

#[test]
fn a_member_that_leaves_a_group_waits_for_it_no_more() {
    let (mut router, mut now) = router(&[Some("g"), Some("g")], 0);
    let (mut removed, mut out) = (vec![], vec![]);
    router.handle(1, advert(9, 0, 1000), now, &mut out);
    now = router.next_deadline().unwrap();
    router.expire(now, &mut out);
    assert_eq!(states(&router), [B, B]);
    let plan = vec![(instance(Some("g")), Some(0)), (instance(None), Some(1))];
    router.reconfigure(plan, now, &mut removed, &mut out);
    assert_eq!(states(&router), [B, A]);
}

#[test]
fn a_new_group_does_as_its_most_cautious_member() {
    let (mut router, now) = router(&[None, None, None], 2);
    let (mut removed, mut out) = (vec![], vec![]);
    let all = |group| (0..3).map(|index| (instance(group), Some(index))).collect::<Vec<_>>();
    router.reconfigure(all(Some("g")), now, &mut removed, &mut out);
    assert_eq!(states(&router), [B, B, B]);
    assert_eq!((of(&out, 0).as_str(), of(&out, 1).as_str()), ("NsZDC", "NsZDC"));
    assert_eq!(removed, []);
}

#[test]
fn one_released_is_all_released() {
    let (mut router, now) = router(&[None, None], 2);
    let (mut removed, mut out) = (vec![], vec![]);
    router.handle(1, Event::Release, now, &mut out);
    out.clear();
    let all = |group| (0..2).map(|index| (instance(group), Some(index))).collect::<Vec<_>>();
    router.reconfigure(all(Some("g")), now, &mut removed, &mut out);
    assert_eq!((states(&router), of(&out, 0).as_str()), (vec![I, I], "NsZDC"));
    // And stays so when they part.
    router.reconfigure(all(None), now, &mut removed, &mut out);
    assert_eq!(states(&router), [I, I]);
}

#[test]
fn a_member_added_to_an_active_group_joins_it() {
    let (mut router, now) = router(&[Some("g")], 1);
    let (mut removed, mut out) = (vec![], vec![]);
    let plan = vec![(instance(Some("g")), Some(0)), (instance(Some("g")), None)];
    router.reconfigure(plan, now, &mut removed, &mut out);
    router.handle(1, Event::Link(true), now, &mut out);
    router.handle(1, Event::Source(Some(ip(OWN))), now, &mut out);
    assert_eq!(out, []);
    router.handle(1, Event::Start { lease: None }, now, &mut out);
    assert_eq!((states(&router), of(&out, 1).as_str()), (vec![A, A], "SLHC"));
}
