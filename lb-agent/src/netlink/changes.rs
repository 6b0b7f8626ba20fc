//! Hears that links or addresses have changed, and looks at them.

use std::{net::IpAddr, pin::pin};

use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressHeaderFlags, AddressMessage},
    },
};
use tokio::task::JoinSet;

use super::{Error, Interface, Netlink, Vip, interface, kernel_error, own_address, vip::own_vip};

const GROUPS: [MulticastGroup; 3] =
    [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Links and addresses of this node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Every interface, with the addresses that are not ours and can be used (of IPv6: not while
    /// they are tentative, nor when they are duplicates). Of one family, the kernel lists those
    /// that are secondary after the others.
    pub interfaces: Vec<Interface>,
    /// Every address that carries our tag.
    pub vips: Vec<Vip>,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This address was removed from some interface.
    Gone(IpAddr),
    /// Something else, or so much that some of it was lost.
    Other,
}

/// Notifications of the kernel about links and addresses.
pub struct Changes {
    events: std::pin::Pin<Box<dyn Stream<Item = Message> + Send>>,
    /// Reads the socket; ends with this value.
    _connection: JoinSet<()>,
}

impl Changes {
    /// Opens a socket, in the network namespace of the calling thread. Must be called on a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self, Error> {
        let (connection, _handle, events) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(Error::Open)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let events = Box::pin(events.map(|(message, _)| message));
        Ok(Self { events, _connection: tasks })
    }

    /// Waits for a change. What we add ourselves and refresh is none. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`Error::EventsEnded`].
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            let message = self.events.next().await.ok_or(Error::EventsEnded)?;
            if is_ours(&message) {
                continue;
            }
            let gone = match &message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(about)) => {
                    own_address(&about.attributes)
                }
                _ => None,
            };
            return Ok(gone.map_or(Change::Other, Change::Gone));
        }
    }
}

/// Whether a notification says that an address with our tag is new, or newly refreshed.
pub(super) fn is_ours(message: &Message) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(about)) => {
            own_vip(about).is_some()
        }
        _ => false,
    }
}

impl Netlink {
    /// Looks at every link and address.
    ///
    /// # Errors
    /// [`Error::ListInterfaces`], [`Error::ListAddresses`].
    pub async fn look(&self) -> Result<Look, Error> {
        let links = self.handle.link().get().execute().map_ok(|link| interface(&link));
        let links = links.try_collect().await;
        let mut interfaces: Vec<Interface> =
            links.map_err(|error| Error::ListInterfaces(kernel_error(error)))?;
        let mut vips = Vec::new();
        let mut addresses = pin!(self.handle.address().get().execute());
        while let Some(message) =
            addresses.try_next().await.map_err(|error| Error::ListAddresses(kernel_error(error)))?
        {
            if let Some(vip) = own_vip(&message) {
                vips.push(vip);
                continue;
            }
            let owner = interfaces.iter_mut().find(|one| one.index == message.header.index);
            if let (Some(owner), Some(address), true) =
                (owner, own_address(&message.attributes), usable(&message))
            {
                owner.addresses.push((address, message.header.prefix_len));
            }
        }
        Ok(Look { interfaces, vips })
    }
}

fn usable(message: &AddressMessage) -> bool {
    let flags = message.header.flags;
    !flags.intersects(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed)
        || flags.contains(AddressHeaderFlags::Optimistic)
}

#[cfg(test)]
mod tests;
