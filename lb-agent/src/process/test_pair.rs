//! Processes for the tests of whoever runs commands, and how to see them go.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::{Uid, User};
use tempfile::TempDir;

/// Waits for `condition`, for as long as a busy machine may take.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < patience, "{what}: still not so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The user that the tests run as.
pub(crate) fn own_name() -> String {
    User::from_uid(Uid::effective()).unwrap().unwrap().name
}

/// Not there, or dead and waiting for a parent that is not ours.
pub(crate) fn gone(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_missing) => true,
    }
}

/// A shell and its child, both waiting for ever; their process ids are in a file once both run.
pub(crate) struct Pair {
    dir: TempDir,
    /// For `/bin/sh -c`.
    pub(crate) script: String,
}

impl Pair {
    /// Does not start them.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().display();
        // Renamed into place, so that whoever sees the file sees all of it.
        let script =
            format!("sleep 600 & echo $$ $! > {file}/new; mv {file}/new {file}/pids; wait");
        Self { dir, script }
    }

    /// Holds both numbers once both run.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("pids")
    }

    /// Waits until both run.
    pub(crate) async fn running(&self) -> [i32; 2] {
        eventually("both run", || self.file().exists()).await;
        pids(&self.file())
    }
}

/// The two numbers in a file.
pub(crate) fn pids(file: &Path) -> [i32; 2] {
    let text = fs::read_to_string(file).unwrap();
    let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    pids.try_into().unwrap()
}

/// Waits until neither runs.
pub(crate) async fn both_gone([shell, child]: [i32; 2]) {
    // The shell is our own child: it must not even remain as a zombie.
    eventually("shell reaped", || !Path::new(&format!("/proc/{shell}")).exists()).await;
    eventually("its child dead", || gone(child)).await;
}
