//! The way to a backend: route, then the next hop's Ethernet address.

use std::{io, net::IpAddr};

use futures_util::StreamExt;
use lb_common::{backend::NextHop, net::MacAddr};
use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{
            NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
        },
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
    },
};

use super::{
    Error, Interface, Netlink, Resolved, Unresolved, Way, interface, kernel_error, mac, only,
};

impl Netlink {
    /// How this backend is reached now. Where the neighbour is unknown, or known but not confirmed
    /// lately, the kernel is asked to find out; the answer comes later.
    ///
    /// # Errors
    /// When the kernel does not answer; that a backend is unreachable is no error.
    pub async fn resolve(&self, address: IpAddr) -> Result<Result<Resolved, Unresolved>, Error> {
        let way = match self.route(address).await? {
            Ok(way) => way,
            Err(unresolved) => return Ok(Err(unresolved)),
        };
        let egress = self.interface(way.ifindex).await?;
        if egress.mac == MacAddr::UNSET {
            return Ok(Err(Unresolved::NotEthernet { address, interface: egress.name }));
        }
        let neighbour = self.neighbour(way).await?;
        if !neighbour.confirmed {
            self.provoke(way).await?;
        }
        Ok(neighbour
            .mac
            .map(|destination| {
                let next_hop = NextHop { ifindex: way.ifindex, destination, source: egress.mac };
                Resolved { way, next_hop }
            })
            .ok_or(Unresolved::NoNeighbour { address, way, interface: egress.name }))
    }

    async fn route(&self, address: IpAddr) -> Result<Result<Way, Unresolved>, Error> {
        let mut request = RouteMessage::default();
        (request.header.address_family, request.header.destination_prefix_length) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        request.attributes.push(RouteAttribute::Destination(address.into()));
        match only(self.handle.route().get(request).execute()).await {
            Ok(route) => Ok(way(address, &route)),
            // RTN_UNREACHABLE, RTN_PROHIBIT and RTN_BLACKHOLE are told as errors of the lookup.
            Err(error) => match error.raw_os_error() {
                Some(libc::ENETUNREACH) => Ok(Err(Unresolved::NoRoute { address })),
                Some(libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => {
                    Ok(Err(Unresolved::Refused { address, reason: error.to_string() }))
                }
                _ => Err(Error::LookUpRoute { address, source: error }),
            },
        }
    }

    async fn interface(&self, ifindex: u32) -> Result<Interface, Error> {
        only(self.handle.link().get().match_index(ifindex).execute())
            .await
            .map(|link| interface(&link))
            .map_err(|source| Error::LookUpInterface { ifindex, source })
    }

    async fn neighbour(&self, way: Way) -> Result<Neighbour, Error> {
        let failed = |source| Error::LookUpNeighbour {
            address: way.neighbour,
            ifindex: way.ifindex,
            source,
        };
        // A lookup of one entry (Linux 5.0): rtnetlink's own request would dump the whole table.
        let message = RouteNetlinkMessage::GetNeighbour(neighbour_message(way));
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST;
        let mut handle = self.handle.clone();
        let mut answers = handle.request(request).map_err(|error| failed(kernel_error(error)))?;
        match answers.next().await.map(|answer| answer.payload) {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message))) => {
                Ok(Neighbour::read(&message))
            }
            Some(NetlinkPayload::Error(message)) => match message.to_io() {
                error if error.raw_os_error() == Some(libc::ENOENT) => Ok(Neighbour::UNKNOWN),
                error => Err(failed(error)),
            },
            _ => Err(failed(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Makes the kernel use the neighbour as if it had a packet for it (`NTF_USE`): it solicits one
    /// it does not know, and probes one it knows from long ago. No packet of ours is needed, so
    /// no socket, port or source address either.
    ///
    /// IPv6 neighbours are solicited from the interface's link-local address; while it has none,
    /// only real packets (the health checks') make the kernel ask.
    async fn provoke(&self, way: Way) -> Result<(), Error> {
        let used = self
            .handle
            .neighbours()
            .add(way.ifindex, way.neighbour)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute()
            .await
            .map_err(kernel_error);
        match used {
            // The interface is down: the route goes with it, and that will be told.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(()),
            other => other.map_err(|source| Error::LookUpNeighbour {
                address: way.neighbour,
                ifindex: way.ifindex,
                source,
            }),
        }
    }
}

fn way(address: IpAddr, route: &RouteMessage) -> Result<Way, Unresolved> {
    match route.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Err(Unresolved::Local { address }),
        _ => return Err(Unresolved::NotUnicast { address }),
    }
    let mut ifindex = None;
    let mut neighbour = address;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(gateway))
            | RouteAttribute::Via(RouteVia::Inet(gateway)) => neighbour = (*gateway).into(),
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway))
            | RouteAttribute::Via(RouteVia::Inet6(gateway)) => neighbour = (*gateway).into(),
            _ => {}
        }
    }
    ifindex.map(|ifindex| Way { ifindex, neighbour }).ok_or(Unresolved::NoRoute { address })
}

fn neighbour_message(way: Way) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = way.ifindex;
    let (family, destination) = match way.neighbour {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    message.header.family = family;
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}

/// Who a message about a neighbour is about.
pub(super) fn subject(message: &NeighbourMessage) -> Option<Way> {
    message.attributes.iter().find_map(|attribute| {
        let neighbour = match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => (*address).into(),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => (*address).into(),
            _ => return None,
        };
        Some(Way { ifindex: message.header.ifindex, neighbour })
    })
}

/// An entry of the kernel's neighbour table.
struct Neighbour {
    /// Absent while the neighbour has not answered, or when it stopped answering.
    mac: Option<MacAddr>,
    /// The kernel need not be told to look after it.
    confirmed: bool,
}

impl Neighbour {
    const UNKNOWN: Self = Self { mac: None, confirmed: false };

    fn read(message: &NeighbourMessage) -> Self {
        use NeighbourState as S;
        // NTF_USE would take the permanence off a permanent entry (since Linux 5.16), and adds
        // nothing where probes are under way.
        let (valid, confirmed) = match message.header.state {
            S::Permanent | S::Noarp | S::Reachable | S::Delay | S::Probe => (true, true),
            S::Stale => (true, false),
            S::Incomplete => (false, true),
            _ => (false, false),
        };
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
            _ => None,
        });
        Self { mac: address.filter(|_| valid), confirmed }
    }
}
