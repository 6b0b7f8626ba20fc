//! A balancer with its agent.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use lb_agent::view::StatusView;
use lb_tests::{
    agent::Agent,
    agent_config::{AgentConfig, ServiceConfig},
    lab::{API_PORT, Host, Lab, topology},
    wait::SOON,
};
use nix::sys::signal::Signal;

/// What both agents call the service, by family.
pub(crate) const SERVICES: [&str; 2] = ["kube-apiserver", "kube-apiserver-6"];

/// A balancer that runs.
#[derive(Debug)]
pub(crate) struct Node {
    /// IPv4, IPv6.
    pub(crate) vips: [SocketAddr; 2],
    agent: Agent,
}

impl Node {
    /// Starts the agent of `lb-0N` with the VIPs number `n`, and waits until every backend gets
    /// connections.
    ///
    /// # Errors
    /// When it does not come so far: with the agent's log.
    pub(crate) fn start(lab: &Lab, n: u8) -> Result<Self> {
        let backends: Vec<&Host> = lab.backends().collect();
        let vips = [topology::vip4(n), topology::vip6(n)];
        let config = AgentConfig::new(lab.lb(n))
            .service(ServiceConfig::api(lab, vips[0], &backends))
            .service(ServiceConfig::api(lab, vips[1], &backends));
        let agent = Agent::start_ready(lab.lb(n), &config)?;
        Ok(Self { vips: vips.map(|vip| SocketAddr::new(vip, API_PORT)), agent })
    }

    /// `lb-01`, …
    pub(crate) fn name(&self) -> &str {
        self.agent.host().name()
    }

    /// Runs `lb-agent` with a command line and returns what it printed.
    ///
    /// # Errors
    /// When it fails: with what it wrote.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String> {
        self.agent.command(arguments)
    }

    /// Whether a backend gets new connections, by family.
    ///
    /// # Errors
    /// When the agent does not say.
    pub(crate) fn in_rotation(&self, backend: &str) -> Result<[bool; 2]> {
        let status: StatusView = serde_json::from_value(self.agent.status()?)?;
        let mut found = [false; 2];
        for (name, found) in SERVICES.iter().zip(&mut found) {
            let service = status.services.iter().find(|service| service.name == *name);
            let service = service.with_context(|| format!("no service `{name}`"))?;
            *found = service.backends.iter().any(|b| b.name == backend && b.in_rotation);
        }
        Ok(found)
    }

    /// Waits until every backend of both families gets connections.
    ///
    /// # Errors
    /// When one does not.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        self.agent.wait_ready()
    }

    /// `lb-agent backend VERB` for a backend in both families.
    ///
    /// # Errors
    /// When the agent refuses.
    pub(crate) fn backend(&self, verb: &str, backend: &str) -> Result<()> {
        SERVICES.iter().try_for_each(|service| {
            self.command(&["backend", verb, &format!("{service}/{backend}")]).map(drop)
        })
    }

    /// `kill -9` of the agent.
    ///
    /// # Errors
    /// When it had ended before.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.agent.kill(Signal::SIGKILL)?;
        self.agent.wait(SOON).map(drop)
    }

    /// Starts the agent again and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.agent.restart()
    }
}
