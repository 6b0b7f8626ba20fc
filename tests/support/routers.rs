//! Agents that share virtual routers, each written as a test wants it, under an observer of claims.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    agent::Agent,
    agent_config::{AgentConfig, ServiceConfig},
    claims::Claims,
    lab::{ECHO_PORT, Host, Lab, Options, Process},
    vrrp::NAME,
    wait::wait_for,
};

/// More than the longest election here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `[[vrrp]]` on `eth0`.
#[derive(Clone, Debug)]
pub struct Table {
    /// `name`.
    pub name: String,
    /// `virtual_router_id`.
    pub id: u8,
    /// `version`.
    pub version: u8,
    /// `priority`.
    pub priority: u8,
    /// `advert_interval`.
    pub interval: Duration,
    /// `addresses`, with their prefix lengths.
    pub addresses: Vec<String>,
    /// More lines: `sync_group = "G"`.
    pub lines: Vec<String>,
    /// `[[vrrp.track]]` tables, each as its lines.
    pub tracks: Vec<String>,
}

impl Table {
    /// Version 3, id 51, one second.
    pub fn new(priority: u8, vip: IpAddr) -> Self {
        let length = if vip.is_ipv4() { 24 } else { 64 };
        let local = vip.is_ipv6().then(|| "fe80::51/64".to_owned());
        let addresses = local.into_iter().chain([format!("{vip}/{length}")]).collect();
        Self {
            name: NAME.to_owned(),
            id: 51,
            version: 3,
            priority,
            interval: Duration::from_secs(1),
            addresses,
            lines: Vec::new(),
            tracks: Vec::new(),
        }
    }

    /// The same with another priority.
    #[must_use]
    pub fn priority(&self, priority: u8) -> Self {
        Self { priority, ..self.clone() }
    }

    /// With another line.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// With another `[[vrrp.track]]`.
    #[must_use]
    pub fn track(mut self, lines: &str) -> Self {
        self.tracks.push(lines.to_owned());
        self
    }

    /// With another name and id.
    #[must_use]
    pub fn named(mut self, name: &str, id: u8) -> Self {
        name.clone_into(&mut self.name);
        self.id = id;
        self
    }

    fn push_to(&self, text: &mut String) {
        let Self { name, id, version, priority, interval, addresses, lines, tracks } = self;
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let tracks: String = tracks.iter().map(|t| format!("[[vrrp.track]]\n{t}\n")).collect();
        // invariant: writing to a `String` cannot fail
        writeln!(
            text,
            "\n[[vrrp]]\nname = {name:?}\ninterface = \"eth0\"\nvirtual_router_id = {id}\n\
             version = {version}\npriority = {priority}\nadvert_interval = \"{}ms\"\n\
             addresses = {addresses:?}\n{lines}{tracks}",
            interval.as_millis()
        )
        .expect("a string takes every line");
    }
}

/// The tables as the end of a configuration file.
pub fn text(tables: &[Table]) -> String {
    let mut text = String::new();
    tables.iter().for_each(|table| table.push_to(&mut text));
    text
}

/// lb-01, lb-02, …, each with an agent.
#[derive(Debug)]
pub struct Routers {
    /// The agents.
    pub agents: Vec<Agent>,
    /// What they were started with; for reloads.
    pub configs: Vec<AgentConfig>,
    /// Who claims the VIP.
    pub claims: Claims,
    /// The API servers of all backends.
    pub servers: Vec<Process>,
    /// The VIP of the service `echo`.
    pub vip: IpAddr,
    /// Goes last: the others run in it.
    pub lab: Lab,
}

/// A lab for [`Routers::start`], with one backend.
///
/// # Errors
/// When it cannot be made.
pub fn lab() -> Result<Lab> {
    Lab::with(&Options { backends: 1, observer: true, ..Options::default() })
}

