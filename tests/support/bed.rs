//! What failover is tried on: a lab with nodes, three backends, a client, an observer.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::{
    agent_config::{ServiceConfig, https_check},
    lab::{API_PORT, ECHO_PORT, Host, Lab, Options, Process},
    node::{Kind, Node},
    vrrp::Instance,
};

/// Nodes lb-01, lb-02, … that share a VIP, in front of the backends' TCP echo.
#[derive(Debug)]
pub struct Bed {
    /// In the order of their numbers.
    pub nodes: Vec<Node>,
    /// The API servers of cp-01, cp-02 and cp-03.
    pub servers: Vec<Process>,
    /// What the nodes share.
    pub vip: IpAddr,
    /// The lab goes last: it holds what the others run in.
    pub lab: Lab,
}

/// What runs on the nodes of a bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `lb-agent`.
    Agent,
    /// keepalived and HAProxy.
    Keepalived,
    /// `lb-agent` on lb-01, keepalived and HAProxy on the others.
    Mixed,
}

impl Subject {
    const fn on(self, first: bool) -> Kind {
        match (self, first) {
            (Self::Agent, _) | (Self::Mixed, true) => Kind::Agent,
            (Self::Keepalived, _) | (Self::Mixed, false) => Kind::Keepalived,
        }
    }
}

impl From<Kind> for Subject {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Agent => Self::Agent,
            Kind::Keepalived => Self::Keepalived,
        }
    }
}

impl Bed {
    /// Nodes with these priorities, otherwise as `instance` says. Everything runs when it
    /// returns; the election may go on.
    ///
    /// # Errors
    /// When something does not start.
    pub fn new(
        subject: impl Into<Subject>,
        instance: &Instance,
        priorities: &[u8],
    ) -> Result<Self> {
        let subject = subject.into();
        let balancers = priorities.len() as u8;
        let lab = Lab::with(&Options { balancers, observer: true, ..Options::default() })?;
        let servers = lab.start_api_servers()?;
        let vip = instance.vip();
        let service = echo(&lab, vip);
        let mut nodes: Vec<Node> = (1..)
            .zip(priorities)
            .map(|(n, priority)| {
                let instance = instance.clone().priority(*priority);
                Node::new(&lab, lab.lb(n), subject.on(n == 1), instance, Some(service.clone()))
            })
            .collect();
        for node in &mut nodes {
            node.start()?;
            node.wait_ready()?;
        }
        Ok(Self { nodes, servers, vip, lab })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.vip, ECHO_PORT)
    }

    /// Where claims are watched from.
    pub fn observer(&self) -> &Host {
        self.lab.host("observer")
    }

    /// Whether the first two nodes are deaf to each other; everybody else hears both.
    ///
    /// # Errors
    /// When the bridge refuses.
    pub fn split(&self, split: bool) -> Result<()> {
        self.nodes.iter().take(2).try_for_each(|node| self.lab.isolate(node.host(), split))
    }

    /// A node loses carrier and every program at once. The wire goes first: what a dying program
    /// sends must not get out.
    ///
    /// # Errors
    /// When it was down before.
    pub fn power_off(&mut self, node: usize) -> Result<()> {
        self.lab.plug(self.nodes[node].host(), false)?;
        self.nodes[node].crash()
    }

    /// Undoes [`Self::power_off`], with what a boot leaves of the node.
    ///
    /// # Errors
    /// When something does not start.
    pub fn power_on(&mut self, node: usize) -> Result<()> {
        self.nodes[node].reboot()?;
        self.lab.plug(self.nodes[node].host(), true)?;
        self.nodes[node].start()
    }

    /// Waits until every backend gets connections on each node that runs.
    ///
    /// # Errors
    /// When one does not.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.nodes.iter_mut().filter(|node| node.runs()).try_for_each(Node::wait_ready)
    }
}

/// The backends' TCP echo, the cheapest exchange that proves a backend's answer, behind the check
/// of their API servers.
fn echo(lab: &Lab, vip: IpAddr) -> ServiceConfig {
    let backends: Vec<&Host> = lab.backends().collect();
    ServiceConfig::new("echo", vip, ECHO_PORT, ECHO_PORT, &backends)
        .check(&https_check(&lab.pki().ca_file()))
        .check(&[format!("port = {API_PORT}")])
        .check(&["interval = \"200ms\"", "timeout = \"1s\"", "rise = 2", "fall = 3"])
}
