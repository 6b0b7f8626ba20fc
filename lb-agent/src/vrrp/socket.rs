//! Raw sockets that carry advertisements: [`Receiver`]s that several instances may share, and one
//! [`Sender`] per interface and family.
//!
//! Both see the network namespace of the thread that opens them, need `CAP_NET_RAW` (and
//! `CAP_NET_ADMIN` for their priority), and never block. They are tied to an interface that exists:
//! when it is made anew under the same name, they are opened anew.

mod receiver;
mod sender;

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use socket2::{Domain, Socket, Type};

pub use self::{receiver::Receiver, sender::Sender};
pub use crate::netlink::Family;
use crate::vrrp::packet::{AH_PROTOCOL, GROUP_V4, GROUP_V6, PROTOCOL};

/// Bytes that hold the longest advertisement of either family: 255 IPv6 addresses.
pub const BUFFER_LEN: usize = 4096;

/// An interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index, above zero.
    pub index: u32,
}

impl Family {
    /// Where multicast advertisements of this family go.
    #[must_use]
    pub const fn group(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(GROUP_V4),
            Self::V6 => IpAddr::V6(GROUP_V6),
        }
    }

    const fn domain(self) -> Domain {
        match self {
            Self::V4 => Domain::IPV4,
            Self::V6 => Domain::IPV6,
        }
    }
}

/// What a receiver hears. Instances for which this is equal share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// The address that packets are for: [`Family::group`], or an address of this node (unicast).
    pub address: IpAddr,
    /// Whether they are wrapped in AH (IPv4 only).
    pub ah: bool,
}

impl Listen {
    const fn protocol(self) -> u8 {
        if self.ah { AH_PROTOCOL } else { PROTOCOL }
    }
}

/// A socket could not be opened, or not set up as it must be.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt} on interface `{interface}`")]
pub struct Error {
    /// Name of the interface.
    pub interface: String,
    /// What was tried.
    pub attempt: &'static str,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

/// A socket on the way to being ready: each step names itself when it fails.
struct Setup<'a> {
    interface: &'a Interface,
    socket: Socket,
}

impl<'a> Setup<'a> {
    fn open(interface: &'a Interface, family: Family, protocol: u8) -> Result<Self, Error> {
        let protocol = i32::from(protocol).into();
        let socket = Socket::new(family.domain(), Type::RAW, Some(protocol)).map_err(|source| {
            let attempt = "open a raw socket for VRRP";
            Error { interface: interface.name.clone(), attempt, source }
        })?;
        let setup = Self { interface, socket };
        setup.step("make a socket non-blocking", |socket| socket.set_nonblocking(true))?;
        let name = interface.name.as_bytes();
        setup.step("bind a socket to the device", |socket| socket.bind_device(Some(name)))?;
        Ok(setup)
    }

    fn step(
        &self,
        attempt: &'static str,
        step: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> Result<(), Error> {
        step(&self.socket).map_err(|source| Error {
            interface: self.interface.name.clone(),
            attempt,
            source,
        })
    }
}

/// With the scope that link-local addresses need; it is ignored for others.
fn socket_address(address: IpAddr, interface: &Interface) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, 0),
        IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, interface.index).into(),
    }
}
