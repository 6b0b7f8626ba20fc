//! A node of a balancer pair that takes part in a virtual router: our agent, or what it replaces,
//! keepalived beside HAProxy. Tests and drills do the same things to both.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::{
    agent::{Agent, unload},
    agent_config::{AgentConfig, ServiceConfig},
    haproxy::Haproxy,
    keepalived::{Keepalived, log::error_lines},
    lab::{Host, Lab},
    vrrp::{Instance, NAME},
    wait::SOON,
};

/// What runs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `lb-agent`.
    Agent,
    /// keepalived, and HAProxy where there is something to forward.
    Keepalived,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    host: Host,
    kind: Kind,
    instance: Instance,
    service: Option<ServiceConfig>,
    ca_file: PathBuf,
    router: Option<Router>,
    forwarder: Option<Haproxy>,
    frozen: bool,
}

/// What speaks VRRP.
#[derive(Debug)]
enum Router {
    Agent(Agent),
    Keepalived(Keepalived),
}

impl Node {
    /// A node that does not run yet. Without a service the agent gets one whose backend is
    /// `cp-01`, because it has to have one, and keepalived gets no HAProxy.
    pub fn new(
        lab: &Lab,
        host: &Host,
        kind: Kind,
        instance: Instance,
        service: Option<ServiceConfig>,
    ) -> Self {
        let (host, ca_file) = (host.clone(), lab.pki().ca_file());
        let (router, forwarder, frozen) = (None, None, false);
        let needed = || ServiceConfig::api(lab, instance.vip(), &[lab.cp(1)]);
        let service = service.or_else(|| (kind == Kind::Agent).then(needed));
        Self { host, kind, instance, service, ca_file, router, forwarder, frozen }
    }

    /// Starts whatever does not run. Ready to forward when it returns; the election may go on.
    ///
    /// # Errors
    /// When something does not start: with its log.
    pub fn start(&mut self) -> Result<()> {
        if self.router.is_some() {
            bail!("{} runs already", self.host.name());
        }
        let router = match self.kind {
            Kind::Agent => {
                let mut config = AgentConfig::new(&self.host);
                config.services.extend(self.service.clone());
                config.vrrp.push(self.instance.clone());
                Router::Agent(Agent::start(&self.host, &config)?)
            }
            Kind::Keepalived => {
                self.start_forwarder()?;
                Router::Keepalived(Keepalived::start(&self.host, &self.instance)?)
            }
        };
        self.router = Some(router);
        Ok(())
    }

    fn start_forwarder(&mut self) -> Result<()> {
        let Some(service) = self.service.as_ref().filter(|_| self.forwarder.is_none()) else {
            return Ok(());
        };
        self.forwarder = Some(Haproxy::start(&self.host, service, &self.ca_file)?);
        Ok(())
    }

    /// Waits until all its backends get connections.
    ///
    /// # Errors
    /// When one does not.
    pub fn wait_ready(&mut self) -> Result<()> {
        if let Some(haproxy) = &mut self.forwarder {
            haproxy.wait_ready()?;
        }
        match self.router_mut()? {
            Router::Agent(agent) => agent.wait_ready(),
            Router::Keepalived(_) => Ok(()),
        }
    }

    /// Hands over on purpose and stays where it is: `lb-agent vrrp release`; keepalived has
    /// nothing like it, and is ended. HAProxy goes on.
    ///
    /// # Errors
    /// When the agent refuses.
    pub fn release(&mut self) -> Result<()> {
        match self.router_mut()? {
            Router::Agent(agent) => agent.command(&["vrrp", "release", NAME]).map(drop),
            Router::Keepalived(keepalived) => keepalived.leave(),
        }
    }

    /// Undoes [`Self::release`].
    ///
    /// # Errors
    /// When the agent refuses, or keepalived does not start.
    pub fn resume(&mut self) -> Result<()> {
        match self.router_mut()? {
            Router::Agent(agent) => agent.command(&["vrrp", "resume", NAME]).map(drop),
            Router::Keepalived(keepalived) => {
                keepalived.wait(SOON)?;
                self.router = None;
                self.start()
            }
        }
    }

