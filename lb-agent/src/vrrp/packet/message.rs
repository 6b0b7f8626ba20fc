//! The VRRP message (RFC 3768 §5.1, RFC 9568 §5.1), and what all versions have in common.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::{Received, ah, ip};

/// Bytes before the addresses.
pub(super) const FIXED_LEN: usize = 8;
/// Bytes of version 2's authentication data, after the addresses; zero unless it is a password.
pub(super) const AUTH_LEN: usize = 8;
/// The only type.
pub(super) const ADVERTISEMENT: u8 = 1;
/// Where the checksum is.
pub(super) const CHECKSUM: std::ops::Range<usize> = 6..8;

/// The fields before the addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) version: u8,
    pub(super) kind: u8,
    pub(super) virtual_router_id: u8,
    pub(super) priority: u8,
    pub(super) count: u8,
    /// Bytes 4 and 5, whose meaning depends on the version.
    words: [u8; 2],
}

impl Fixed {
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let &[first, virtual_router_id, priority, count, w0, w1, _, _] = message.first_chunk()?;
        let (version, kind) = (first >> 4, first & 0xf);
        Some(Self { version, kind, virtual_router_id, priority, count, words: [w0, w1] })
    }

    /// Version 2.
    pub(super) const fn auth_type(self) -> u8 {
        self.words[0]
    }

    /// Version 2.
    pub(super) fn seconds(self) -> Duration {
        Duration::from_secs(self.words[1].into())
    }

    /// Version 3. The four bits above are reserved (RFC 9568 §5.2.6).
    pub(super) fn centiseconds(self) -> Duration {
        Duration::from_millis(u64::from(u16::from_be_bytes(self.words) & 0xfff) * 10)
    }
}

/// What tells instances on one socket apart; nothing of it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// As in the packet; other values than 2 and 3 are possible.
    pub version: u8,
    /// Virtual router identifier.
    pub virtual_router_id: u8,
    /// Whether the message is wrapped in AH.
    pub ah: bool,
}

/// Finds the instance that a packet is for; `None` when it is too short or no VRRP.
#[must_use]
pub fn peek(received: &Received<'_>) -> Option<Peek> {
    let (ah, message) = match *received {
        Received::V6 { message, .. } => (false, message),
        Received::V4(bytes) => {
            let packet = ip::Packet::read(bytes).ok()?;
            let at = if packet.has_ah { ah::LEN } else { 0 };
            (packet.has_ah, packet.payload.get(at..)?)
        }
    };
    let Fixed { version, virtual_router_id, .. } = Fixed::read(message)?;
    Some(Peek { version, virtual_router_id, ah })
}
