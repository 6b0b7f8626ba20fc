//! The VIP as an address of this node.

use std::{net::IpAddr, pin::pin};

use futures_util::TryStreamExt;
use rtnetlink::{
    AddressMessageBuilder, LinkUnspec,
    packet_route::{
        address::{
            AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
            CacheInfo,
        },
        link::{AfSpecInet, AfSpecUnspec, InetDevConf, LinkAttribute},
    },
};

use super::{Error, Netlink, kernel_error, own_address};

/// `IFA_PROTO` of the addresses that we add, as `ip address` shows it (`proto 0x4c`): by it they
/// are told from the operator's. Kernels before 5.18 do not keep it.
pub const ADDRESS_PROTOCOL: u8 = 0x4c;

/// An address that carries our tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// Index of the interface it is on.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Its label (IPv4 only); the kernel gives it the interface's name when it is added without.
    pub label: Option<String>,
}

/// How a VIP is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVip {
    /// Where, and which. A label is at most 15 bytes, and begins with the interface's name.
    pub vip: Vip,
    /// Whether its prefix becomes a route.
    pub route: bool,
    /// Seconds until the kernel removes it, at least one; `None` = never.
    pub valid: Option<u32>,
}

impl Netlink {
    /// Adds a VIP: without duplicate address detection (another node may have held it a moment
    /// ago) and, for IPv6, never as the source of a new connection (preferred lifetime 0,
    /// RFC 6724 §5 rule 3). `false`: it is there already, whosever it is.
    ///
    /// The kernel takes it for another address than the same with another prefix (IPv4) or on
    /// another interface.
    ///
    /// # Errors
    /// [`Error::AddVip`].
    pub async fn add_vip(&self, new: &NewVip) -> Result<bool, Error> {
        match self.put_vip(new, false).await {
            // Someone was quicker.
            Err(Error::AddVip { source, .. }) if source.raw_os_error() == Some(libc::EEXIST) => {
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }

    /// Gives a VIP of ours its lifetime anew, or adds it when it is gone.
    ///
    /// # Errors
    /// [`Error::AddVip`].
    pub async fn refresh_vip(&self, new: &NewVip) -> Result<(), Error> {
        self.put_vip(new, true).await
    }

    async fn put_vip(&self, new: &NewVip, replace: bool) -> Result<(), Error> {
        let Vip { ifindex, address, prefix, .. } = new.vip;
        let mut request = self.handle.address().add(ifindex, address, prefix);
        if replace {
            request = request.replace();
        }
        describe(request.message_mut(), new);
        let answer = request.execute().await.map_err(kernel_error);
        answer.map_err(|source| Error::AddVip { address, ifindex, source })
    }

    /// Removes a VIP, by its interface, address and prefix; whether it was there.
    ///
    /// # Errors
    /// [`Error::RemoveVip`].
    pub async fn remove_vip(&self, vip: &Vip) -> Result<bool, Error> {
        let Vip { ifindex, address, prefix, .. } = *vip;
        let message = match address {
            IpAddr::V4(v4) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
                .address(v4, prefix)
                .index(ifindex)
                .build(),
            IpAddr::V6(v6) => AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                .address(v6, prefix)
                .index(ifindex)
                .build(),
        };
        match self.handle.address().del(message).execute().await.map_err(kernel_error) {
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
        let mut found = Vec::new();
        let mut addresses = pin!(self.handle.address().get().execute());
        while let Some(message) =
            addresses.try_next().await.map_err(|error| Error::ListAddresses(kernel_error(error)))?
        {
            found.extend(own_vip(&message));
        }
        Ok(found)
    }

    /// Lets the other IPv4 addresses of an interface outlive the removal of a VIP of their subnet:
    /// without `promote_secondaries` (which systemd sets everywhere) the kernel removes with the
    /// first address of a subnet all that were added after it.
    ///
    /// # Errors
    /// [`Error::PromoteSecondaries`].
    pub async fn promote_secondaries(&self, ifindex: u32) -> Result<(), Error> {
        let mut settings = InetDevConf::default();
        settings.promote_secondaries = 1;
        let inet = AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(settings)]);
        let mut message = LinkUnspec::new_with_index(ifindex).build();
        message.attributes.push(LinkAttribute::AfSpecUnspec(vec![inet]));
        let answer = self.handle.link().change(message).execute().await.map_err(kernel_error);
        answer.map_err(|source| Error::PromoteSecondaries { ifindex, source })
    }
}

/// The VIP that a message is about; `None` when the address does not carry our tag.
pub(super) fn own_vip(message: &AddressMessage) -> Option<Vip> {
    let tag = AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL));
    if !message.attributes.contains(&tag) {
        return None;
    }
    let label = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Label(label) => Some(label.clone()),
        _ => None,
    });
    Some(Vip {
        ifindex: message.header.index,
        address: own_address(&message.attributes)?,
        prefix: message.header.prefix_len,
        label,
    })
}

fn describe(message: &mut AddressMessage, new: &NewVip) {
    let v6 = new.vip.address.is_ipv6();
    let mut flags = AddressFlags::empty();
    if !new.route {
        flags |= AddressFlags::Noprefixroute;
    }
    if v6 {
        flags |= AddressFlags::Nodad;
        message.header.flags |= AddressHeaderFlags::Nodad;
    }
    let valid = new.valid.map_or(u32::MAX, |seconds| seconds.max(1));
    let mut lifetimes = CacheInfo::default();
    lifetimes.ifa_preferred = if v6 { 0 } else { valid };
    lifetimes.ifa_valid = valid;
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL)));
    attributes.push(AddressAttribute::Flags(flags));
    attributes.push(AddressAttribute::CacheInfo(lifetimes));
    if let (Some(label), false) = (&new.vip.label, v6) {
        attributes.push(AddressAttribute::Label(label.clone()));
    }
}
