//! Virtual routers in `status`.

use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::table;
use crate::vrrp::{Version, thread::View};

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpView {
    /// Its name.
    pub name: String,
    /// `init`, `backup`, `active` or `fault`.
    pub state: String,
    /// Configured priority.
    pub priority: u8,
    /// With what is tracked; what is advertised.
    pub effective_priority: u8,
    /// The advertised addresses, with their prefixes.
    pub addresses: Vec<String>,
    /// When the state was entered, RFC 3339, UTC.
    pub since: String,
    /// Why it was entered, or what keeps it from taking part.
    pub reason: String,
    /// Name of the interface.
    pub interface: String,
    /// 1..=255.
    pub virtual_router_id: u8,
    /// 2 or 3.
    pub version: u8,
    /// Name of the sync group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_group: Option<String>,
    /// The router that is active, if it is another and known.
    pub active_router: Option<RouterView>,
    /// Advertisements since the agent has started.
    pub adverts: AdvertsView,
}

/// Another router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterView {
    /// Where its advertisements come from.
    pub address: IpAddr,
    /// The priority in the last one.
    pub priority: u8,
}

/// Advertisements of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvertsView {
    /// Sent.
    pub sent: u64,
    /// Not sent, because the kernel refused.
    pub unsent: u64,
    /// Received and believed.
    pub received: u64,
    /// Refused, or believed with a doubt, by reason.
    pub objections: BTreeMap<String, u64>,
}

impl VrrpView {
    /// From what the VRRP thread knows.
    #[must_use]
    pub fn new(view: &View, now: SystemTime) -> Self {
        let counts = &view.counts;
        let addresses = view.addresses.iter().map(|a| format!("{}/{}", a.address, a.prefix));
        let objections = counts.objections.iter().map(|(name, n)| ((*name).to_owned(), *n));
        Self {
            name: view.name.clone(),
            state: view.state.word().to_owned(),
            priority: view.priority,
            effective_priority: view.effective_priority,
            addresses: addresses.collect(),
            since: humantime::format_rfc3339_millis(now - view.age).to_string(),
            reason: view.reason.clone(),
            interface: view.interface.clone(),
            virtual_router_id: view.virtual_router_id,
            version: match view.version {
                Version::V2 => 2,
                Version::V3 => 3,
            },
            sync_group: view.sync_group.clone(),
            active_router: view
                .active_router
                .map(|(address, priority)| RouterView { address, priority }),
            adverts: AdvertsView {
                sent: counts.sent,
                unsent: counts.unsent,
                received: counts.received,
                objections: objections.collect(),
            },
        }
    }

    fn row(&self) -> Vec<String> {
        let state = match self.state.as_str() {
            "active" => "active (master)".to_owned(),
            state => state.to_owned(),
        };
        let priority = if self.priority == self.effective_priority {
            self.priority.to_string()
        } else {
            format!("{} of {}", self.effective_priority, self.priority)
        };
        let active = self.active_router.map_or_else(
            || "-".to_owned(),
            |router| format!("{} ({})", router.address, router.priority),
        );
        vec![
            self.name.clone(),
            self.addresses.join(", "),
            state,
            priority,
            active,
            self.since.clone(),
            self.reason.clone(),
        ]
    }
}

/// For people; nothing when there is none.
pub(super) fn text(routers: &[VrrpView]) -> String {
    if routers.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = routers.iter().map(VrrpView::row).collect();
    let head =
        ["virtual router", "addresses", "state", "priority", "active router", "since", "reason"];
    format!("\n{}", table(&head, &rows))
}
