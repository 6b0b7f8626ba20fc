//! A balancer with its agent.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use lb_agent::view::StatusView;
use lb_tests::{
    agent::{Agent, unload},
    agent_config::AgentConfig,
    lab::{API_PORT, Lab, topology},
    vrrp::{Instance, NAME},
    wait::{SOON, wait_for},
};
use nix::sys::signal::Signal;

/// What both agents call the service, by family.
pub(crate) const SERVICES: [&str; 2] = ["kube-apiserver", "kube-apiserver-6"];

/// What both nodes hold together, by family.
pub(crate) fn vips() -> [SocketAddr; 2] {
    [topology::vip4(1), topology::vip6(1)].map(|vip| SocketAddr::new(vip, API_PORT))
}

/// A balancer.
#[derive(Debug)]
pub(crate) struct Node {
    agent: Agent,
    routers: Vec<Instance>,
}

impl Node {
    /// Starts the agent of `lb-0N`, and waits until every backend gets connections.
    ///
    /// # Errors
    /// When it does not come so far: with the agent's log.
    pub(crate) fn start(lab: &Lab, n: u8) -> Result<Self> {
        let config = AgentConfig::pair(lab, n);
        let agent = Agent::start_ready(lab.lb(n), &config)?;
        Ok(Self { agent, routers: config.vrrp })
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

    fn status(&self) -> Result<StatusView> {
        Ok(serde_json::from_value(self.agent.status()?)?)
    }

    /// Since when all its virtual routers are in `state`, if they are.
    ///
    /// # Errors
    /// When the agent does not say.
    pub(crate) fn all(&self, state: &str) -> Result<Option<SystemTime>> {
        let mut since = None;
        for router in self.status()?.vrrp {
            if router.state != state {
                return Ok(None);
            }
            since = since.max(Some(humantime::parse_rfc3339(&router.since)?));
        }
        Ok(since)
    }

    /// Waits until it has both VIPs; returns since when.
    ///
    /// # Errors
    /// When it has not.
    pub(crate) fn wait_active(&self) -> Result<Instant> {
        let since = wait_for(&format!("{} to be active", self.name()), SOON, || {
            self.all("active")?.context("it is not")
        })?;
        Ok(Instant::now() - since.elapsed().unwrap_or_default())
    }

    /// How long it may claim the VIPs after a death, at the least: three intervals from the last
    /// advertisement, which may be an interval old.
    pub(crate) fn shortest_lease(&self) -> Duration {
        self.routers.iter().map(|router| router.interval * 2).min().unwrap_or_default()
    }

    /// When its peer believes it dead, at the latest.
    pub(crate) fn longest_silence(&self) -> Duration {
        self.routers.iter().map(Instance::longest_silence).max().unwrap_or_default()
    }

    /// `lb-agent vrrp VERB` for the first virtual router; the other one is in its sync group.
    ///
    /// # Errors
    /// When the agent refuses.
    pub(crate) fn vrrp(&self, verb: &str) -> Result<()> {
        self.command(&["vrrp", verb, NAME]).map(drop)
    }

    /// Loses carrier and every program at once; returns when the carrier was gone. The wire goes
    /// first: what a dying program sends must not get out.
    ///
    /// # Errors
    /// When it was down before.
    pub(crate) fn power_off(&mut self, lab: &Lab) -> Result<Instant> {
        lab.plug(self.agent.host(), false)?;
        let cut = Instant::now();
        self.crash()?;
        Ok(cut)
    }

    /// Undoes [`Self::power_off`], with what a boot leaves of the node.
    ///
    /// # Errors
    /// When the agent does not start.
    pub(crate) fn power_on(&mut self, lab: &Lab) -> Result<()> {
        let host = self.agent.host();
        unload(host)?;
        self.routers.iter().try_for_each(|router| router.remove_addresses(host))?;
        lab.plug(host, true)?;
        self.agent.restart()
    }

    /// Whether a backend gets new connections, by family.
    ///
    /// # Errors
    /// When the agent does not say.
    pub(crate) fn in_rotation(&self, backend: &str) -> Result<[bool; 2]> {
        let status = self.status()?;
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
