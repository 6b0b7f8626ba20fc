//! The services of the stage, each with one backend.

use lb_common::{net::proto, service::service_flags};
use lb_tests::datapath::INGRESS;

/// Name under which the redirect map knows a device.
pub(crate) const REDIRECT: u32 = 77;
/// An interface that the redirect map does not know.
pub(crate) const NO_EGRESS: u32 = 99;

/// A service and its backend: the id of both.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Service id, and backend id; 100 more for IPv6.
    pub(crate) id: u16,
    /// Protocol.
    pub(crate) proto: u8,
    /// The service's port.
    pub(crate) port: u16,
    /// The backend's port.
    pub(crate) backend_port: u16,
    /// Interface of the next hop.
    pub(crate) ifindex: u32,
    /// Bits of [`service_flags`].
    pub(crate) flags: u8,
    /// Whether a SYN is answered with RST when there is no backend.
    pub(crate) reject: bool,
    /// Whether its table names the backend.
    pub(crate) backends: bool,
}

const fn target(id: u16, proto: u8, port: u16) -> Target {
    let (flags, ifindex) = (0, INGRESS);
    Target { id, proto, port, backend_port: port, ifindex, flags, reject: true, backends: true }
}

/// The plain TCP service.
pub(crate) const HTTPS: Target = target(1, proto::TCP, 6443);
/// The plain UDP service.
pub(crate) const DNS: Target = target(2, proto::UDP, 53);
/// TCP with port translation.
pub(crate) const TRANSLATED: Target = Target { backend_port: 6443, ..target(3, proto::TCP, 8443) };
/// TCP, no backend, `reject`.
pub(crate) const REJECT: Target = Target { backends: false, ..target(4, proto::TCP, 7001) };
/// TCP, no backend, `drop`.
pub(crate) const SILENT: Target =
    Target { reject: false, backends: false, ..target(5, proto::TCP, 7002) };
/// UDP, no backend, `reject`.
pub(crate) const UDP_REJECT: Target = Target { backends: false, ..target(6, proto::UDP, 7003) };
/// TCP, backend behind another interface.
pub(crate) const ELSEWHERE: Target = Target { ifindex: REDIRECT, ..target(8, proto::TCP, 7005) };
/// TCP, backend behind an interface that takes no frames.
pub(crate) const BLOCKED: Target = Target { ifindex: NO_EGRESS, ..target(9, proto::TCP, 7006) };
/// TCP, the way to the backend unknown.
pub(crate) const UNRESOLVED: Target = Target { ifindex: 0, ..target(10, proto::TCP, 7007) };
/// TCP, client affinity.
pub(crate) const STICKY: Target =
    Target { flags: service_flags::AFFINITY_CLIENT, ..target(11, proto::TCP, 7008) };
/// UDP with port translation.
pub(crate) const UDP_TRANSLATED: Target =
    Target { backend_port: 5353, ..target(12, proto::UDP, 7009) };
/// TCP, beside [`HTTPS`]; a second backend of its own.
pub(crate) const OTHER: Target = target(13, proto::TCP, 7010);

/// All of them.
pub(crate) const ALL: [Target; 12] = [
    HTTPS,
    DNS,
    TRANSLATED,
    REJECT,
    SILENT,
    UDP_REJECT,
    ELSEWHERE,
    BLOCKED,
    UNRESOLVED,
    STICKY,
    UDP_TRANSLATED,
    OTHER,
];
