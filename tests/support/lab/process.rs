//! A process that a lab started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// A running process with its log. Killed and reaped when dropped, unless detached.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    detached: bool,
}

impl Process {
    /// Starts `command` with both outputs appended to `log`.
    pub(super) fn start(name: String, mut command: Command, log: PathBuf) -> Result<Self> {
        let open = || fs::OpenOptions::new().create(true).append(true).open(&log);
        let out = open().with_context(|| format!("failed to open `{}`", log.display()))?;
        let err = open().with_context(|| format!("failed to open `{}`", log.display()))?;
        let child = command
            // A log shall end in the error, not in where it came from.
            .env("RUST_LIB_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("failed to start `{name}`: {command:?}"))?;
        Ok(Self { name, child, log, detached: false })
    }

    /// Process id. `nsenter` replaces itself, so this is the program's own.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Where it writes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended already: its id may be somebody else's by now.
    pub fn kill(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            bail!("`{}` is not running, {signal} not sent; its log:\n{}", self.name, self.log());
        }
        let pid = i32::try_from(self.child.id()).context("process id out of range")?;
        signal::kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("failed to send {signal} to `{}`", self.name))
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it still runs after `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() >= deadline {
                bail!("`{}` still runs after {deadline:?}; its log:\n{}", self.name, self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, then waits up to 20 s.
    ///
    /// # Errors
    /// When it had ended before, or does not end.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.kill(Signal::SIGTERM)?;
        self.wait(Duration::from_secs(20))
    }

    /// Lets it run on after this value, and this process, are gone.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached && self.is_running() {
            // Both can only fail for a process that is gone, which is what is wanted.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
