//! What is known of a network interface, and which one a VIP belongs to.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

use lb_common::net::MacAddr;

/// A network interface of this node, as it was when asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `ip link` shows it.
    pub name: String,
    /// Its index, never zero.
    pub index: u32,
    /// Its Ethernet address; [`MacAddr::UNSET`] when it is no Ethernet interface.
    pub mac: MacAddr,
    /// Set up by the operator (`IFF_UP`): addresses can be added.
    pub enabled: bool,
    /// Set up by the operator and able to carry packets (`IFF_UP` and `IFF_RUNNING`).
    pub up: bool,
    /// Longest IP packet in bytes.
    pub mtu: u32,
    /// Its own addresses with the prefix length of each one's subnet, in bits.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Id of the XDP program that is attached to it.
    pub xdp_program: Option<u32>,
}

/// The interface that a VIP is added to: the one whose subnet contains it (the smallest such
/// subnet, the first among equals), else the first. `None` without interfaces.
pub fn choose_vip_interface(vip: IpAddr, interfaces: &[Interface]) -> Option<&Interface> {
    let mut best = None;
    for interface in interfaces {
        for (address, prefix) in &interface.addresses {
            let smaller = best.is_none_or(|(_, longest)| *prefix > longest);
            if smaller && same_subnet(vip, *address, *prefix) {
                best = Some((interface, *prefix));
            }
        }
    }
    best.map(|(interface, _)| interface).or_else(|| interfaces.first())
}

/// The families of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// An address's family.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// The address that an interface speaks to its link from: of IPv4 its first (the kernel lists the
/// primary ones first), of IPv6 its link-local one (RFC 9568 §5.1.2.1). VIPs are no such
/// addresses; `exclude` names those that the interface's list does not leave out.
pub fn primary_address(
    interface: &Interface,
    family: Family,
    exclude: &[IpAddr],
) -> Option<IpAddr> {
    let fits = |address: &IpAddr| match (address, family) {
        (IpAddr::V4(_), Family::V4) => true,
        (IpAddr::V6(address), Family::V6) => address.is_unicast_link_local(),
        _ => false,
    };
    let mut addresses = interface.addresses.iter().map(|(address, _)| *address);
    addresses.find(|address| fits(address) && !exclude.contains(address))
}

/// Whether both are in one subnet of this length.
pub(crate) fn same_subnet(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let (differing, bits) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        _ => return false,
    };
    // A prefix of zero shifts by the whole width, which leaves nothing to differ.
    let host_bits = bits - u32::from(prefix).min(bits);
    differing.checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests;
