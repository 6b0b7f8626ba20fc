//! Links, addresses, routes and neighbours of this node, over rtnetlink.
//!
//! [`Netlink`] asks and changes one thing at a time; [`watch`] keeps telling how backends are
//! reached. Both see the network namespace of the thread that opened them.

mod changes;
mod interface;
mod ledger;
mod resolve;
mod vip;
mod watcher;
mod way;

use std::{io, net::IpAddr, pin::pin};

use futures_util::{Stream, StreamExt, TryStreamExt};
use lb_common::net::MacAddr;
use rtnetlink::{
    Handle,
    packet_route::{
        address::AddressAttribute,
        link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp},
    },
};
use tokio::task::JoinSet;

pub(crate) use self::interface::same_subnet;
pub use self::{
    changes::{Change, Changes, Look},
    interface::{Family, Interface, choose_vip_interface, primary_address},
    ledger::Report,
    vip::{ADDRESS_PROTOCOL, NewVip, Vip},
    watcher::watch,
    way::{Resolved, Unresolved, Way},
};

/// What could not be done. The source is the kernel's answer, or says that there was none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket.
    #[error("failed to open a netlink socket")]
    Open(#[source] io::Error),
    /// The configuration names an interface that this node does not have.
    #[error("interface `{name}` does not exist; hint: this machine has {}", quoted(present))]
    NoInterface {
        /// As configured.
        name: String,
        /// Every interface there is.
        present: Vec<String>,
    },
    /// The kernel did not list the interfaces.
    #[error("failed to list the network interfaces")]
    ListInterfaces(#[source] io::Error),
    /// The kernel did not list the addresses.
    #[error("failed to list the addresses of the network interfaces")]
    ListAddresses(#[source] io::Error),
    /// The kernel did not describe one interface.
    #[error("failed to look up interface {ifindex}")]
    LookUpInterface {
        /// Its index.
        ifindex: u32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A route lookup failed, otherwise than by finding no route.
    #[error("failed to look up the route to `{address}`")]
    LookUpRoute {
        /// Where to.
        address: IpAddr,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A neighbour could not be looked up or asked for.
    #[error("failed to look up the neighbour `{address}` on interface {ifindex}")]
    LookUpNeighbour {
        /// The neighbour.
        address: IpAddr,
        /// Index of the interface it is on.
        ifindex: u32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A VIP was not added.
    #[error("failed to add the VIP `{address}` to interface {ifindex}")]
    AddVip {
        /// The VIP.
        address: IpAddr,
        /// Index of the interface.
        ifindex: u32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A VIP was not removed.
    #[error("failed to remove the VIP `{address}` from interface {ifindex}")]
    RemoveVip {
        /// The VIP.
        address: IpAddr,
        /// Index of the interface.
        ifindex: u32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// An interface was not told to keep the addresses of a VIP's subnet when the VIP goes.
    #[error("failed to set `promote_secondaries` on interface {ifindex}")]
    PromoteSecondaries {
        /// Index of the interface.
        ifindex: u32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The socket that tells of changes was closed.
    #[error("the kernel's notifications have ended")]
    EventsEnded,
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The kernel's answer as the error number it is.
fn kernel_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

/// A connection to the kernel for requests.
#[derive(Debug)]
pub struct Netlink {
    handle: Handle,
    /// Moves messages between the handle and the socket; ends with this value.
    _connection: JoinSet<()>,
}

impl Netlink {
    /// Opens a socket, in the network namespace of the calling thread. Must be called on a tokio
    /// runtime. Changes need `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Open)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { handle, _connection: tasks })
    }

    /// The interfaces with these names, in this order, with their addresses.
    ///
    /// # Errors
    /// [`Error::NoInterface`] for the first that does not exist.
    pub async fn interfaces(&self, names: &[String]) -> Result<Vec<Interface>, Error> {
        let links: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .map_ok(|link| interface(&link))
            .try_collect()
            .await
            .map_err(|error| Error::ListInterfaces(kernel_error(error)))?;
        let mut found = names
            .iter()
            .map(|name| {
                links.iter().find(|link| link.name == *name).cloned().ok_or_else(|| {
                    let present = links.iter().map(|link| link.name.clone()).collect();
                    Error::NoInterface { name: name.clone(), present }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.fill_addresses(&mut found).await?;
        Ok(found)
    }

    async fn fill_addresses(&self, interfaces: &mut [Interface]) -> Result<(), Error> {
        let mut addresses = pin!(self.handle.address().get().execute());
        while let Some(message) =
            addresses.try_next().await.map_err(|error| Error::ListAddresses(kernel_error(error)))?
        {
            let owner = interfaces.iter_mut().find(|one| one.index == message.header.index);
            if let (Some(owner), Some(address)) = (owner, own_address(&message.attributes)) {
                owner.addresses.push((address, message.header.prefix_len));
            }
        }
        Ok(())
    }
}

/// The address of this end. On a point-to-point link `IFA_ADDRESS` is the other end's, and
/// `IFA_LOCAL` ours; IPv6 gives `IFA_LOCAL` only there.
fn own_address(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    let local = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// An interface without its addresses.
fn interface(link: &LinkMessage) -> Interface {
    let ethernet = link.header.link_layer_type == LinkLayerType::Ether;
    let mut interface = Interface {
        name: String::new(),
        index: link.header.index,
        mac: MacAddr::UNSET,
        enabled: link.header.flags.contains(LinkFlags::Up),
        up: link.header.flags.contains(LinkFlags::Up | LinkFlags::Running),
        mtu: 0,
        addresses: Vec::new(),
        xdp_program: None,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Address(bytes) if ethernet => {
                interface.mac = mac(bytes).unwrap_or(MacAddr::UNSET);
            }
            LinkAttribute::Xdp(details) => {
                interface.xdp_program = details.iter().find_map(|detail| match detail {
                    LinkXdp::ProgId(id) if *id != 0 => Some(*id),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    interface
}

/// An Ethernet address, unless it has another length or is all zero.
fn mac(bytes: &[u8]) -> Option<MacAddr> {
    bytes.try_into().ok().map(MacAddr).filter(|mac| *mac != MacAddr::UNSET)
}

/// The answer to a request for one thing.
async fn only<T>(answers: impl Stream<Item = Result<T, rtnetlink::Error>>) -> Result<T, io::Error> {
    match pin!(answers).next().await {
        Some(answer) => answer.map_err(kernel_error),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the kernel did not answer")),
    }
}
