use super::*;

/// An attempt every 5 ms: `.` is served, `r` refused, `t` times out.
fn attempts(fates: &str) -> Vec<Attempt> {
    let start = Instant::now();
    (0..)
        .zip(fates.chars())
        .map(|(n, fate)| Attempt {
            began: start + Duration::from_millis(5) * n,
            took: Duration::from_millis(u64::from(n)),
            failure: match fate {
                'r' => Some("refused".to_owned()),
                't' => Some("timed out".to_owned()),
                _ => None,
            },
        })
        .collect()
}

#[test]
fn an_outage_lasts_until_all_are_served() {
    let outage = Outage::of(&attempts("...rr.t.r..."));
    assert_eq!(outage.length, Duration::from_millis(6 * 5));
    assert_eq!((outage.attempts, outage.failed, outage.over), (12, 4, true));
    assert_eq!(outage.slowest, Duration::from_millis(11));
    let reasons: Vec<_> = outage.reasons.into_iter().collect();
    assert_eq!(reasons, [("refused".to_owned(), 3), ("timed out".to_owned(), 1)]);
}

#[test]
fn without_a_failure_there_is_none() {
    let outage = Outage::of(&attempts("...."));
    assert_eq!((outage.length, outage.failed, outage.over), (Duration::ZERO, 0, true));
}

#[test]
fn one_that_goes_on_is_not_over() {
    let outage = Outage::of(&attempts(".t.tt"));
    assert_eq!((outage.length, outage.over), (Duration::from_millis(15), false));
    assert!(!Outage::of(&[]).over);
}
