//! The Authentication Header (RFC 4302) as keepalived fills it: HMAC-MD5-96 (RFC 2403).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::{PROTOCOL, ip::HEADER_LEN, reason::Reason};

/// Bytes of the header.
pub(super) const LEN: usize = FIXED_LEN + ICV_LEN;
const FIXED_LEN: usize = 12;
const ICV_LEN: usize = 12;
/// RFC 4302 §2.2: in units of four bytes, less two.
const PAYLOAD_LEN: u8 = (LEN / 4 - 2) as u8;

/// keepalived's last sequence number; 1 follows.
const LAST_SEQUENCE: u32 = 0xffff_fffd;

/// A header that has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ah<'a> {
    fixed: &'a [u8; FIXED_LEN],
    icv: &'a [u8; ICV_LEN],
}

impl<'a> Ah<'a> {
    /// Splits a payload into the header and the message.
    pub(super) fn split(payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = payload.split_first_chunk()?;
        let (icv, message) = rest.split_first_chunk()?;
        Some((Self { fixed, icv }, message))
    }

    /// Its sequence number, when the packet is authentic and newer than `last`.
    ///
    /// `ip_header` is the packet's, options included.
    pub(super) fn verify(
        self,
        key: &[u8; 8],
        last: u32,
        ip_header: &[u8],
        source: Ipv4Addr,
        message: &[u8],
    ) -> Result<u32, Reason> {
        let &[next, len, _, _, p0, p1, p2, p3, q0, q1, q2, q3] = self.fixed;
        if next != PROTOCOL || len != PAYLOAD_LEN {
            return Err(Reason::BadAhHeader);
        }
        if Ipv4Addr::new(p0, p1, p2, p3) != source {
            return Err(Reason::AhSpi);
        }
        let sequence = u32::from_be_bytes([q0, q1, q2, q3]);
        // Whoever sends the next one begins at 1 again.
        if sequence <= last && last < LAST_SEQUENCE {
            return Err(Reason::AhReplay);
        }
        let mac = mac(key, ip_header, self.fixed, message);
        mac.verify_truncated_left(self.icv).map_err(|_mismatch| Reason::AhIcv)?;
        Ok(sequence)
    }
}

/// What follows `last`.
pub(super) const fn next_sequence(last: u32) -> u32 {
    if last < LAST_SEQUENCE { last + 1 } else { 1 }
}

/// The header for a packet with this IP header and message. The SPI is the source address.
pub(super) fn header(
    key: &[u8; 8],
    sequence: u32,
    ip_header: &[u8; HEADER_LEN],
    source: Ipv4Addr,
    message: &[u8],
) -> [u8; LEN] {
    let mut fixed = [0; FIXED_LEN];
    fixed[0] = PROTOCOL;
    fixed[1] = PAYLOAD_LEN;
    fixed[4..8].copy_from_slice(&source.octets());
    fixed[8..12].copy_from_slice(&sequence.to_be_bytes());
    let icv = mac(key, ip_header, &fixed, message).finalize().into_bytes();
    let mut header = [0; LEN];
    header[..FIXED_LEN].copy_from_slice(&fixed);
    header[FIXED_LEN..].copy_from_slice(&icv[..ICV_LEN]);
    header
}

/// RFC 4302 §3.3.3.1: what may change on the way counts as zero. keepalived takes the TTL for such
/// in unicast only; a multicast packet is not forwarded.
fn mac(key: &[u8; 8], ip_header: &[u8], fixed: &[u8; FIXED_LEN], message: &[u8]) -> Hmac<Md5> {
    const TOS: usize = 1;
    const FRAGMENT: [usize; 2] = [6, 7];
    const TTL: usize = 8;
    const CHECKSUM: [usize; 2] = [10, 11];
    /// First byte of the destination.
    const DESTINATION: usize = 16;

    // A key shorter than the hash's block is padded with zeros (RFC 2104 §2).
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Md5>::new(&block.into());
    let unicast = ip_header.get(DESTINATION).is_none_or(|byte| byte >> 4 != 0xe);
    for (at, &byte) in ip_header.iter().enumerate() {
        let mutable =
            at == TOS || FRAGMENT.contains(&at) || CHECKSUM.contains(&at) || (at == TTL && unicast);
        mac.update(&[if mutable { 0 } else { byte }]);
    }
    mac.update(fixed);
    mac.update(&[0; ICV_LEN]);
    mac.update(message);
    mac
}
