//! Advertisements in.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrIn6, recv, recvmsg, setsockopt,
        sockopt::Ipv6RecvPacketInfo,
    },
};
use socket2::{InterfaceIndexOrAddress, Socket};

use super::{Error, Family, Interface, Listen, Setup, socket_address};
use crate::vrrp::packet::Received;

/// Room for a few hundred advertisements: some seconds of what a link may carry, should the reader
/// be late.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// Hears advertisements that arrive on one interface for one address.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    interface: Interface,
    listen: Listen,
    /// What the kernel says beside an IPv6 packet.
    ancillary: Vec<u8>,
}

impl Receiver {
    /// Opens the socket; with a multicast address it joins the group.
    ///
    /// # Errors
    /// Among the kernel's answers: `EPERM`, `ENODEV` (no such interface), `EADDRNOTAVAIL` (a
    /// unicast address that is not local).
    pub fn open(interface: &Interface, listen: Listen) -> Result<Self, Error> {
        let family = Family::of(listen.address);
        let setup = Setup::open(interface, family, listen.protocol())?;
        setup.step("set the receive buffer of a socket", |socket| {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)
        })?;
        match family {
            Family::V4 => setup
                .step("leave foreign groups out", |socket| socket.set_multicast_all_v4(false))?,
            Family::V6 => {
                setup.step("leave foreign groups out", |socket| {
                    socket.set_multicast_all_v6(false)
                })?;
                setup.step("ask for hop limits", |socket| socket.set_recv_hoplimit_v6(true))?;
                setup.step("ask for destinations", |socket| {
                    setsockopt(socket, Ipv6RecvPacketInfo, &true).map_err(io::Error::from)
                })?;
            }
        }
        let address = socket_address(listen.address, interface).into();
        setup.step("bind a socket to the address for VRRP", |socket| socket.bind(&address))?;
        let receiver = Self {
            socket: setup.socket,
            interface: interface.clone(),
            listen,
            ancillary: nix::cmsg_space!(libc::in6_pktinfo, libc::c_int),
        };
        receiver.join()?;
        receiver.forget()?;
        Ok(receiver)
    }

    /// What it hears.
    #[must_use]
    pub const fn listen(&self) -> Listen {
        self.listen
    }

    /// The interface it was opened on.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Joins the group anew: to be called when the link comes back, because switches that snoop may
    /// have forgotten the membership, and the driver its filter. Nothing with unicast.
    ///
    /// # Errors
    /// Those of joining a group.
    pub fn rejoin(&self) -> Result<(), Error> {
        let index = self.interface.index;
        // Not being a member is what is wanted.
        let _left = match self.listen.address {
            IpAddr::V4(group) if group.is_multicast() => {
                let interface = InterfaceIndexOrAddress::Index(index);
                self.socket.leave_multicast_v4_n(&group, &interface)
            }
            IpAddr::V6(group) if group.is_multicast() => {
                self.socket.leave_multicast_v6(&group, index)
            }
            _ => Ok(()),
        };
        self.join()
    }

    fn join(&self) -> Result<(), Error> {
        let index = self.interface.index;
        match self.listen.address {
            IpAddr::V4(group) if group.is_multicast() => {
                let interface = InterfaceIndexOrAddress::Index(index);
                self.socket.join_multicast_v4_n(&group, &interface)
            }
            IpAddr::V6(group) if group.is_multicast() => {
                self.socket.join_multicast_v6(&group, index)
            }
            _ => Ok(()),
        }
        .map_err(self.error("join the VRRP group"))
    }

    /// Drops what has arrived: until it was bound, the socket took packets of every interface and
    /// for every address.
    fn forget(&self) -> Result<(), Error> {
        let mut byte = [0];
        loop {
            match recv(self.socket.as_raw_fd(), &mut byte, MsgFlags::MSG_TRUNC) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(self.error("empty a socket")(errno.into())),
            }
        }
    }

    fn error(&self, attempt: &'static str) -> impl FnOnce(io::Error) -> Error {
        let interface = self.interface.name.clone();
        move |source| Error { interface, attempt, source }
    }

    /// The next packet, if one has arrived. A packet longer than `buffer` (see
    /// [`BUFFER_LEN`](super::BUFFER_LEN)) is cut, and the codec refuses it.
    ///
    /// # Errors
    /// Among the kernel's answers: `ENETDOWN`.
    pub fn recv<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Option<Received<'a>>> {
        loop {
            let outcome = match self.listen.address {
                IpAddr::V4(_) => self.recv_v4(buffer).map(|len| Some((len, None))),
                IpAddr::V6(_) => self.recv_v6(buffer),
            };
            return match outcome {
                Ok(Some((len, envelope))) => {
                    let bytes = &buffer[..len];
                    Ok(Some(envelope.map_or(Received::V4(bytes), |Envelope { from, to, hops }| {
                        Received::V6 {
                            source: from,
                            destination: to,
                            hop_limit: hops,
                            message: bytes,
                        }
                    })))
                }
                // Interrupted, or without a piece of its envelope: look at the next.
                Ok(None) | Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => Ok(None),
                Err(errno) => Err(errno.into()),
            };
        }
    }

    fn recv_v4(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty())
    }

    /// `None` when the kernel has left something out.
    fn recv_v6(&mut self, buffer: &mut [u8]) -> Result<Option<(usize, Option<Envelope>)>, Errno> {
        let fd = self.socket.as_raw_fd();
        let mut parts = [IoSliceMut::new(buffer)];
        let ancillary = Some(self.ancillary.as_mut_slice());
        let message = recvmsg::<SockaddrIn6>(fd, &mut parts, ancillary, MsgFlags::empty())?;
        let (mut to, mut hops) = (None, None);
        for one in message.cmsgs()? {
            match one {
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => hops = u8::try_from(limit).ok(),
                _ => {}
            }
        }
        let envelope = match (message.address, to, hops) {
            (Some(from), Some(to), Some(hops)) => Envelope { from: from.ip(), to, hops },
            _ => return Ok(None),
        };
        Ok(Some((message.bytes, Some(envelope))))
    }
}

/// For `poll`: readable when a packet has arrived.
impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Of an IPv6 header.
struct Envelope {
    from: Ipv6Addr,
    to: Ipv6Addr,
    hops: u8,
}
