//! Names, limits and the layout's version: what both sides of the kernel border count on.

/// Version of every map layout in this crate; part of the pin directory's path (`v1`).
/// Raise it with any change that a running older program or agent would misread.
pub const LAYOUT_VERSION: u32 = 1;

/// Names of the maps: pinned under the layout's directory by these names. The kernel keeps 15
/// characters.
pub mod map {
    /// [`ServiceKey`](crate::service::ServiceKey) → [`Service`](crate::service::Service).
    pub const SERVICES: &str = "services";
    /// Service id → array of one [`MaglevTable`](crate::maglev::MaglevTable).
    pub const MAGLEV: &str = "maglev";
    /// Backend id → [`Backend`](crate::backend::Backend).
    pub const BACKENDS: &str = "backends";
    /// [`FlowKey`](crate::flow::FlowKey) → [`Flow`](crate::flow::Flow): established flows.
    pub const CONNS: &str = "conns";
    /// The same types: half-open and just-closed flows, least recently used first out.
    pub const EMBRYO: &str = "embryo";
    /// One [`Config`](crate::config::Config).
    pub const CONFIG: &str = "config";
    /// [`Reason`](crate::reason::Reason) number → per-CPU [`Counter`](crate::counter::Counter).
    pub const DROP_STATS: &str = "drop_stats";
    /// Backend id → per-CPU [`Traffic`](crate::counter::Traffic).
    pub const BACKEND_STATS: &str = "backend_stats";
    /// Service id → per-CPU [`Traffic`](crate::counter::Traffic).
    pub const SERVICE_STATS: &str = "service_stats";
    /// Interface index → the same index: where `bpf_redirect_map` may send.
    pub const EGRESS: &str = "egress";
    /// [`LeaseKey`](crate::lease::LeaseKey) → [`Lease`](crate::lease::Lease).
    pub const LEASES: &str = "leases";

    /// Every pinned map.
    pub const ALL: [&str; 11] = [
        SERVICES,
        MAGLEV,
        BACKENDS,
        CONNS,
        EMBRYO,
        CONFIG,
        DROP_STATS,
        BACKEND_STATS,
        SERVICE_STATS,
        EGRESS,
        LEASES,
    ];
}

/// Names of the programs in the object.
pub mod program {
    /// The packet path, attached to every interface.
    pub const XDP: &str = "lb_xdp";
    /// Removes flows for the agent, under `BPF_PROG_TEST_RUN` only; see [`crate::reap`].
    pub const REAP: &str = "lb_reap";
}

/// Capacity of `services`, ids 1..=255; id 0 is never valid.
pub const MAX_SERVICES: u32 = 256;
/// Capacity of `backends`, ids 1..=1023; id 0 is never valid.
pub const MAX_BACKENDS: u32 = 1024;
/// Established flows that `conns` holds unless `max_connections` says otherwise; a flow takes
/// two entries.
pub const DEFAULT_CONNECTIONS: u32 = 65_536;
/// Entries of `embryo`, two per flow.
pub const EMBRYO_ENTRIES: u32 = 131_072;
/// Capacity of `leases`: VIPs held by virtual routers.
pub const MAX_VIPS: u32 = 1024;
/// Interfaces that traffic may leave by.
pub const MAX_EGRESS: u32 = 64;

/// First source port used towards backends. The range lies below NodePorts (30000) and below the
/// ephemeral range (32768), so neither kube-proxy nor local sockets meet it.
pub const NAT_PORT_FIRST: u16 = 12_288;
/// Number of such ports, a power of two.
pub const NAT_PORTS: u16 = 16_384;
/// Ports tried for one flow before it is refused.
pub const NAT_PROBES: u32 = 8;
