use super::*;

fn second(n: u64) -> Time {
    Time::from_nanos(n * 1_000_000_000)
}

#[test]
fn so_many_in_any_span() {
    let mut limit = Limit::new(3, Duration::from_secs(10));
    assert_eq!(limit.next(), Time::default());
    assert!(limit.take(second(100)) && limit.take(second(101)) && limit.take(second(102)));
    assert_eq!(limit.next(), second(110));
    assert!(!limit.take(second(109)));
    assert!(limit.take(second(110)));
    assert!(!limit.take(second(110)));
    assert!(limit.take(second(111)));
}

#[test]
fn a_refusal_does_not_count() {
    let mut limit = Limit::new(1, Duration::from_secs(1));
    assert!(limit.take(second(1)));
    assert!(!limit.take(Time::from_nanos(1_999_999_999)));
    assert!(limit.take(second(2)));
}
