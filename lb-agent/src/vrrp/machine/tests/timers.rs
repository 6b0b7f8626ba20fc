//! Spans, to the nanosecond; the numbers were worked out by hand.

use super::*;

/// Active_Down_Interval of a fresh backup.
fn down(params: Params) -> u128 {
    Rig::backup(params).left()
}

#[test]
fn version_2_skews_by_a_part_of_a_second() {
    assert_eq!(down(v2(101)), 3_605_468_750);
    assert_eq!(down(v2(100)), 3_609_375_000);
    assert_eq!(down(v2(254)), 3_007_812_500);
    assert_eq!(down(v2(1)), 3_996_093_750);
    // 3 × 5 s, and the same skew.
    assert_eq!(down(params(Version::V2, 100, ms(5000))), 15_609_375_000);
}

#[test]
fn version_3_skews_by_a_part_of_the_interval() {
    assert_eq!(down(v3(101, 1000)), 3_605_468_750);
    assert_eq!(down(v3(100, 100)), 360_937_500);
    assert_eq!(down(v3(100, 10)), 36_093_750);
    // 9 960 937.5 ns of skew, rounded down.
    assert_eq!(down(v3(1, 10)), 39_960_937);
    // 122 850 ms, and 255 × 40 950 / 256 ms.
    assert_eq!(down(v3(1, 40_950)), 163_640_039_062);
}

#[test]
fn the_learned_interval_counts() {
    let mut rig = Rig::backup(v3(100, 1000));
    rig.take(advert(9, 200, 3000));
    // 9 s + 156 / 256 × 3 s
    assert_eq!(rig.left(), 10_828_125_000);
    rig.take(advert(9, 0, 3000));
    assert_eq!(rig.left(), 1_828_125_000);
    // A router of version 2 does not learn, whatever it is told.
    let mut rig = Rig::backup(v2(100));
    rig.take(advert(9, 200, 3000));
    assert_eq!(rig.left(), 3_609_375_000);
    rig.take(advert(9, 0, 3000));
    assert_eq!(rig.left(), 609_375_000);
}

#[test]
fn an_interval_of_nothing_is_taken_for_the_shortest() {
    let mut rig = Rig::backup(v3(100, 1000));
    rig.take(advert(9, 200, 0));
    assert_eq!(rig.left(), 36_093_750);
}

#[test]
fn weights_move_the_skew_and_keep_the_beginning() {
    let mut rig = Rig::backup(v3(100, 1000));
    rig.pass(ms(600));
    rig.take(track(1));
    assert_eq!(rig.left(), 3_605_468_750 - 600_000_000);
    rig.take(track(-500));
    assert_eq!(rig.machine.effective_priority(), 1);
    assert_eq!(rig.left(), 3_996_093_750 - 600_000_000);
    rig.take(track(500));
    assert_eq!(rig.machine.effective_priority(), 254);
    assert_eq!(rig.left(), 3_007_812_500 - 600_000_000);
    // After priority 0 it is the skew alone that moves (keepalived adds three intervals here).
    rig.take(advert(9, 0, 1000));
    assert_eq!(rig.left(), 7_812_500);
    rig.take(track(0));
    assert_eq!(rig.left(), 609_375_000);
}

#[test]
fn recovery_with_another_weight_waits_the_whole_interval() {
    let mut rig = Rig::backup(v3(100, 1000));
    rig.take(failed());
    rig.take(track(1));
    assert_eq!(rig.left(), 3_605_468_750);
}

#[test]
fn adverts_do_not_drift() {
    let mut rig = Rig::active(v3(100, 100));
    let first = rig.now;
    for _ in 0..10 {
        rig.now = rig.machine.next_deadline().unwrap() + ms(7);
        rig.expire();
    }
    assert_eq!(rig.machine.next_deadline(), Some(first + ms(1100)));
    // A whole interval missed: counted anew.
    rig.pass(ms(193));
    rig.expire();
    assert_eq!(rig.left(), 100_000_000);
}

#[test]
fn the_lease_is_three_intervals_from_the_decision() {
    let mut rig = Rig::active(v3(100, 100));
    assert_eq!(rig.out[1], Action::Lease(Some(rig.now + ms(300))));
    rig.pass(ms(130));
    rig.expire();
    assert_eq!(rig.out[1], Action::Lease(Some(rig.now + ms(300))));
    assert_eq!(rig.machine.lease(), Some(rig.now + ms(300)));
}

#[test]
fn a_hand_over_needs_a_part_of_10_ms() {
    for params in [v2(100), v3(100, 1000)] {
        let mut rig = Rig::backup(params);
        rig.take(advert(9, 200, 1000));
        rig.take(hand_over(9));
        assert_eq!(rig.left(), 6_093_750);
        rig.take(track(54));
        assert_eq!(rig.left(), 3_984_375);
    }
}

#[test]
fn a_hand_over_gives_way_to_a_third_that_is_higher() {
    for params in [v2(100), v3(100, 1000)] {
        let mut rig = Rig::backup(params);
        rig.take(advert(8, 150, 1000));
        rig.take(advert(9, 200, 1000));
        rig.take(advert(9, 200, 10));
        rig.take(hand_over(9));
        assert_eq!(rig.left(), 609_375_000);
        // Of equal priority does not matter, and whoever has given up is not known.
        rig.take(advert(8, 0, 1000));
        rig.take(advert(7, 100, 1000));
        rig.take(hand_over(9));
        assert_eq!(rig.left(), 6_093_750);
    }
}

#[test]
fn demoted_it_waits_an_interval_and_its_skew() {
    for (params, wait) in
        [(v3(100, 100), 164_453_125), (params(Version::V2, 100, ms(3000)), 1_644_531_250)]
    {
        let mut rig = Rig::backup(params);
        rig.take(advert(2, 95, 100));
        rig.time_out();
        rig.take(track(-9));
        assert_eq!(rig.machine.state(), State::Backup);
        // 256 - 91 = 165 parts
        assert_eq!(rig.left(), wait);
    }
}
