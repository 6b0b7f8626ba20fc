use proptest::prelude::*;

use super::{State, Tracker, Transition};

/// Feeds `+` (passed) and `-` (failed); returns the state after each as `?`, `U`, `D`, lower case
/// while a change is in progress.
fn trace(rise: u32, fall: u32, outcomes: &str) -> String {
    let mut tracker = Tracker::new(rise, fall);
    outcomes
        .chars()
        .map(|outcome| {
            let before = tracker.state();
            let transition = tracker.observe(outcome == '+');
            assert_eq!(transition.is_some(), before != tracker.state(), "in {outcomes}");
            match (tracker.state(), tracker.settled()) {
                (State::Unknown, false) => '?',
                (State::Up, true) => 'U',
                (State::Up, false) => 'u',
                (State::Down, true) => 'D',
                (State::Down, false) => 'd',
                (State::Unknown, true) => panic!("unknown is never settled"),
            }
        })
        .collect()
}

#[test]
fn every_state_meets_every_outcome() {
    for (rise, fall, outcomes, states) in [
        (2, 3, "+", "U"),
        (2, 3, "-", "?"),
        (2, 3, "-+", "?U"),
        (2, 3, "---", "??D"),
        (2, 3, "+--+--", "UuuUuu"),
        (2, 3, "+---", "UuuD"),
        (2, 3, "---+-+-", "??DdDdD"),
        (2, 3, "---++", "??DdU"),
        (2, 3, "----++", "??DDdU"),
        (1, 1, "-+-+", "DUDU"),
        (0, 0, "-+-+", "DUDU"),
        (100, 1, "+-+", "UDd"),
    ] {
        assert_eq!(trace(rise, fall, outcomes), states, "rise {rise}, fall {fall}: {outcomes}");
    }
}

#[test]
fn a_new_tracker_is_unknown_and_unsettled() {
    let tracker = Tracker::new(2, 3);
    assert_eq!((tracker.state(), tracker.settled()), (State::Unknown, false));
}

/// The same contract stated over the whole history instead of a counter.
fn by_history(rise: u32, fall: u32, history: &[bool]) -> State {
    let mut state = State::Unknown;
    let mut since = 0;
    for end in 1..=history.len() {
        let row = |wanted: bool| {
            history[since..end].iter().rev().take_while(|&&passed| passed == wanted).count()
        };
        let next = match state {
            State::Unknown if history[end - 1] => State::Up,
            State::Unknown | State::Up if row(false) >= fall as usize => State::Down,
            State::Down if row(true) >= rise as usize => State::Up,
            same => same,
        };
        if next != state {
            (state, since) = (next, end);
        }
    }
    state
}

proptest! {
    #[test]
    fn agrees_with_the_history(
        rise in 1u32..=5,
        fall in 1u32..=5,
        history in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let mut tracker = Tracker::new(rise, fall);
        for (index, &passed) in history.iter().enumerate() {
            let before = tracker.state();
            let transition = tracker.observe(passed);
            let after = by_history(rise, fall, &history[..=index]);
            prop_assert_eq!(tracker.state(), after);
            prop_assert_eq!(transition, match (before, after) {
                (State::Up, State::Down) | (State::Unknown, State::Down) => Some(Transition::Down),
                (State::Down, State::Up) | (State::Unknown, State::Up) => Some(Transition::Up),
                _ => None,
            });
            prop_assert_eq!(
                tracker.settled(),
                after == if passed { State::Up } else { State::Down }
            );
        }
    }
}
