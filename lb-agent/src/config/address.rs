//! Addresses: which ones the data plane can serve, and what people write instead.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{error::Shown, vrrp::VirtualAddress};

/// Why a string is not the address of a VIP or a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressFault {
    #[error("a name, not an address")]
    HostName,
    #[error("an address with a port")]
    WithPort(SocketAddr),
    #[error("an address with a prefix length")]
    WithPrefix(IpAddr),
    #[error("an address with a port")]
    PortOfVirtual(IpAddr),
    #[error("whose prefix length is not one")]
    BadPrefix(IpAddr),
    #[error("which is not an IPv4 or IPv6 address")]
    NotAnAddress,
    #[error("an IPv4 address in IPv6 form")]
    V4Mapped(Ipv4Addr),
    #[error("the unspecified address")]
    Unspecified,
    #[error("a multicast address")]
    Multicast,
    #[error("the broadcast address")]
    Broadcast,
    #[error("a loopback address")]
    Loopback,
    #[error("a link-local address")]
    LinkLocal,
}

impl AddressFault {
    pub(super) fn hint(self, value: &Shown) -> String {
        match self {
            Self::HostName => format!(
                "names are not resolved: write the address that `getent hosts {value}` prints"
            ),
            Self::WithPort(socket) => {
                format!("write `{}` here and `port = {}` beside it", socket.ip(), socket.port())
            }
            Self::WithPrefix(address) => format!("write `{address}`, without the prefix length"),
            Self::PortOfVirtual(address) => {
                format!("write `{address}`: all ports of an address move together")
            }
            Self::BadPrefix(address) => format!(
                "write the number of bits, 1 to {}, as in `{address}/{}`, or leave it out",
                longest(address),
                if address.is_ipv4() { 24 } else { 64 }
            ),
            Self::NotAnAddress => {
                "write an address such as `10.0.0.50` or `2001:db8::50`, without brackets".into()
            }
            Self::V4Mapped(v4) => format!("write `{v4}`"),
            Self::Unspecified | Self::Multicast | Self::Broadcast => {
                "write the unicast address of one machine".into()
            }
            Self::Loopback => {
                "packets from the network never reach it: write an address of the network".into()
            }
            Self::LinkLocal => {
                "it is valid on one link only: write a global or unique local address".into()
            }
        }
    }
}

/// A unicast address that can be reached over the network.
pub(super) fn parse(text: &str) -> Result<IpAddr, AddressFault> {
    match parse_on_link(text)? {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(AddressFault::LinkLocal),
        address => Ok(address),
    }
}

/// An address and the length of its prefix; without one it stands alone. It may be link-local: the
/// first of IPv6 is to be so (RFC 9568 erratum 8300).
pub(super) fn parse_virtual(text: &str) -> Result<VirtualAddress, AddressFault> {
    let (text, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address = parse_on_link(text).map_err(|fault| match fault {
        AddressFault::WithPort(socket) => AddressFault::PortOfVirtual(socket.ip()),
        other => other,
    })?;
    let digits = |length: &str| length.chars().all(|c| c.is_ascii_digit());
    let prefix = match length {
        None => longest(address),
        Some(length) if digits(length) => length.parse().unwrap_or(0),
        Some(_) => 0,
    };
    if (1..=longest(address)).contains(&prefix) {
        Ok(VirtualAddress { address, prefix })
    } else {
        Err(AddressFault::BadPrefix(address))
    }
}

const fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A unicast address that can be reached over the network or over one link.
pub(super) fn parse_on_link(text: &str) -> Result<IpAddr, AddressFault> {
    let address = text.parse::<IpAddr>().map_err(|_not_an_address| guess(text))?;
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(AddressFault::V4Mapped(v4));
    }
    match address {
        a if a.is_unspecified() => Err(AddressFault::Unspecified),
        a if a.is_multicast() => Err(AddressFault::Multicast),
        a if a.is_loopback() => Err(AddressFault::Loopback),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Err(AddressFault::Broadcast),
        a => Ok(a),
    }
}

fn guess(text: &str) -> AddressFault {
    if let Ok(socket) = text.parse() {
        return AddressFault::WithPort(socket);
    }
    if let Some((address, length)) = text.split_once('/')
        && let (Ok(address), Ok(_length)) = (address.parse(), length.parse::<u8>())
    {
        return AddressFault::WithPrefix(address);
    }
    let host_name = text.contains(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        && !text.starts_with('-');
    if host_name { AddressFault::HostName } else { AddressFault::NotAnAddress }
}
