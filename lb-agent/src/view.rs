//! What users see: JSON for programs, tables for people.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

use self::vrrp::VrrpView;
use crate::{
    agent::status::{BackendStatus, Status},
    vrrp::thread::View,
};

pub mod flows;
pub mod stats;
pub mod vrrp;

/// `status --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The node's name.
    pub node: String,
    /// How the program sits on each interface.
    pub xdp: Vec<XdpView>,
    /// Virtual routers.
    pub vrrp: Vec<VrrpView>,
    /// Services in the configuration's order.
    pub services: Vec<ServiceView>,
    /// The table of established flows.
    pub table: TableView,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpView {
    /// Its name.
    pub interface: String,
    /// `native` or `generic`.
    pub mode: String,
}

/// How full the table of established flows is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableView {
    /// Established flows.
    pub connections: usize,
    /// How many there is room for.
    pub capacity: usize,
    /// Half-open and just-closed flows.
    pub half_open: usize,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// The virtual address.
    pub vip: IpAddr,
    /// The port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// `nat`.
    pub mode: String,
    /// Backends in the configuration's order.
    pub backends: Vec<BackendView>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendView {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// `up`, `down`, `drain` or `maint`.
    pub state: String,
    /// The weight in effect.
    pub weight: u16,
    /// The last check; `None` = none yet.
    pub check: Option<CheckView>,
    /// Established connections.
    pub connections_active: u64,
    /// Whether it gets new connections.
    pub in_rotation: bool,
    /// Whether the way to it (next hop) is known.
    pub resolved: bool,
}

/// The last check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// `passed` or `failed`.
    pub result: String,
    /// Why, in words.
    pub reason: String,
    /// From its beginning to its outcome.
    pub latency_ms: u64,
    /// When the outcome came, RFC 3339, UTC.
    pub at: String,
}

impl StatusView {
    /// From the agent's own picture; `active` are the connections of each backend id.
    #[must_use]
    pub fn new(
        status: &Status,
        routers: &[View],
        xdp: Vec<XdpView>,
        table: TableView,
        active: &BTreeMap<u16, u64>,
        now: SystemTime,
    ) -> Self {
        let services = status.services.iter().map(|s| ServiceView {
            name: s.name.clone(),
            vip: s.vip,
            port: s.port,
            protocol: s.protocol.to_string(),
            mode: "nat".to_owned(),
            backends: s.backends.iter().map(|b| backend(b, active, now)).collect(),
        });
        Self {
            node: status.node.clone(),
            xdp,
            vrrp: routers.iter().map(|router| VrrpView::new(router, now)).collect(),
            services: services.collect(),
            table,
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let xdp: Vec<_> =
            self.xdp.iter().map(|x| format!("{} ({})", x.interface, x.mode)).collect();
        // Writing to a string does not fail.
        let _infallible = writeln!(
            out,
            "node {}, XDP on {}, {} of {} connections, {} half open or just closed",
            self.node,
            xdp.join(", "),
            self.table.connections,
            self.table.capacity,
            self.table.half_open
        );
        out.push_str(&vrrp::text(&self.vrrp));
        for service in &self.services {
            let _infallible = writeln!(
                out,
                "\n{}  {} {}",
                service.name,
                service.protocol,
                socket(service.vip, service.port)
            );
            let rows = service.backends.iter().map(BackendView::row).collect::<Vec<_>>();
            out.push_str(&table(
                &["backend", "address", "state", "new", "weight", "active", "last check"],
                &rows,
            ));
        }
        out
    }
}

impl BackendView {
    fn row(&self) -> Vec<String> {
        let check = self.check.as_ref().map_or_else(
            || "none yet".to_owned(),
            |c| format!("{} ({} ms) {}", c.reason, c.latency_ms, c.at),
        );
        let note = if self.resolved { "" } else { "; next hop unresolved" };
        vec![
            self.name.clone(),
            socket(self.address, self.port),
            self.state.clone(),
            if self.in_rotation { "yes" } else { "no" }.to_owned(),
            self.weight.to_string(),
            self.connections_active.to_string(),
            format!("{check}{note}"),
        ]
    }
}

fn backend(b: &BackendStatus, active: &BTreeMap<u16, u64>, now: SystemTime) -> BackendView {
    BackendView {
        name: b.name.clone(),
        address: b.address,
        port: b.port,
        state: b.standing.word().to_owned(),
        weight: b.weight,
        check: b.check.as_ref().map(|c| CheckView {
            result: if c.passed { "passed" } else { "failed" }.to_owned(),
            reason: c.reason.clone(),
            latency_ms: u64::try_from(c.latency.as_millis()).unwrap_or(u64::MAX),
            at: humantime::format_rfc3339_seconds(now - c.age).to_string(),
        }),
        connections_active: active.get(&b.id).copied().unwrap_or(0),
        in_rotation: b.in_rotation,
        resolved: b.resolved,
    }
}

/// `192.0.2.1:6443` or `[2001:db8::1]:6443`.
#[must_use]
pub fn socket(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// Columns as wide as they need to be, two spaces apart, indented by two.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let mut widths: Vec<usize> = head.iter().map(String::len).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line: Vec<_> = cells.collect();
        out.push_str("  ");
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}
