//! Our agent and real keepalived in one virtual router, in both roles: the node wins that would
//! win between two keepalived, and keepalived has nothing to complain of. Needs root.
#![expect(clippy::print_stdout, reason = "measured figures are told, not asserted")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

#[path = "vrrp_keepalived/case.rs"]
mod case;
#[path = "vrrp_keepalived/play.rs"]
mod play;
#[path = "vrrp_keepalived/scene.rs"]
mod scene;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread,
    time::Instant,
};

use case::{Case, cases};
use lb_tests::node::Kind;

/// Labs at a time: they wait most of the time.
const SIDE_BY_SIDE: usize = 8;

/// What the others are held against: who wins between two keepalived.
#[test]
fn two_keepalived_set_the_example() {
    run([Kind::Keepalived, Kind::Keepalived]);
}

#[test]
fn the_agent_above_keepalived_does_as_keepalived_would() {
    run([Kind::Agent, Kind::Keepalived]);
}

#[test]
fn the_agent_below_keepalived_does_as_keepalived_would() {
    run([Kind::Keepalived, Kind::Agent]);
}

/// Plays every case with these nodes, the one of higher priority first.
fn run(kinds: [Kind; 2]) {
    // Those that wait for seconds first, so that no worker ends long after the others.
    let mut cases = cases();
    cases.sort_by_key(|case| case.interval);
    let queue: Mutex<VecDeque<Case>> = Mutex::new(cases.into_iter().rev().collect());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    // A statement of its own: the lock is not held while the case is played.
                    let next = queue.lock().unwrap().pop_front();
                    let Some(case) = next else { return };
                    let began = Instant::now();
                    let outcome = catch_unwind(AssertUnwindSafe(|| play::play(&case, kinds)));
                    let outcome = outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")));
                    let verdict = if outcome.is_ok() { "well" } else { "FAILED" };
                    println!("{kinds:?} {case}: {verdict} after {:.1?}", began.elapsed());
                    if let Err(error) = outcome {
                        failures.lock().unwrap().push(format!("{case}: {error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{kinds:?}\n{}", failures.join("\n"));
}
