use super::*;

fn claim(vip: u8, mac: u8) -> Claim {
    Claim { address: IpAddr::from([10, 0, 0, vip]), mac: MacAddr([2, 0, 0, 0, 0, mac]) }
}

fn at(millis: u64) -> Time {
    Time::from_nanos((100_000 + millis) * 1_000_000)
}

#[test]
fn first_at_once_then_every_ten_seconds_with_a_count() {
    let mut rivals = Rivals::default();
    assert_eq!(rivals.hear(claim(1, 1), at(0)), Response { report: Some(1), contradict: true });
    assert_eq!(rivals.hear(claim(1, 1), at(10)), Response { report: None, contradict: false });
    assert_eq!(rivals.hear(claim(1, 1), at(9_999)).report, None);
    assert_eq!(rivals.hear(claim(1, 1), at(10_000)).report, Some(3));
    assert_eq!(rivals.hear(claim(1, 1), at(30_000)).report, Some(1));
}

#[test]
fn each_address_and_each_rival_is_reported() {
    let mut rivals = Rivals::default();
    for one in [claim(1, 1), claim(1, 2), claim(2, 1)] {
        assert_eq!(rivals.hear(one, at(0)).report, Some(1), "{one:?}");
    }
}

#[test]
fn contradicted_once_a_second_whoever_claims() {
    let mut rivals = Rivals::default();
    assert!(rivals.hear(claim(1, 1), at(0)).contradict);
    assert!(!rivals.hear(claim(1, 2), at(999)).contradict);
    assert!(rivals.hear(claim(2, 1), at(999)).contradict);
    assert!(rivals.hear(claim(1, 2), at(1000)).contradict);
}

#[test]
fn a_vip_that_is_held_anew_begins_anew() {
    let mut rivals = Rivals::default();
    rivals.hear(claim(1, 1), at(0));
    rivals.hear(claim(2, 1), at(0));
    rivals.forget(claim(1, 1).address);
    assert_eq!(rivals.hear(claim(1, 1), at(1)), Response { report: Some(1), contradict: true });
    assert_eq!(rivals.hear(claim(2, 1), at(1)), Response { report: None, contradict: false });
}

#[test]
fn made_up_rivals_do_not_fill_the_memory() {
    let mut rivals = Rivals::default();
    for n in 0..=255 {
        rivals.hear(claim(1, n), at(u64::from(n)));
    }
    assert_eq!(rivals.heard.len(), MOST);
    assert_eq!(rivals.hear(claim(1, 255), at(300)).report, None);
}

#[test]
fn our_own_frames_are_not_foreign() {
    let own = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];
    assert!(!is_foreign(claim(1, 2), own));
    assert!(is_foreign(claim(1, 3), own));
}
