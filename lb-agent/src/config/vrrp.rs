//! `[[vrrp]]` and `[[vrrp.track]]`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod cross;
mod fault;
mod read;
mod track;

use std::{net::IpAddr, time::Duration};

pub(super) use self::{cross::Routers, fault::RouterFault, read::read};

use crate::vrrp::Version;

/// `[[vrrp]]`: one virtual router on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrrp {
    /// Unique name.
    pub name: String,
    /// Interface that advertisements are sent and received on, and that holds the addresses.
    pub interface: String,
    /// 1..=255; unique by interface and family.
    pub virtual_router_id: u8,
    /// Version of the protocol.
    pub version: Version,
    /// Base priority, 1..=255.
    pub priority: u8,
    /// Whole seconds (1..=255) in version 2, 10 ms..=40.95 s in steps of 10 ms in version 3.
    pub advert_interval: Duration,
    /// Advertised addresses, at least one, all of one family; the order is the packet's.
    pub addresses: Vec<VirtualAddress>,
    /// Held with the others but not advertised (keepalived's `virtual_ipaddress_excluded`); of
    /// either family.
    pub excluded_addresses: Vec<VirtualAddress>,
    /// Label of the IPv4 addresses, at most 15 bytes, beginning with the interface's name.
    pub label: Option<String>,
    /// Whether a higher priority takes over from a lower one.
    pub preempt: bool,
    /// Pause before it does; zero = none.
    pub preempt_delay: Duration,
    /// Unicast instead of multicast.
    pub unicast: Option<Unicast>,
    /// Authentication of version 2.
    pub authentication: Authentication,
    /// Instances of one group change state together.
    pub sync_group: Option<String>,
    /// What changes the priority, or forces the fault state.
    pub tracks: Vec<Track>,
}

impl Vrrp {
    /// What the active router holds: the advertised addresses, then the others.
    pub fn held(&self) -> impl Iterator<Item = VirtualAddress> + '_ {
        self.addresses.iter().chain(&self.excluded_addresses).copied()
    }
}

/// An address that the active router holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix; without one in the file 32 or 128.
    pub prefix: u8,
}

/// `unicast_source`, `unicast_peers`, `check_source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicast {
    /// Address to send from and to receive at; `None` = the interface's primary address.
    pub source: Option<IpAddr>,
    /// At least one.
    pub peers: Vec<IpAddr>,
    /// Whether advertisements of others than the peers are refused.
    pub check_source: bool,
}

/// `authentication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// None.
    None,
    /// RFC 2338 type 1, as keepalived sends it: 8 bytes in clear.
    Pass(Secret),
    /// IP Authentication Header as keepalived sends it.
    Ah(Secret),
}

impl Authentication {
    /// Gives it its secret, if it has one.
    pub(super) fn set(&mut self, read: Secret) {
        match self {
            Self::None => {}
            Self::Pass(secret) | Self::Ah(secret) => *secret = read,
        }
    }
}

/// The 8 bytes of a password, padded with zeros; never printed. Read by
/// [`load`](super::load); [`parse`](super::parse), which looks at no file, leaves it zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 8]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// `[[vrrp.track]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What is watched.
    pub what: Tracked,
    /// -253..=253. Above zero it is added while the tracked is well, below zero while it is not;
    /// zero: while it is not, the instance is in the fault state.
    pub weight: i16,
}

/// What is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// A command that exits with 0 while all is well.
    Script(Script),
    /// A network interface that is up.
    Interface(String),
    /// A service that has a healthy backend.
    Service(String),
}

/// A tracked command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Program and arguments; the program's path is absolute.
    pub command: Vec<String>,
    /// Time between the beginnings of two runs.
    pub interval: Duration,
    /// A run that takes longer has failed, and is ended.
    pub timeout: Duration,
    /// Successes in a row that make it well, 1..=100.
    pub rise: u32,
    /// Failures in a row that make it fail, 1..=100.
    pub fall: u32,
    /// User it runs as; root only when the file says `user = "root"`.
    pub user: String,
}
