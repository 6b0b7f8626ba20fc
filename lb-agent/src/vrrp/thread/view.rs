//! A copy of what the thread knows of one instance.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use crate::{
    config::vrrp::VirtualAddress,
    vrrp::{Version, machine::State},
};

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The interface's name.
    pub interface: String,
    /// 1..=255.
    pub virtual_router_id: u8,
    /// Version of the protocol.
    pub version: Version,
    /// The sync group's name.
    pub sync_group: Option<String>,
    /// State of RFC 9568 §6.4.
    pub state: State,
    /// Since it was entered.
    pub age: Duration,
    /// Why it was entered, or what keeps the instance from taking part now.
    pub reason: String,
    /// Configured priority.
    pub priority: u8,
    /// With what is tracked.
    pub effective_priority: u8,
    /// The advertised addresses.
    pub addresses: Vec<VirtualAddress>,
    /// The router that is active, if it is another.
    pub active_router: Option<(IpAddr, u8)>,
    /// Advertisements.
    pub counts: Counts,
}

/// Advertisements of an instance since the agent has started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent; to several unicast peers each counts.
    pub sent: u64,
    /// Not sent, because the kernel refused.
    pub unsent: u64,
    /// Received and believed.
    pub received: u64,
    /// Refused or (tolerated reasons) doubted, by the reason's name.
    pub objections: BTreeMap<&'static str, u64>,
}
