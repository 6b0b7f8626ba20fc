//! One keepalived with one instance, on the peer's side.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// Ends with this value.
pub(crate) struct Keepalived {
    child: Child,
    files: TempDir,
}

impl Keepalived {
    /// Starts it in the network namespace of the calling thread, on `eth0`, with virtual router 51
    /// and priority 100. `options` are lines of the instance.
    pub(crate) fn start(version: u8, options: &str) -> Self {
        let files = TempDir::new().expect("a directory");
        let config = files.path().join("keepalived.conf");
        let text = format!(
            "global_defs {{\n vrrp_version {version}\n enable_script_security\n}}\n\
             vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 100\n\
             {options}\n}}\n"
        );
        fs::write(&config, text).expect("a configuration");
        let log = File::create(files.path().join("log")).expect("a log");
        let mut command = Command::new("keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--log-detail", "--no-syslog"]);
        command.arg("--use-file").arg(&config);
        command.arg("--pid").arg(files.path().join("pid"));
        command.arg("--vrrp_pid").arg(files.path().join("vrrp.pid"));
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("the log")).stderr(log);
        let child = command.spawn().expect("keepalived runs: `cargo xtask setup` installs it");
        Self { child, files }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).expect("the log")
    }

    /// How often it became master.
    pub(crate) fn times_master(&self) -> usize {
        self.log().matches("Entering MASTER STATE").count()
    }

    /// How often it became backup; the first is its start.
    pub(crate) fn times_backup(&self) -> usize {
        self.log().matches("Entering BACKUP STATE").count()
    }

    /// The lines of its log that tell of no ordinary course of things.
    pub(crate) fn complaints(&self) -> Vec<String> {
        /// What 2.2.7 says when all is well.
        const ORDINARY: [&str; 24] = [
            "Starting Keepalived",
            "Running on Linux",
            "Command line:",
            "Configuration file",
            "Starting VRRP child process",
            "Registering Kernel netlink",
            "Opening file",
            "Registering gratuitous",
            "NOTICE: setting config option",
            "Startup complete",
            "Entering BACKUP STATE",
            "Entering MASTER STATE",
            "Receive advertisement timeout",
            "setting VIPs",
            "removing VIPs",
            "Sending gratuitous ARP",
            "Sending/queueing gratuitous ARPs",
            "Sending unsolicited Neighbour Advert",
            "Sending/queueing Unsolicited Neighbour Adverts",
            "Sending/queueing gratuitous NDISC",
            "Backup received priority 0 advertisement",
            "Master received advert",
            "VRRP sockpool",
            "Assigned address",
        ];
        // Its command line is spread over a line for each word.
        let is_word = |line: &str| line.trim_start().starts_with('\'');
        let text = self.log();
        let lines = text.lines().map(without_date);
        let odd = |line: &&str| {
            !line.is_empty() && !is_word(line) && !ORDINARY.iter().any(|word| line.contains(word))
        };
        lines.filter(odd).map(str::to_owned).collect()
    }
}

/// `Sat Nov 21 20:00:00 2026: `.
fn without_date(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, rest)| rest)
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // Its child ends with it.
        let _gone = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _status = self.child.wait();
    }
}
