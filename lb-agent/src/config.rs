//! The validated configuration: once a [`Config`] exists, nothing in it can be wrong by itself.
//!
//! ```text
//! file ── text ─┬─ node ──────────────┐
//!  │            ├─ service ── check ──┼─ document (TOML, lines) ── keys value form address duration
//!  │            ├─ vrrp ── track ─────┤
//!  │            ├─ notify ────────────┤
//!  │            └─ cross ─────────────┘
//!  └── machine (claims: interfaces, files, users)
//! ```
//!
//! Only `file` and `machine` look outside; the rest is a function of the text.

mod address;
mod check;
mod claim;
mod command;
mod cross;
mod document;
mod duration;
mod endpoint;
mod error;
mod file;
mod form;
mod keys;
mod machine;
mod node;
pub mod notify;
mod service;
mod text;
mod value;
pub mod vrrp;
mod warning;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, path::PathBuf, time::Duration};

pub use endpoint::{Endpoint, Url};
pub use error::{Errors, Problem};
pub use file::{Whereabouts, load, whereabouts};
use notify::Notify;
pub use text::parse;
use vrrp::Vrrp;
pub use warning::Warning;

/// `pin_dir` unless the file says otherwise.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/lb";
/// `admin_socket` unless the file says otherwise.
pub const DEFAULT_ADMIN_SOCKET: &str = "/run/lb/admin.sock";

/// A whole configuration file, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This machine.
    pub node: Node,
    /// Services in the file's order; names and (VIP, port, protocol) are unique.
    pub services: Vec<Service>,
    /// Virtual routers in the file's order; names, and (interface, family, number, unicast or
    /// not) are unique, and no address is in two of them.
    pub vrrp: Vec<Vrrp>,
    /// Who is told of the virtual routers' changes.
    pub notify: Notify,
    /// What is allowed and probably not meant, by line.
    pub warnings: Vec<Warning>,
}

/// `[node]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `name`, by default the hostname.
    pub name: String,
    /// Interfaces that XDP is attached to; at least one.
    pub interfaces: Vec<String>,
    /// How XDP is attached.
    pub xdp_mode: XdpMode,
    /// A directory on a bpffs (mounted when missing).
    pub pin_dir: PathBuf,
    /// Path of the control socket.
    pub admin_socket: PathBuf,
    /// Established flows that the table holds, 1..=16,777,216.
    pub max_connections: u32,
}

/// `xdp_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, or not at all.
    Native,
    /// In the kernel's stack: slow, works everywhere.
    Generic,
    /// Native where the driver has it, otherwise generic with a warning.
    Auto,
}

/// `[[service]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique name.
    pub name: String,
    /// The virtual address.
    pub vip: IpAddr,
    /// The port clients connect to, 1..=65535.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What a client's connections have in common.
    pub affinity: Affinity,
    /// What becomes of a dead backend's connections.
    pub on_backend_down: OnBackendDown,
    /// What a new connection meets without a healthy backend.
    pub when_no_backend: WhenNoBackend,
    /// How backends are checked.
    pub check: Check,
    /// At least one; names and (address, port) are unique, addresses of the VIP's family.
    pub backends: Vec<Backend>,
}

/// `protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `affinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Each connection is hashed by itself (5-tuple).
    Connection,
    /// All connections of a source address go to one backend.
    Client,
}

/// `on_backend_down`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBackendDown {
    /// Its connections are reset, idle ones too.
    Reset,
    /// Its connections are left to time out.
    Keep,
}

/// `when_no_backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenNoBackend {
    /// TCP RST at once.
    Reject,
    /// Silence.
    Drop,
    /// Every backend that is not in maintenance is tried, healthy or not.
    TryAll,
}

/// `[[service.backend]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Unique within the service.
    pub name: String,
    /// Address of the VIP's family.
    pub address: IpAddr,
    /// 1..=65535; by default the service's.
    pub port: u16,
    /// 0..=256; 0 = no new connections.
    pub weight: u16,
}

/// `[service.check]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// Between checks of a backend whose state is settled and up.
    pub interval: Duration,
    /// Between checks while the state is changing (by default `interval`).
    pub fast_interval: Duration,
    /// Between checks of a backend that is down (by default `interval`).
    pub down_interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Successes in a row that bring a backend up, 1..=100.
    pub rise: u32,
    /// Failures in a row that take it down, 1..=100.
    pub fall: u32,
    /// Port to check instead of the backend's.
    pub port: Option<u16>,
}

/// `type` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A connection is accepted.
    Tcp,
    /// An HTTP request is answered as expected.
    Http(HttpCheck),
    /// The same over TLS.
    Https(HttpCheck, TlsCheck),
    /// A command exits with 0.
    Exec(ExecCheck),
}

/// The request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Path and query, beginning with `/`.
    pub path: String,
    /// `Host` header; by default the backend's address and port.
    pub host: Option<String>,
    /// Expected status.
    pub expect: u16,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
}

/// How the server is known, and we to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCheck {
    /// Server name to send and verify; by default the backend's address.
    pub sni: Option<String>,
    /// PEM file with the certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client's certificate chain and key.
    pub client: Option<ClientCertificate>,
    /// The server's certificate is not verified.
    pub insecure: bool,
}

/// `client_cert` and `client_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file of the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file of the key; must not be readable by others.
    pub key_file: PathBuf,
}

/// A command run as a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCheck {
    /// Program and arguments; the program's path is absolute.
    pub command: Vec<String>,
    /// User it runs as; root only when the file says `user = "root"`.
    pub user: String,
}
