//! Behaviour that takes several steps.

use super::*;

#[test]
fn without_link_or_address_it_starts_in_fault() {
    let mut rig = Rig::new(v3(255, 1000));
    rig.take(Event::Link(false));
    rig.take(Event::Source(None));
    let lease = Some(rig.now + ms(500));
    assert_eq!(rig.take(Event::Start { lease }), "C");
    assert_eq!((rig.machine.state(), rig.cause()), (State::Fault, Some(&Cause::LinkDown)));
    assert_eq!(rig.take(Event::Link(true)), "");
    assert_eq!(rig.machine.fault(), Some(Cause::NoSource));
    assert_eq!(rig.take(Event::Source(Some(ip(OWN)))), "C");
    assert_eq!(rig.cause(), Some(&Cause::Recovered));
    assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 3_003_906_250));
}

#[test]
fn a_restart_within_the_lease_goes_on() {
    let mut rig = Rig::new(v3(100, 1000));
    let lease = Some(rig.now + Duration::from_nanos(1));
    assert_eq!(rig.take(Event::Start { lease }), "SLHC");
    assert_eq!(rig.cause(), Some(&Cause::Resumed));
    let mut rig = Rig::new(v3(100, 1000));
    assert_eq!(rig.take(Event::Start { lease: Some(rig.now) }), "C");
    assert_eq!(rig.machine.state(), State::Backup);
}

#[test]
fn its_own_interval_is_back_when_it_is_active() {
    let mut rig = Rig::backup(v3(100, 1000));
    rig.take(advert(9, 200, 10));
    assert_eq!(rig.left(), 36_093_750);
    rig.time_out();
    assert_eq!(rig.sent()[0].interval, ms(1000));
    assert_eq!(rig.left(), 1_000_000_000);
    assert_eq!(rig.machine.lease(), Some(rig.now + ms(3000)));
    // Also after that, as backup of nobody.
    rig.take(Event::Link(false));
    rig.take(Event::Link(true));
    assert_eq!(rig.left(), 3_609_375_000);
}

#[test]
fn no_preemption_but_after_a_death() {
    let mut rig = Rig::backup(Params { preempt: false, ..v3(200, 1000) });
    for _ in 0..10 {
        rig.pass(ms(1000));
        rig.take(advert(9, 100, 1000));
        assert_eq!(rig.expire(), "");
    }
    assert_eq!(rig.left(), 3_218_750_000);
    // A hand-over is no pre-emption.
    rig.take(hand_over(9));
    assert_eq!(rig.left(), 2_187_500);
}

#[test]
fn the_preempt_delay_runs_from_the_first_lower_advert() {
    let mut rig = Rig::backup(Params { preempt_delay: ms(2500), ..v3(200, 1000) });
    rig.pass(ms(3000));
    for _ in 0..3 {
        rig.take(advert(9, 100, 1000));
        assert_eq!(rig.left(), 3_218_750_000);
        rig.pass(ms(1000));
    }
    // 3 s after the first one: the timer runs on from the last that was accepted.
    rig.take(advert(9, 100, 1000));
    assert_eq!(rig.left(), 2_218_750_000);
    rig.time_out();
    assert_eq!(rig.machine.state(), State::Active);
}

#[test]
fn the_preempt_delay_starts_anew() {
    let with_delay = Params { preempt_delay: ms(500), ..v3(150, 1000) };
    // After a better router.
    let mut rig = Rig::backup(with_delay.clone());
    rig.take(advert(9, 100, 1000));
    rig.take(advert(8, 200, 1000));
    rig.pass(ms(600));
    rig.take(advert(9, 100, 1000));
    assert_eq!(rig.left(), 3_414_062_500, "accepted");
    // After the lower one has died, and we were active in between.
    let mut rig = Rig::backup(with_delay);
    rig.take(advert(9, 100, 1000));
    rig.time_out();
    rig.take(advert(8, 200, 1000));
    rig.pass(ms(600));
    rig.take(advert(9, 100, 1000));
    assert_eq!(rig.left(), 3_414_062_500, "accepted");
}

#[test]
fn two_owners_are_parted_by_their_addresses() {
    let mut rig = Rig::active(v3(255, 1000));
    assert_eq!(rig.take(advert(2, 255, 1000)), "SLA");
    assert_eq!(rig.take(advert(9, 255, 1000)), "NDC");
}

#[test]
fn a_new_configuration_keeps_the_role() {
    let mut rig = Rig::active(v3(100, 1000));
    rig.pass(ms(300));
    assert_eq!(rig.take(Event::Reconfigure(v3(90, 100))), "SL");
    assert_eq!(rig.sent(), [Send { priority: 90, interval: ms(100), hand_over: false }]);
    assert_eq!(rig.left(), 100_000_000);
    assert_eq!(rig.machine.lease(), Some(rig.now + ms(300)));

    let mut rig = Rig::backup(v3(100, 1000));
    rig.pass(ms(300));
    rig.take(Event::Reconfigure(Params { preempt: false, ..v3(100, 1000) }));
    assert_eq!(rig.left(), 3_309_375_000, "the timer would be the same");
    rig.take(Event::Reconfigure(v3(100, 100)));
    assert_eq!(rig.left(), 360_937_500);
    // The active router's interval, not ours.
    rig.take(advert(9, 200, 500));
    rig.take(Event::Reconfigure(v3(50, 100)));
    assert_eq!(rig.left(), 1_902_343_750);
    // What version 3 has learned is nothing to version 2.
    rig.take(Event::Reconfigure(v2(50)));
    assert_eq!(rig.left(), 3_804_687_500);
}

#[test]
fn peers_are_known_until_they_give_up() {
    let mut rig = Rig::new(v3(100, 1000));
    rig.take(advert(9, 200, 1000));
    assert_eq!(rig.machine.peers().count(), 0, "before the start nothing is heard");
    rig.take(Event::Start { lease: None });
    for from in 20..60 {
        rig.pass(ms(1));
        rig.take(advert(from, 50, 1000));
    }
    assert_eq!(rig.machine.peers().count(), 16, "a forger cannot fill the memory");
    assert!(rig.machine.peers().all(|peer| peer.source >= ip(44)));
    rig.take(advert(59, 0, 1000));
    assert!(rig.machine.peers().all(|peer| peer.source != ip(59)));
    rig.take(Event::Release);
    rig.take(advert(9, 200, 1000));
    assert!(rig.machine.peers().any(|peer| peer.source == ip(9)), "also while released");
}