    /// SIGTERM to what speaks VRRP, and waits for its end. HAProxy goes on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        match self.router_mut()? {
            Router::Agent(agent) => {
                agent.kill(Signal::SIGTERM)?;
                agent.wait(SOON)?;
            }
            Router::Keepalived(keepalived) => keepalived.stop()?,
        }
        self.router = None;
        Ok(())
    }

    /// `kill -9` of everything, HAProxy included: all of the node's programs are gone.
    ///
    /// # Errors
    /// When something had ended before.
    pub fn crash(&mut self) -> Result<()> {
        match self.router_mut()? {
            Router::Agent(agent) => {
                agent.kill(Signal::SIGKILL)?;
                agent.wait(SOON)?;
            }
            Router::Keepalived(keepalived) => keepalived.crash()?,
        }
        self.router = None;
        match self.forwarder.take() {
            Some(mut haproxy) => haproxy.crash(),
            None => Ok(()),
        }
    }

    /// SIGSTOP to everything, HAProxy included.
    ///
    /// # Errors
    /// When something had ended before.
    pub fn freeze(&mut self) -> Result<()> {
        self.frozen = true;
        match self.router_mut()? {
            Router::Agent(agent) => agent.kill(Signal::SIGSTOP)?,
            Router::Keepalived(keepalived) => keepalived.freeze()?,
        }
        self.forwarder.as_mut().map_or(Ok(()), |haproxy| haproxy.kill(Signal::SIGSTOP))
    }

    /// Undoes [`Self::freeze`]; nothing when it is not frozen.
    ///
    /// # Errors
    /// When something had ended before.
    pub fn thaw(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.frozen) {
            return Ok(());
        }
        if let Some(haproxy) = &mut self.forwarder {
            haproxy.kill(Signal::SIGCONT)?;
        }
        match self.router_mut()? {
            Router::Agent(agent) => agent.kill(Signal::SIGCONT),
            Router::Keepalived(keepalived) => keepalived.thaw(),
        }
    }

    /// Removes what does not outlive a reboot: virtual addresses, and an agent's program and maps.
    ///
    /// # Errors
    /// When `ip` or `lb-agent unload` fails.
    pub fn reboot(&self) -> Result<()> {
        if self.kind == Kind::Agent {
            unload(&self.host)?;
        }
        self.instance.remove_addresses(&self.host)
    }

    /// Whether the machine has the VIP, by `ip address`.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn holds_vip(&self) -> Result<bool> {
        self.host.holds(self.instance.vip())
    }

    /// Where it runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What runs on it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its part in the virtual router.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The agent, while it runs.
    ///
    /// # Errors
    /// When something else runs, or nothing.
    pub fn agent(&mut self) -> Result<&mut Agent> {
        match self.router_mut()? {
            Router::Agent(agent) => Ok(agent),
            Router::Keepalived(_) => bail!("keepalived runs here"),
        }
    }

    /// Whether it has been started, and not been stopped or killed.
    pub fn runs(&self) -> bool {
        self.router.is_some()
    }

    /// What keepalived, in all its runs on this host, has logged that is not known to be
    /// harmless. Empty for an agent.
    pub fn errors(&self) -> Vec<String> {
        let log = match (&self.router, self.kind) {
            (Some(Router::Keepalived(keepalived)), _) => keepalived.log(),
            (None, Kind::Keepalived) => self.host.log("keepalived"),
            _ => return Vec::new(),
        };
        error_lines(&log).into_iter().map(str::to_owned).collect()
    }

    /// Longer than the others need to notice its death.
    pub fn longest_silence(&self) -> Duration {
        self.instance.longest_silence()
    }

    fn router_mut(&mut self) -> Result<&mut Router> {
        let name = self.host.name();
        self.router.as_mut().with_context(|| format!("nothing runs on {name}"))
    }
}
