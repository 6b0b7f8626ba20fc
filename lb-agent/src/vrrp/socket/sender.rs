//! Advertisements out.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn6, sendmsg},
};
use socket2::{SockFilter, Socket};

use super::{Error, Family, Interface, Setup, socket_address};
use crate::vrrp::packet::{HOP_LIMIT, PROTOCOL, TRAFFIC_CLASS};

/// Before all other traffic in the queue of the interface (`TC_PRIO_CONTROL`).
const PRIORITY: u32 = 7;

/// A filter that keeps no byte of any packet that arrives.
const NOTHING: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);

/// Sends the packets of the codec out of one interface: of IPv4 whole ones, of any protocol.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    interface: Interface,
}

impl Sender {
    /// Opens the socket. Nothing is ever queued on its receiving side.
    ///
    /// # Errors
    /// Among the kernel's answers: `EPERM`, `ENODEV` (no such interface).
    pub fn open(interface: &Interface, family: Family) -> Result<Self, Error> {
        // `raw(7)`: over IPv4, a socket of this protocol has the header included. Over IPv6 the
        // kernel makes the header, and the codec the checksum.
        let protocol = match family {
            Family::V4 => libc::IPPROTO_RAW as u8,
            Family::V6 => PROTOCOL,
        };
        let setup = Setup::open(interface, family, protocol)?;
        setup.step("attach a filter to a socket", |socket| socket.attach_filter(&[NOTHING]))?;
        let index = interface.index;
        match family {
            Family::V4 => {
                setup
                    .step("include the IP header", |socket| socket.set_header_included_v4(true))?;
                // Other programs of this node must not hear it: they would take it for another's.
                setup.step("turn the multicast loop off", |socket| {
                    socket.set_multicast_loop_v4(false)
                })?;
            }
            Family::V6 => {
                let (hops, class) = (HOP_LIMIT.into(), TRAFFIC_CLASS.into());
                setup.step("choose the interface of multicast", |socket| {
                    socket.set_multicast_if_v6(index)
                })?;
                setup.step("turn the multicast loop off", |socket| {
                    socket.set_multicast_loop_v6(false)
                })?;
                setup.step("set the hop limit", |socket| {
                    socket.set_multicast_hops_v6(hops)?;
                    socket.set_unicast_hops_v6(hops)
                })?;
                setup.step("set the traffic class", |socket| socket.set_tclass_v6(class))?;
            }
        }
        setup.step("set the priority of a socket", |socket| socket.set_priority(PRIORITY))?;
        Ok(Self { socket: setup.socket, interface: interface.clone() })
    }

    /// The interface it was opened on.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Sends what the codec has encoded for this source and this destination.
    ///
    /// # Errors
    /// Among the kernel's answers: `ENETDOWN`, `ENODEV`, `EAGAIN` (the send buffer is full),
    /// `EADDRNOTAVAIL` and `EINVAL` (IPv6: the source is not usable, or not yet), `ENETUNREACH`.
    /// `InvalidInput` when the addresses are of two families.
    pub fn send(&self, source: IpAddr, destination: IpAddr, bytes: &[u8]) -> io::Result<()> {
        let target = socket_address(destination, &self.interface);
        let sent = match (source, target) {
            // The header has the source.
            (IpAddr::V4(_), SocketAddr::V4(_)) => self.socket.send_to(bytes, &target.into())?,
            (IpAddr::V6(source), SocketAddr::V6(target)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: self.interface.index,
                };
                let (fd, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                let target = SockaddrIn6::from(target);
                sendmsg(fd, &[IoSlice::new(bytes)], &control, none, Some(&target))?
            }
            _ => return Err(Errno::EINVAL.into()),
        };
        // A raw socket sends the whole packet or nothing.
        debug_assert_eq!(sent, bytes.len());
        Ok(())
    }
}

/// For `poll`: writable when the send buffer has room.
impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
