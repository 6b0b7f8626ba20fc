//! The loop of one backend's checks.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use super::{
    Report, Target,
    probe::Prober,
    tracker::{State, Tracker},
};
use crate::config::Check;

#[cfg(test)]
mod tests;

/// First checks are spread over at most this, so that a start is quick whatever the interval.
const SPREAD: Duration = Duration::from_millis(500);

/// When a backend is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From one check's start to the next one's, while the backend is up and settled.
    pub interval: Duration,
    /// The same, while its state is unknown or changing.
    pub fast_interval: Duration,
    /// The same, while it is down and settled.
    pub down_interval: Duration,
    /// Passes in a row that end a change to up.
    pub rise: u32,
    /// Failures in a row that end a change to down.
    pub fall: u32,
}

impl From<&Check> for Schedule {
    fn from(check: &Check) -> Self {
        let &Check { interval, fast_interval, down_interval, rise, fall, .. } = check;
        Self { interval, fast_interval, down_interval, rise, fall }
    }
}

impl Schedule {
    /// Until the check after one that left the tracker so.
    fn wait(&self, tracker: &Tracker) -> Duration {
        match (tracker.state(), tracker.settled()) {
            (State::Unknown, _) | (_, false) => self.fast_interval,
            (State::Up, true) => self.interval,
            (State::Down, true) => self.down_interval,
        }
    }

    /// Until the first check: the same for a target at every start, different among targets.
    fn first_wait(&self, target: &Target) -> Duration {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let share = hasher.finish() as u32;
        SPREAD.min(self.interval).mul_f64(f64::from(share) / (f64::from(u32::MAX) + 1.0))
    }
}

/// Checks `target` until the receiver of `reports` is gone, or the task is aborted, which is safe
/// at any time. Each notification of `check_now` brings the next check forward, once.
///
/// Checks of a backend never overlap; one that takes longer than the interval is followed by the
/// next at once. Intervals count from the planned start, so late wake-ups do not add up.
pub async fn run(
    target: Target,
    mut prober: Prober,
    schedule: Schedule,
    reports: mpsc::Sender<Report>,
    check_now: Arc<Notify>,
) {
    let mut tracker = Tracker::new(schedule.rise, schedule.fall);
    let mut due = Instant::now() + schedule.first_wait(&target);
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = check_now.notified() => due = Instant::now(),
            () = reports.closed() => return,
        }
        let outcome = tokio::select! {
            outcome = prober.probe() => outcome,
            () = reports.closed() => return,
        };
        // The agent's own tracker decides and announces; this one only chooses the interval.
        let _transition = tracker.observe(outcome.passed);
        if reports.send(Report { target: target.clone(), outcome }).await.is_err() {
            return;
        }
        due = (due + schedule.wait(&tracker)).max(Instant::now());
    }
}
