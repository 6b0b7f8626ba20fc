//! An agent that is started where it should fail, or in a world of its own.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use lb_tests::{
    agent::agent_command,
    agent_config::{AgentConfig, ServiceConfig},
    client::drip::ask,
    lab::{ECHO_PORT, Host, Lab, Options, Process, topology},
    wait::{SOON, wait_until},
};

/// How an agent ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Ended {
    /// It ended with this code, and said all of this.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "no `{part}` in:\n{}", self.text);
        }
    }
}

/// A balancer, a client, and backends that are running.
pub(crate) fn lab(backends: u8) -> (Lab, Vec<Process>) {
    let lab = Lab::with(&Options { backends, balancers: 1, ..Options::default() }).unwrap();
    let servers = lab.start_api_servers().unwrap();
    (lab, servers)
}

/// A TCP echo on every backend, behind the first VIP.
pub(crate) fn config(lab: &Lab) -> AgentConfig {
    let backends: Vec<&Host> = lab.backends().collect();
    let echo = ServiceConfig::new("echo", topology::vip4(1), ECHO_PORT, ECHO_PORT, &backends)
        .check(&["type = \"tcp\"", "interval = \"200ms\"", "timeout = \"1s\""]);
    AgentConfig::new(lab.lb(1)).service(echo)
}

pub(crate) fn vip() -> SocketAddr {
    SocketAddr::new(topology::vip4(1), ECHO_PORT)
}

/// `WRAPPER… lb-agent run --config CONFIG` on a host.
pub(crate) fn run(host: &Host, wrapper: &[&str], config: &Path) -> Command {
    let plain = agent_command(host).unwrap();
    let mut words: Vec<OsString> = plain.get_args().map(ToOwned::to_owned).collect();
    // The agent is the last word: nothing but its path stands behind `nsenter`'s options.
    let agent = words.pop().unwrap();
    let mut command = Command::new(plain.get_program());
    command.args(words).args(wrapper).arg(agent).args(["run", "--config"]).arg(config);
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command
}

/// Runs it to its end, which must come by itself.
#[track_caller]
pub(crate) fn refused(host: &Host, wrapper: &[&str], config: &AgentConfig) -> Ended {
    let file = config.write(host).unwrap();
    ended(host, run(host, wrapper, &file))
}

#[track_caller]
pub(crate) fn ended(host: &Host, command: Command) -> Ended {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    let name = format!("attempt-{}", ATTEMPTS.fetch_add(1, Ordering::Relaxed));
    let mut process = host.spawn(&name, command).unwrap();
    let status = process.wait(SOON).unwrap();
    Ended { code: status.code(), text: process.log() }
}

/// Starts it and waits until the VIP is served.
#[track_caller]
pub(crate) fn serves(lab: &Lab, wrapper: &[&str], config: &AgentConfig) -> Process {
    let host = lab.lb(1);
    let file = config.write(host).unwrap();
    let mut process = host.spawn("agent", run(host, wrapper, &file)).unwrap();
    let answered = lab.client().in_netns(|| {
        wait_until("an answer through the VIP", SOON * 2, || {
            !process.is_running() || ask(vip()).is_ok()
        })
    });
    answered.unwrap().unwrap();
    assert!(process.is_running(), "{}", process.log());
    process
}

/// Names in the pin directory; empty too when there is no directory.
pub(crate) fn pinned(config: &AgentConfig) -> Vec<String> {
    let Ok(entries) = fs::read_dir(&config.pin_dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Nothing of the agent is on the host: no pin, no program, no VIP.
#[track_caller]
pub(crate) fn left_nothing(lab: &Lab, config: &AgentConfig) {
    assert_eq!(pinned(config), [""; 0]);
    let shown = lab.lb(1).run("ip", &["-d", "address", "show", "eth0"]).unwrap();
    assert!(!shown.contains("lb_xdp") && !shown.contains("10.47.160.50"), "{shown}");
}
