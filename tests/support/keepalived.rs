//! Debian's keepalived on a host, with its own files and nobody else's.

pub mod log;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::{
    lab::{Host, Process},
    vrrp::Instance,
    wait::{self, wait_for},
};

/// A keepalived that runs: parent and VRRP child. Both are killed when it is dropped.
#[derive(Debug)]
pub struct Keepalived {
    host: Host,
    process: Process,
    child: Option<Pid>,
}

impl Keepalived {
    /// Writes its configuration, starts it and waits for its VRRP child.
    ///
    /// # Errors
    /// When it does not come so far: with its log.
    pub fn start(host: &Host, instance: &Instance) -> Result<Self> {
        let config = host.file("keepalived.conf");
        let text = format!(
            "global_defs {{\n  router_id {}\n  script_user root\n  enable_script_security\n}}\n{}",
            host.name(),
            instance.keepalived("eth0")
        );
        fs::write(&config, text)
            .with_context(|| format!("failed to write `{}`", config.display()))?;
        let [pid, child] = pid_files(host);
        // A killed one leaves its files; a new one calls its own process its child's otherwise.
        for file in [&pid, &child] {
            drop(fs::remove_file(file));
        }
        let mut command = host.command("keepalived");
        // In the foreground, all details to the console, VRRP alone.
        command.args(["-n", "-l", "-D", "-P", "-f"]).arg(config);
        command.arg("-p").arg(pid).arg("-r").arg(child);
        let process = host.spawn("keepalived", command)?;
        let mut keepalived = Self { host: host.clone(), process, child: None };
        keepalived.child = Some(keepalived.wait_child()?);
        Ok(keepalived)
    }

    fn wait_child(&mut self) -> Result<Pid> {
        let [_, file] = pid_files(&self.host);
        wait_for("keepalived's VRRP child", wait::SOON, || {
            let text = fs::read_to_string(&file)?;
            let id = text.trim().parse().with_context(|| format!("no process id: `{text}`"))?;
            Ok(Pid::from_raw(id))
        })
        .with_context(|| format!("keepalived's log:\n{}", self.process.log()))
    }

    /// SIGTERM, and waits for its end: the VIP is given up, which takes it a second.
    ///
    /// # Errors
    /// When it had ended before, or does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.leave()?;
        self.wait(Duration::from_secs(20))
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn leave(&mut self) -> Result<()> {
        self.process.kill(Signal::SIGTERM)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> Result<()> {
        self.process.wait(deadline)?;
        // The parent has reaped it.
        self.child = None;
        Ok(())
    }

    /// `kill -9` of the child and the parent. The parent is stopped before, so that it cannot
    /// start another child in between; the VIP stays on the host.
    ///
    /// # Errors
    /// When it had ended before, or does not end.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill(Signal::SIGSTOP)?;
        self.to_child(Signal::SIGKILL)?;
        self.child = None;
        self.process.kill(Signal::SIGKILL)?;
        self.process.wait(wait::SOON).map(drop)
    }

    /// Stops both processes where they are.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn freeze(&mut self) -> Result<()> {
        self.to_child(Signal::SIGSTOP)?;
        self.process.kill(Signal::SIGSTOP)
    }

    /// Undoes [`Self::freeze`].
    ///
    /// # Errors
    /// When it had ended before.
    pub fn thaw(&mut self) -> Result<()> {
        self.process.kill(Signal::SIGCONT)?;
        self.to_child(Signal::SIGCONT)
    }

    fn to_child(&self, signal: Signal) -> Result<()> {
        let child = self.child.context("keepalived has no VRRP child")?;
        signal::kill(child, signal).with_context(|| format!("failed to send {signal} to {child}"))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// What it, and those before it on this host, have logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // Whose death leaves the child to be ended by its parent's signal, as late as it likes.
        if self.process.is_running() {
            drop(self.crash());
        }
    }
}

fn pid_files(host: &Host) -> [PathBuf; 2] {
    ["keepalived.pid", "keepalived-vrrp.pid"].map(|name| host.file(name))
}
