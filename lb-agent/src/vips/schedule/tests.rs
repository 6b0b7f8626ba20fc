use super::*;

const START: Time = Time::from_nanos(7_000_000_000);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// Every round of a schedule that is served in time, in milliseconds.
fn rounds(until: u64) -> Vec<u64> {
    let mut schedule = Schedule::begin(START);
    let mut sent = Vec::new();
    while schedule.due() <= at(until) {
        let now = schedule.due();
        assert!(schedule.take(now));
        sent.push(u64::try_from(now.since(START).as_millis()).expect("small"));
    }
    sent
}

#[test]
fn twice_at_once_then_spaced_then_every_minute() {
    assert_eq!(rounds(130_000), [0, 0, 100, 1100, 2200, 5000, 65_000, 125_000]);
}

#[test]
fn nothing_before_it_is_due() {
    let mut schedule = Schedule::begin(START);
    assert!(schedule.take(at(0)) && schedule.take(at(0)));
    assert!(!schedule.take(at(99)));
    assert!(schedule.take(at(100)));
}

#[test]
fn a_late_round_stands_for_those_it_has_met() {
    let mut schedule = Schedule::begin(START);
    assert!(schedule.take(at(0)) && schedule.take(at(0)));
    assert!(schedule.take(at(1500)));
    assert!(!schedule.take(at(2199)));
    assert!(schedule.take(at(9000)));
    assert!(!schedule.take(at(68_999)));
    assert_eq!(schedule.due(), at(69_000));
}
