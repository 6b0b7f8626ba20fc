//! Leaving on purpose.

use super::*;

const fn sent(priority: u8, interval: u64, hand_over: bool) -> Send {
    Send { priority, interval: ms(interval), hand_over }
}

/// An active router of priority 100 that knows another of `priority`, at 10.0.0.`from`.
fn active_knowing(params: Params, from: u8, priority: u8) -> Rig {
    let mut rig = Rig::active(params);
    rig.take(advert(from, priority, 1000));
    assert_eq!(rig.machine.state(), State::Active);
    rig
}

#[test]
fn version_3_advertises_the_shortest_interval_first() {
    for event in [Event::Release, Event::Shutdown, failed()] {
        let mut rig = Rig::active(v3(100, 1000));
        assert_eq!(rig.take(event.clone()), "NsZDC");
        assert_eq!(rig.sent(), [sent(100, 10, true), sent(0, 10, true)]);
        let mut rig = Rig::active(v3(100, 10));
        assert_eq!(rig.take(event.clone()), "NZDC");
        assert_eq!(rig.sent(), [sent(0, 10, true)]);
        let mut rig = Rig::active(v2(100));
        assert_eq!(rig.take(event), "NZDC");
        assert_eq!(rig.sent(), [sent(0, 1000, true)]);
    }
}

#[test]
fn a_dead_link_is_not_spoken_to() {
    let mut rig = Rig::active(v3(100, 1000));
    assert_eq!(rig.take(Event::Link(false)), "NDC");
    assert_eq!(rig.take(Event::Shutdown), "C");
    let mut rig = Rig::active(v3(100, 1000));
    assert_eq!(rig.take(Event::Source(None)), "NDC");
}

#[test]
fn demotion_below_a_known_router_hands_over() {
    for (params, kinds, sends) in [
        (v3(100, 1000), "NsZDC", vec![sent(100, 10, true), sent(0, 10, true)]),
        (v2(100), "NZDC", vec![sent(0, 1000, true)]),
    ] {
        let mut rig = active_knowing(params, 2, 95);
        assert_eq!(rig.take(track(-4)), "", "still above");
        let mut again = rig.clone();
        assert_eq!(rig.take(track(-6)), kinds);
        assert_eq!(rig.sent(), sends);
        let cause = Cause::Demoted { own: 94, router: ip(2), priority: 95 };
        assert_eq!((rig.machine.state(), rig.cause()), (State::Backup, Some(&cause)));
        // With the priority advertised last, or it would be discarded.
        again.time_out();
        again.take(track(-6));
        assert_eq!(again.sent()[0].priority, if sends.len() == 2 { 96 } else { 0 });
    }
}

#[test]
fn demotion_to_a_known_routers_level_is_decided_by_address() {
    let mut rig = active_knowing(v3(100, 1000), 2, 95);
    assert_eq!(rig.take(track(-5)), "");
    let mut rig = active_knowing(v3(100, 1000), 9, 95);
    assert_eq!(rig.take(track(-5)), "NsZDC");
}

#[test]
fn demotion_with_nobody_known_keeps_the_addresses() {
    let mut rig = Rig::active(v3(100, 1000));
    assert_eq!(rig.take(track(-99)), "");
    // Nor below one that has given up.
    let mut rig = active_knowing(v3(100, 1000), 2, 95);
    rig.take(advert(2, 0, 1000));
    assert_eq!(rig.take(track(-99)), "");
}

#[test]
fn demotion_below_one_that_has_let_us_be_active_is_none() {
    let mut rig = Rig::backup(v3(100, 1000));
    rig.take(advert(8, 150, 1000));
    rig.take(advert(9, 200, 1000));
    rig.take(advert(9, 0, 1000));
    rig.time_out();
    assert_eq!(rig.take(track(-1)), "");
}

#[test]
fn a_fault_is_more_than_a_demotion() {
    let mut rig = active_knowing(v3(100, 1000), 2, 95);
    let both = Event::Track { weight: -10, failed: Some("`check.sh` fails".to_owned()) };
    assert_eq!(rig.take(both), "NsZDC");
    assert_eq!((rig.machine.state(), rig.machine.next_deadline()), (State::Fault, None));
}

#[test]
fn demoted_and_alone_it_comes_back_and_stays() {
    let mut rig = active_knowing(v3(100, 1000), 2, 95);
    rig.take(track(-6));
    assert_eq!(rig.left(), 1_632_812_500);
    assert_eq!(rig.time_out(), "SLHC");
    assert_eq!(rig.take(track(-7)), "", "nobody is known any more");
    rig.take(track(0));
    assert_eq!(rig.take(track(-6)), "");
}

#[test]
fn demoted_it_follows_whoever_takes_over() {
    let mut rig = active_knowing(v3(100, 1000), 2, 95);
    rig.take(track(-6));
    rig.pass(ms(7));
    rig.take(advert(2, 95, 1000));
    assert_eq!(rig.left(), 3_632_812_500);
    // And comes back by election.
    rig.take(track(0));
    rig.pass(ms(1000));
    rig.take(advert(2, 95, 1000));
    rig.time_out();
    assert_eq!(rig.machine.state(), State::Active);
}

#[test]
fn released_it_stays_out_until_resumed() {
    let mut rig = Rig::active(v3(100, 1000));
    rig.take(Event::Release);
    assert!(rig.machine.released());
    for event in [advert(2, 50, 1000), advert(2, 0, 1000), Event::Link(false), Event::Release] {
        assert_eq!(rig.take(event), "");
    }
    // What happened meanwhile counts.
    assert_eq!(rig.take(Event::Resume), "C");
    assert_eq!(rig.cause(), Some(&Cause::LinkDown));
    assert_eq!(rig.take(Event::Link(true)), "C");
    assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 3_609_375_000));

    let mut rig = Rig::new(v3(255, 1000));
    rig.take(Event::Release);
    assert_eq!(rig.take(Event::Start { lease: None }), "", "released before it was started");
    assert_eq!(rig.take(Event::Resume), "C");
    assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 3_003_906_250));
}

/// From the last packet of one to the first of the other, in both versions: the skew.
#[test]
fn a_backup_of_ours_takes_over_within_10_ms() {
    for make in [v2 as fn(u8) -> Params, |priority| v3(priority, 1000)] {
        let mut old = Rig::active(make(100));
        let mut new = Rig::backup(make(99));
        let hear = |rig: &mut Rig, sends: &[Send]| {
            for send in sends {
                let Send { priority, interval, hand_over } = *send;
                let source = ip(9);
                rig.take(Event::Heard(Heard { source, priority, interval, hand_over }));
            }
        };
        hear(&mut new, &old.sent());
        old.take(Event::Release);
        hear(&mut new, &old.sent());
        assert_eq!(new.left(), 6_132_812);
    }
}
