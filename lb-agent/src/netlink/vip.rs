//! The VIP as an address of this node.

use std::{net::IpAddr, pin::pin};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};

use super::{Error, Netlink, kernel_error, own_address};

/// `IFA_PROTO` of the addresses that we add, as `ip address` shows it (`proto 0x4c`): by it they
/// are told from the operator's. Kernels before 5.18 do not keep it.
pub const ADDRESS_PROTOCOL: u8 = 0x4c;

/// An address that carries our tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// Index of the interface it is on.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
}

/// What [`Netlink::add_vip`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VipAdded {
    /// It was not there; now it is.
    Added,
    /// It was there with our tag: an earlier run added it.
    Adopted,
    /// It was there, on this or another interface, without our tag: someone else added it, who
    /// may still want it when we leave.
    AlreadyThere,
}

impl Netlink {
    /// Makes sure that this node has the VIP: as /32 or /128, without duplicate address detection
    /// (another node may have held it a moment ago) and, for IPv6, never as the source of a new
    /// connection (preferred lifetime 0, RFC 6724 §5 rule 3).
    ///
    /// The same VIP with our tag on another interface is left alone and does not count;
    /// [`Self::vips`] tells of it.
    ///
    /// # Errors
    /// [`Error::ListAddresses`], [`Error::AddVip`].
    pub async fn add_vip(&self, ifindex: u32, address: IpAddr) -> Result<VipAdded, Error> {
        let holders: Vec<_> =
            self.addresses().await?.into_iter().filter(|(vip, _)| vip.address == address).collect();
        if holders.iter().any(|(_, ours)| !ours) {
            return Ok(VipAdded::AlreadyThere);
        }
        if holders.iter().any(|(vip, _)| vip.ifindex == ifindex) {
            return Ok(VipAdded::Adopted);
        }
        let mut request = self.handle.address().add(ifindex, address, host_prefix(address));
        tag(request.message_mut(), address);
        match request.execute().await.map_err(kernel_error) {
            Ok(()) => Ok(VipAdded::Added),
            // Someone else was quicker.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(VipAdded::AlreadyThere),
            Err(source) => Err(Error::AddVip { address, ifindex, source }),
        }
    }

    /// Removes the VIP as [`Self::add_vip`] adds it; whether it was there.
    ///
    /// # Errors
    /// [`Error::RemoveVip`].
    pub async fn remove_vip(&self, ifindex: u32, address: IpAddr) -> Result<bool, Error> {
        let mut message = self.handle.address().add(ifindex, address, host_prefix(address));
        let request = self.handle.address().del(message.message_mut().clone());
        match request.execute().await.map_err(kernel_error) {
            Ok(()) => Ok(true),
            // The address, or the interface with all its addresses.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) =>
            {
                Ok(false)
            }
            Err(source) => Err(Error::RemoveVip { address, ifindex, source }),
        }
    }

    /// Every address of this node that carries our tag.
    ///
    /// # Errors
    /// [`Error::ListAddresses`].
    pub async fn vips(&self) -> Result<Vec<Vip>, Error> {
        let all = self.addresses().await?;
        Ok(all.into_iter().filter(|(_, ours)| *ours).map(|(vip, _)| vip).collect())
    }

    /// Every address of this node, and whether it carries our tag.
    async fn addresses(&self) -> Result<Vec<(Vip, bool)>, Error> {
        let mut found = Vec::new();
        let mut addresses = pin!(self.handle.address().get().execute());
        while let Some(message) =
            addresses.try_next().await.map_err(|error| Error::ListAddresses(kernel_error(error)))?
        {
            let ours = AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL));
            let ours = message.attributes.contains(&ours);
            if let Some(address) = own_address(&message.attributes) {
                found.push((Vip { ifindex: message.header.index, address }, ours));
            }
        }
        Ok(found)
    }
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn tag(message: &mut AddressMessage, address: IpAddr) {
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL)));
    if address.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_preferred = 0;
        lifetimes.ifa_valid = u32::MAX;
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
}
