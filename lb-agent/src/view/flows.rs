//! `lb-agent flows`: the tables, a line for each flow.

use std::{net::IpAddr, thread, time::Duration};

use lb_common::{
    flow::{Flow, FlowKey, flow_flags},
    net::proto,
};
use serde::{Deserialize, Serialize};

use super::{socket, table};
use crate::datapath::{
    self,
    ageing::TickRate,
    flows::{Flows, Table},
    reaper::{Clock, Reaper},
};

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The client's socket.
    pub client: String,
    /// The VIP's socket.
    pub vip: String,
    /// The port by which the backend knows the client; its address is the VIP.
    pub nat_port: u16,
    /// The backend's socket.
    pub backend: String,
    /// `established`, `half-closed`, `half-open` or `closed`.
    pub state: String,
    /// Seconds since the client's last packet.
    pub idle_s: u64,
    /// Seconds since the first packet.
    pub age_s: u64,
}

/// Reads both tables; takes a quarter of a second, in which it measures the kernel's clock.
pub fn read(flows: &Flows, reaper: &mut Reaper) -> Result<Vec<FlowView>, datapath::Error> {
    let first = reaper.clock()?;
    thread::sleep(Duration::from_millis(250));
    let now = reaper.clock()?;
    let rate = TickRate::measure(
        now.jiffies.wrapping_sub(first.jiffies),
        now.monotonic.saturating_sub(first.monotonic),
    );
    let mut views = Vec::new();
    for which in [Table::Established, Table::HalfOpen] {
        flows.forward(which, |key, flow| views.push(view(key, flow, which, now, rate)))?;
    }
    views.sort_by(|a, b| (&a.vip, &a.client).cmp(&(&b.vip, &b.client)));
    Ok(views)
}

/// For people.
#[must_use]
pub fn text(flows: &[FlowView]) -> String {
    let rows: Vec<Vec<String>> = flows
        .iter()
        .map(|f| {
            vec![
                f.protocol.clone(),
                f.client.clone(),
                f.vip.clone(),
                f.nat_port.to_string(),
                f.backend.clone(),
                f.state.clone(),
                format!("{} s", f.idle_s),
                format!("{} s", f.age_s),
            ]
        })
        .collect();
    table(&["proto", "client", "vip", "nat port", "backend", "state", "idle", "age"], &rows)
}

fn view(key: &FlowKey, flow: &Flow, which: Table, now: Clock, rate: Option<TickRate>) -> FlowView {
    let since = |then: u32| rate.map_or(0, |r| r.time(now.jiffies.wrapping_sub(then)).as_secs());
    let state = match which {
        Table::Established if flow.flags & flow_flags::FIN != 0 => "half-closed",
        Table::Established => "established",
        Table::HalfOpen if flow.flags & flow_flags::CLOSED != 0 => "closed",
        Table::HalfOpen => "half-open",
    };
    FlowView {
        protocol: if key.proto == proto::UDP { "udp" } else { "tcp" }.to_owned(),
        client: socket(IpAddr::from(key.src), key.sport.get()),
        vip: socket(IpAddr::from(key.dst), key.dport.get()),
        nat_port: flow.new_sport.get(),
        backend: socket(IpAddr::from(flow.peer), flow.new_dport.get()),
        state: state.to_owned(),
        idle_s: since(flow.last_seen),
        age_s: since(flow.created),
    }
}
