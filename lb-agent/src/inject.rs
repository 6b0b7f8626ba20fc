//! Sends finished Ethernet frames; receives nothing.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// A packet socket (`packet(7)`) for frames built by [`crate::frame`].
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens the socket, in the network namespace of the calling thread. Needs `CAP_NET_RAW`.
    ///
    /// Its protocol is 0, so the kernel delivers nothing to it; it does not block.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(Self(socket(AddressFamily::Packet, SockType::Raw, flags, None)?))
    }

    /// Sends one frame, Ethernet header included, out of the interface with this index.
    ///
    /// The frame does not pass the XDP program of that interface.
    ///
    /// # Errors
    /// Among the kernel's: `ENXIO` (no such interface), `ENETDOWN`, `EMSGSIZE` (longer than the
    /// MTU allows), `EAGAIN` (the send buffer is full). `InvalidInput` when `ifindex` exceeds
    /// `i32::MAX`.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: i32::try_from(ifindex)
                .map_err(|source| io::Error::new(io::ErrorKind::InvalidInput, source))?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the frame and the address are borrowed, and valid for reads of the lengths given,
        // until the call returns; the kernel keeps no pointer. The descriptor is open: `self` owns
        // it.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        // A packet socket sends the whole frame or nothing.
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
