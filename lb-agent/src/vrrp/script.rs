//! Runs the tracked scripts: each at its interval, one run at a time, and every result reported.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    config::vrrp::{Script, Tracked, Vrrp},
    process::{Program, Unfinished},
};

#[cfg(test)]
mod tests;

/// What one run of a script gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptReport {
    /// Name of the instance.
    pub instance: String,
    /// Number of the track within it, from 0.
    pub track: usize,
    /// Whether it exited with 0. What could not be run has failed.
    pub passed: bool,
    /// For people: `exit status 1: no quorum`, `still running after 1s`.
    pub reason: String,
}

/// The running scripts of all instances. Dropped, it stops them, and kills what runs.
#[derive(Debug)]
pub struct Scripts {
    _tasks: JoinSet<()>,
}

impl Scripts {
    /// Runs each script at once and then at its interval, until dropped or until the receiver of
    /// `reports` is gone. After a reload the numbers of tracks may mean others: give the new ones a
    /// channel of their own.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(routers: &[Vrrp], reports: &mpsc::Sender<ScriptReport>) -> Self {
        let mut tasks = JoinSet::new();
        for router in routers {
            for (track, tracked) in router.tracks.iter().enumerate() {
                if let Tracked::Script(script) = &tracked.what {
                    let runner =
                        Runner { instance: router.name.clone(), track, script: script.clone() };
                    tasks.spawn(runner.run(reports.clone()));
                }
            }
        }
        Self { _tasks: tasks }
    }
}

struct Runner {
    instance: String,
    track: usize,
    script: Script,
}

impl Runner {
    /// Intervals count from the planned start, so late wake-ups do not add up; a run that takes
    /// longer than the interval is followed by the next at once.
    async fn run(self, reports: mpsc::Sender<ScriptReport>) {
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                () = reports.closed() => return,
            }
            let (passed, reason) = tokio::select! {
                outcome = self.outcome() => outcome,
                () = reports.closed() => return,
            };
            let (instance, track) = (self.instance.clone(), self.track);
            if reports.send(ScriptReport { instance, track, passed, reason }).await.is_err() {
                return;
            }
            due = (due + self.script.interval).max(Instant::now());
        }
    }

    async fn outcome(&self) -> (bool, String) {
        let Script { command, user, timeout, .. } = &self.script;
        let deadline = std::time::Instant::now() + *timeout;
        // Looked up for each run: the user may have gone, or have come back.
        let (words, user) = (command.clone(), user.clone());
        let environment = [("LB_VRRP_INSTANCE", self.instance.clone().into())];
        let prepared =
            tokio::task::spawn_blocking(move || Program::new(&words, &user, environment));
        let program = match tokio::time::timeout_at(deadline.into(), prepared).await {
            Ok(Ok(Ok(program))) => program,
            Ok(Ok(Err(error))) => return (false, error.to_string()),
            Ok(Err(panicked)) => return (false, panicked.to_string()),
            Err(_elapsed) => return (false, still_running(*timeout)),
        };
        match program.run(deadline).await {
            Ok(ending) => (ending.success(), ending.to_string()),
            Err(Unfinished::TooLong) => (false, still_running(*timeout)),
            Err(error) => (false, error.to_string()),
        }
    }
}

fn still_running(timeout: Duration) -> String {
    format!("still running after {timeout:?}")
}