/// A configuration with a service `echo` on the VIP, checked every 100 ms, and these tables.
pub fn config(lab: &Lab, node: u8, vip: IpAddr, tables: &[Table]) -> AgentConfig {
    let backends: Vec<&Host> = lab.backends().collect();
    let echo = ServiceConfig::new("echo", vip, ECHO_PORT, ECHO_PORT, &backends).check(&[
        "type = \"tcp\"",
        "interval = \"100ms\"",
        "timeout = \"2s\"",
    ]);
    let mut config = AgentConfig::new(lab.lb(node)).service(echo);
    config.tail = text(tables);
    config
}

impl Routers {
    /// Starts the agents, and waits until the first of them alone claims the VIP and the others
    /// have heard it.
    ///
    /// # Errors
    /// When something does not start or win.
    pub fn start(lab: Lab, vip: IpAddr, configs: Vec<AgentConfig>) -> Result<Self> {
        let servers = lab.start_api_servers()?;
        let claims = Claims::start(lab.host("observer"), vip);
        let started = (1..).zip(&configs).map(|(n, config)| Agent::start(lab.lb(n), config));
        let agents = started.collect::<Result<Vec<_>>>()?;
        let routers = Self { agents, configs, claims, servers, vip, lab };
        routers.wait_owner(0)?;
        for node in 1..routers.agents.len() {
            routers.wait_router(node, NAME, "to know who is active", |router| {
                router["state"] == "backup" && !router["active_router"].is_null()
            })?;
        }
        Ok(routers)
    }

    /// Two agents of priorities 101 and 100, otherwise like `table`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn pair(vip: IpAddr, table: &Table) -> Result<Self> {
        let lab = lab()?;
        let configs = (1..)
            .zip([101, 100])
            .map(|(n, priority)| config(&lab, n, vip, &[table.priority(priority)]))
            .collect();
        Self::start(lab, vip, configs)
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.vip, ECHO_PORT)
    }

    /// The node's host.
    pub fn host(&self, node: usize) -> &Host {
        self.agents[node].host()
    }

    /// Waits until this node alone claims the VIP, and its agent says so.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_owner(&self, node: usize) -> Result<()> {
        self.claims.wait_owners(&[self.host(node)], PATIENCE)?;
        self.wait_state(node, NAME, "active")
    }

    /// Waits until the instance is in a state.
    ///
    /// # Errors
    /// When it is not.
    pub fn wait_state(&self, node: usize, name: &str, state: &str) -> Result<()> {
        self.wait_router(node, name, &format!("to be {state}"), |router| router["state"] == state)
    }

    /// Waits until the instance, as `status --json` shows it, is as it should be.
    ///
    /// # Errors
    /// When it is not: with what it is.
    pub fn wait_router(
        &self,
        node: usize,
        name: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        wait_for(&format!("`{name}` of {} {what}", self.host(node).name()), PATIENCE, || {
            let router = self.router(node, name)?;
            ensure!(condition(&router), "it is {router:#}");
            Ok(())
        })
    }

    /// The instance as `status --json` shows it; null when there is none.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn router(&self, node: usize, name: &str) -> Result<Value> {
        let mut status = self.agents[node].status()?;
        let all = status["vrrp"].as_array_mut().into_iter().flatten();
        Ok(all.into_iter().find(|router| router["name"] == name).map_or(Value::Null, Value::take))
    }

    /// How often the agent has had this objection to an advertisement for [`NAME`].
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn objections(&self, node: usize, reason: &str) -> Result<u64> {
        let router = self.router(node, NAME)?;
        Ok(router["adverts"]["objections"][reason].as_u64().unwrap_or(0))
    }

    /// Lines of the log of all agents that ran on this node which contain all of these.
    pub fn log(&self, node: usize, words: &[&str]) -> Vec<String> {
        let log = self.agents[node].log();
        let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        lines.map(str::to_owned).collect()
    }

    /// Lines of the log that tell of a change of state.
    pub fn transitions(&self, node: usize) -> Vec<String> {
        self.log(node, &["virtual router instance="])
    }
}
