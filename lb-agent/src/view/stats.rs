//! `lb-agent stats`: counters under their names.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    counter::{Counter, Traffic},
    net::proto,
    reason::{Reason, Verdict},
};
use serde::{Deserialize, Serialize};

use super::{socket, table};
use crate::{
    config::{Config, Protocol},
    datapath::{self, maps::Maps, stats::Stats},
};

/// `stats --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsView {
    /// Services, in the order of their ids.
    pub services: Vec<ServiceStats>,
    /// Packets dropped or refused, by reason; reasons that never occurred are left out.
    pub drops: BTreeMap<String, u64>,
    /// Packets passed to the kernel or forwarded, by reason.
    pub verdicts: BTreeMap<String, u64>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStats {
    /// Its name, or its socket where no configuration names it.
    pub name: String,
    /// The virtual address.
    pub vip: IpAddr,
    /// The port.
    pub port: u16,
    /// Sum over present and removed backends.
    #[serde(flatten)]
    pub traffic: TrafficView,
    /// Its backends.
    pub backends: Vec<BackendStats>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStats {
    /// Its name, or its socket where no configuration names it.
    pub name: String,
    /// Its counters.
    #[serde(flatten)]
    pub traffic: TrafficView,
}

/// *in* = from clients to the backend, *out* = back; bytes of IP packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficView {
    /// Packets to the backend.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Connections ever established.
    pub connections_total: u64,
    /// Connections established now.
    pub connections_active: u64,
}

impl From<Traffic> for TrafficView {
    fn from(t: Traffic) -> Self {
        Self {
            packets_in: t.packets_in,
            bytes_in: t.bytes_in,
            packets_out: t.packets_out,
            bytes_out: t.bytes_out,
            connections_total: t.connections_total,
            connections_active: t.connections_active,
        }
    }
}

impl StatsView {
    /// Reads the pinned maps. Names come from the configuration, where there is one.
    pub fn read(
        maps: &Maps,
        stats: &Stats,
        config: Option<&Config>,
    ) -> Result<Self, datapath::Error> {
        let contents = maps.contents()?;
        let mut services = Vec::new();
        let mut served: Vec<_> = contents.services.iter().filter(|(_, s)| s.id != 0).collect();
        served.sort_by_key(|(_, s)| s.id);
        for (key, service) in served {
            let (vip, port) = (IpAddr::from(key.vip), key.port.get());
            let protocol = if key.proto == proto::UDP { Protocol::Udp } else { Protocol::Tcp };
            let known = config.and_then(|c| {
                c.services.iter().find(|s| (s.vip, s.port, s.protocol) == (vip, port, protocol))
            });
            let mut backends = Vec::new();
            for (id, record) in contents.backends.iter().filter(|(_, b)| b.service == service.id) {
                let (address, port) = (IpAddr::from(record.address), record.port.get());
                let named = known.and_then(|s| {
                    s.backends.iter().find(|b| (b.address, b.port) == (address, port))
                });
                backends.push(BackendStats {
                    name: named.map_or_else(|| socket(address, port), |b| b.name.clone()),
                    traffic: stats.backend(*id)?.into(),
                });
            }
            services.push(ServiceStats {
                name: known.map_or_else(|| socket(vip, port), |s| s.name.clone()),
                vip,
                port,
                traffic: stats.service(service.id)?.into(),
                backends,
            });
        }
        let reasons = stats.reasons()?;
        let pick = |wanted: fn(Verdict) -> bool| {
            let some = reasons.iter().filter(|(r, c)| wanted(r.verdict()) && c.packets != 0);
            some.map(|(r, c): (&Reason, &Counter)| (r.name().to_owned(), c.packets)).collect()
        };
        Ok(Self {
            services,
            drops: pick(|v| matches!(v, Verdict::Drop | Verdict::Reply)),
            verdicts: pick(|v| matches!(v, Verdict::Pass | Verdict::Forward)),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let head =
            ["backend", "packets in", "bytes in", "packets out", "bytes out", "total", "active"];
        for service in &self.services {
            out.push_str(&format!("{}  {}\n", service.name, socket(service.vip, service.port)));
            let mut rows: Vec<_> =
                service.backends.iter().map(|b| row(&b.name, &b.traffic)).collect();
            rows.push(row("(service)", &service.traffic));
            out.push_str(&table(&head, &rows));
            out.push('\n');
        }
        for (title, counts) in
            [("dropped or refused", &self.drops), ("other verdicts", &self.verdicts)]
        {
            if counts.is_empty() {
                continue;
            }
            out.push_str(&format!("{title}\n"));
            let rows: Vec<_> = counts
                .iter()
                .map(|(name, count)| vec![name.clone(), count.to_string(), describe(name)])
                .collect();
            out.push_str(&table(&["reason", "packets", "meaning"], &rows));
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}

fn row(name: &str, t: &TrafficView) -> Vec<String> {
    let numbers = [
        t.packets_in,
        t.bytes_in,
        t.packets_out,
        t.bytes_out,
        t.connections_total,
        t.connections_active,
    ];
    std::iter::once(name.to_owned()).chain(numbers.map(|n| n.to_string())).collect()
}

fn describe(name: &str) -> String {
    let reason = Reason::ALL.iter().find(|r| r.name() == name);
    reason.map_or_else(String::new, |r| r.describe().to_owned())
}
