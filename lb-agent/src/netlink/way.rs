//! What a look at the routing and neighbour tables finds.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{fmt, net::IpAddr};

use lb_common::backend::NextHop;

/// Which neighbour packets to a backend are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Index of the interface they leave by.
    pub ifindex: u32,
    /// The backend itself when it is on the link, else the gateway; the gateway of an IPv4 route
    /// may be an IPv6 address (RFC 5549).
    pub neighbour: IpAddr,
}

/// A backend that can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// By which neighbour.
    pub way: Way,
    /// What the data plane needs.
    pub next_hop: NextHop,
}

/// Why a backend cannot be sent to. `Display` says it in words that stay the same while the
/// reason does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The routing table has nothing for it.
    NoRoute {
        /// The backend.
        address: IpAddr,
    },
    /// The routing table forbids it.
    Refused {
        /// The backend.
        address: IpAddr,
        /// What the kernel said.
        reason: String,
    },
    /// The backend is this node.
    Local {
        /// The backend.
        address: IpAddr,
    },
    /// A broadcast or multicast address, or another that is not one station's.
    NotUnicast {
        /// The backend.
        address: IpAddr,
    },
    /// Frames cannot be sent there.
    NotEthernet {
        /// The backend.
        address: IpAddr,
        /// Name of the interface that the route leads to.
        interface: String,
    },
    /// The neighbour has not answered yet, or no longer does.
    NoNeighbour {
        /// The backend.
        address: IpAddr,
        /// The silent neighbour.
        way: Way,
        /// Name of the interface it should be on.
        interface: String,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute { address } => write!(f, "no route to `{address}`"),
            Self::Refused { address, reason } => {
                write!(f, "the routing table refuses packets to `{address}`: {reason}")
            }
            Self::Local { address } => write!(
                f,
                "`{address}` is an address of this node; backends on the load balancer's own node \
                 are not supported yet"
            ),
            Self::NotUnicast { address } => {
                write!(f, "`{address}` is not the address of a single station")
            }
            Self::NotEthernet { address, interface } => write!(
                f,
                "the route to `{address}` leaves by `{interface}`, which is not an Ethernet \
                 interface"
            ),
            Self::NoNeighbour { address, way, interface } if way.neighbour == *address => {
                write!(
                    f,
                    "`{address}` does not answer on `{interface}` (ARP or neighbour discovery)"
                )
            }
            Self::NoNeighbour { address, way, interface } => write!(
                f,
                "the gateway `{}` to `{address}` does not answer on `{interface}` (ARP or neighbour \
                 discovery)",
                way.neighbour
            ),
        }
    }
}
