//! One test for each thing that a router MUST do in the states of RFC 9568 (§6.4.2 and §6.4.3 put
//! all of theirs under one MUST), as far as it is the machine's.
//!
//! | section | what | test |
//! |---|---|---|
//! | 5.2.4 | priority 255 is the owner's, 1..=254 the others' | `only_an_owner_has_255` |
//! | 6.1 | skew and down interval | `timers.rs` |
//! | 6.1 | an owner pre-empts whatever `Preempt_Mode` is | `an_owner_preempts` |
//! | 6.4.1 | startup: owner → advertisement, Active | `startup_of_the_owner` |
//! | 6.4.1 | startup: else the configured interval, Backup | `startup_of_the_others` |
//! | 6.4.2 | Backup: no answer to ARP and neighbour solicitations | `backup_claims_nothing` |
//! | 6.4.2 | Backup: shutdown → timer off, Init | `shutdown_in_backup` |
//! | 6.4.2 | Backup: timer → advertisement, claim, Active | `active_down` |
//! | 6.4.2 | Backup: priority 0 → skew | `priority_0_in_backup` |
//! | 6.4.2 | Backup: not lower, or no pre-emption → learn, reset | `accepted_in_backup` |
//! | 6.4.2 | Backup: else discard | `discarded_in_backup` |
//! | 6.4.3 | Active: answer to ARP and neighbour solicitations | `active_claims` |
//! | 6.4.3 | Active: shutdown → timer off, priority 0, Init | `shutdown_in_active` |
//! | 6.4.3 | Active: timer → advertisement, timer reset | `advert_timer` |
//! | 6.4.3 | Active: priority 0 → advertisement, timer reset | `priority_0_in_active` |
//! | 6.4.3 | Active: greater, or equal and higher address → Backup | `yields_in_active` |
//! | 6.4.3 | Active: else advertise at once, timer kept | `asserts_in_active` |
//! | 3768 6.4.2, 6.4.3 | version 2: the same but for learning | the same, in both versions |
//!
//! RFC 3768 §6.4.3 lets an active router of version 2 discard a lower advertisement silently; we
//! answer, as keepalived does.

use super::*;

fn both(priority: u8) -> [Params; 2] {
    [v2(priority), v3(priority, 1000)]
}

#[test]
fn only_an_owner_has_255() {
    for params in both(254) {
        let mut rig = Rig::backup(params);
        rig.take(track(253));
        assert_eq!(rig.machine.effective_priority(), 254);
        rig.take(track(-400));
        assert_eq!(rig.machine.effective_priority(), 1);
    }
    let mut rig = Rig::backup(v3(255, 1000));
    rig.take(track(-253));
    assert_eq!(rig.machine.effective_priority(), 255);
}

#[test]
fn an_owner_preempts() {
    let mut rig = Rig::new(Params { preempt: false, preempt_delay: ms(5000), ..v3(255, 1000) });
    rig.take(Event::Link(false));
    rig.take(Event::Start { lease: None });
    rig.take(Event::Link(true));
    assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 3_003_906_250));
    rig.pass(ms(3000));
    rig.take(advert(9, 254, 1000));
    assert_eq!(rig.left(), 3_906_250);
}

#[test]
fn startup_of_the_owner() {
    for params in both(255) {
        let mut rig = Rig::new(params);
        assert_eq!(rig.take(Event::Start { lease: None }), "SLHC");
        assert_eq!(rig.sent(), [Send { priority: 255, interval: ms(1000), hand_over: false }]);
        assert_eq!((rig.machine.state(), rig.left()), (State::Active, 1_000_000_000));
        assert_eq!(rig.cause(), Some(&Cause::Owner));
    }
}

#[test]
fn startup_of_the_others() {
    for params in both(254) {
        let mut rig = Rig::new(params);
        assert_eq!(rig.take(Event::Start { lease: None }), "C");
        assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 3_007_812_500));
    }
}

#[test]
fn backup_claims_nothing() {
    for params in both(100) {
        let mut rig = Rig::active(params);
        assert_eq!(rig.take(advert(9, 101, 1000)), "NDC");
        assert_eq!(rig.machine.lease(), None);
    }
}

#[test]
fn shutdown_in_backup() {
    for params in both(100) {
        let mut rig = Rig::backup(params);
        assert_eq!(rig.take(Event::Shutdown), "C");
        assert_eq!((rig.machine.state(), rig.machine.next_deadline()), (State::Init, None));
    }
}

#[test]
fn active_down() {
    for params in both(100) {
        let mut rig = Rig::backup(params);
        assert_eq!(rig.time_out(), "SLHC");
        assert_eq!(rig.sent(), [Send { priority: 100, interval: ms(1000), hand_over: false }]);
        assert_eq!((rig.machine.state(), rig.left()), (State::Active, 1_000_000_000));
        assert_eq!(rig.cause(), Some(&Cause::ActiveDown(Duration::from_nanos(3_609_375_000))));
    }
}

