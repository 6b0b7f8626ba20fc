//! The lab that drills happen in.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use lb_tests::{
    agent_config::{ServiceConfig, https_check},
    lab::{API_PORT, ECHO_PORT, Host, Lab, Options, Process, topology},
    node::{Kind, Node},
    vrrp::Instance,
};

use crate::Setup;

/// Priorities of lb-01, which has the VIP whenever it can, and of lb-02.
const PRIORITIES: [u8; 2] = [101, 100];

/// Two nodes, three backends, a client and an observer.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) nodes: [Node; 2],
    pub(crate) servers: Vec<Process>,
    pub(crate) vip: IpAddr,
    // The lab goes last: it holds what the others run in.
    pub(crate) lab: Lab,
}

impl Bed {
    /// Everything runs when it returns; the election may go on.
    pub(crate) fn new(kind: Kind, setup: Setup) -> Result<Self> {
        let lab = Lab::with(&Options { observer: true, ..Options::default() })?;
        let servers = lab.start_api_servers()?;
        let vip = if setup.ipv6 { topology::vip6(1) } else { topology::vip4(1) };
        let service = echo(&lab, vip);
        let mut nodes = [1, 2].map(|n: u8| {
            let mut instance = Instance::new(PRIORITIES[usize::from(n) - 1], vip);
            instance.version = setup.version;
            instance.interval = setup.interval;
            Node::new(&lab, lab.lb(n), kind, instance, Some(service.clone()))
        });
        for node in &mut nodes {
            node.start()?;
            node.wait_ready()?;
        }
        Ok(Self { nodes, servers, vip, lab })
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.vip, ECHO_PORT)
    }

    pub(crate) fn observer(&self) -> &Host {
        self.lab.host("observer")
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