#[test]
fn priority_0_in_backup() {
    for params in both(100) {
        let mut rig = Rig::backup(params);
        rig.take(advert(9, 0, 1000));
        assert_eq!(rig.left(), 609_375_000);
        rig.time_out();
        assert_eq!(rig.cause(), Some(&Cause::GivenUp(ip(9))));
    }
}

#[test]
fn accepted_in_backup() {
    for (preempt, priority) in [(true, 100), (true, 101), (false, 1)] {
        let mut rig = Rig::backup(Params { preempt, ..v3(100, 1000) });
        rig.pass(ms(500));
        assert_eq!(rig.take(advert(9, priority, 2000)), "");
        assert_eq!(rig.left(), 7_218_750_000, "{preempt} {priority}");
        let mut rig = Rig::backup(Params { preempt, ..v2(100) });
        rig.pass(ms(500));
        rig.take(advert(9, priority, 1000));
        assert_eq!(rig.left(), 3_609_375_000, "{preempt} {priority}");
        let leader = rig.machine.active_router().unwrap();
        assert_eq!((leader.source, leader.priority, leader.heard), (ip(9), priority, rig.now));
    }
}

#[test]
fn discarded_in_backup() {
    for params in both(100) {
        let mut rig = Rig::backup(params);
        rig.pass(ms(500));
        assert_eq!(rig.take(advert(9, 99, 2000)), "");
        assert_eq!(rig.left(), 3_109_375_000);
        rig.take(advert(9, 0, 2000));
        assert_eq!(rig.left(), 609_375_000, "nothing was learned");
    }
}

#[test]
fn active_claims() {
    for params in both(100) {
        let mut rig = Rig::active(params);
        for _ in 0..100 {
            let lease = rig.machine.lease().unwrap();
            rig.time_out();
            assert!(rig.now < lease, "no gap between two leases");
        }
    }
}

#[test]
fn shutdown_in_active() {
    let mut rig = Rig::active(v2(100));
    assert_eq!(rig.take(Event::Shutdown), "NZDC");
    assert_eq!((rig.machine.state(), rig.machine.next_deadline()), (State::Init, None));
    let mut rig = Rig::active(v3(100, 10));
    assert_eq!(rig.take(Event::Shutdown), "NZDC");
    // For good.
    for event in [Event::Start { lease: None }, Event::Resume, Event::Link(true)] {
        assert_eq!(rig.take(event), "");
    }
}

#[test]
fn advert_timer() {
    for params in both(100) {
        let mut rig = Rig::active(params);
        assert_eq!(rig.time_out(), "SL");
        assert_eq!(rig.left(), 1_000_000_000);
    }
}

#[test]
fn priority_0_in_active() {
    for params in both(100) {
        let mut rig = Rig::active(params);
        rig.pass(ms(400));
        assert_eq!(rig.take(advert(9, 0, 1000)), "SL");
        assert_eq!(rig.left(), 1_000_000_000);
    }
}

#[test]
fn yields_in_active() {
    for (from, priority) in [(2, 101), (9, 101), (OWN + 1, 100)] {
        let mut rig = Rig::active(v3(100, 1000));
        assert_eq!(rig.take(advert(from, priority, 2000)), "NDC");
        assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 7_218_750_000));
        assert_eq!(rig.cause(), Some(&Cause::Outranked { router: ip(from), priority }));
        let mut rig = Rig::active(v2(100));
        rig.take(advert(from, priority, 1000));
        assert_eq!((rig.machine.state(), rig.left()), (State::Backup, 3_609_375_000));
    }
    // As unsigned numbers, for both families.
    for (own, other) in [("10.0.0.5", "200.0.0.1"), ("fe80::5", "fe80::8000:0:0:1")] {
        let mut rig = Rig::active(v3(100, 1000));
        let (own, source) = (own.parse().unwrap(), other.parse().unwrap());
        rig.take(Event::Source(Some(own)));
        let heard = Heard { source, priority: 100, interval: ms(1000), hand_over: false };
        assert_eq!(rig.take(Event::Heard(heard)), "NDC");
    }
}

#[test]
fn asserts_in_active() {
    for params in both(100) {
        for (from, priority) in [(9, 99), (OWN - 1, 100)] {
            let mut rig = Rig::active(params.clone());
            rig.pass(ms(400));
            assert_eq!(rig.take(advert(from, priority, 2000)), "SLA");
            assert_eq!(rig.sent()[0].priority, 100);
            assert_eq!(rig.left(), 600_000_000, "the timer is kept");
            // A flood of them is answered, but not announced.
            rig.pass(ms(1));
            assert_eq!(rig.take(advert(from, priority, 2000)), "SL");
            rig.pass(ms(599));
            rig.expire();
            rig.pass(ms(400));
            assert_eq!(rig.take(advert(from, priority, 2000)), "SLA");
        }
    }
}
