//! The Internet checksum (RFC 1071).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

use super::PROTOCOL;

/// Sum of 16-bit words, carries folded in, not complemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum(u16);

impl Sum {
    pub(super) const ZERO: Self = Self(0);

    /// An odd last byte counts as if a zero followed.
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        let (words, last) = bytes.as_chunks::<2>();
        let last = last.first().map(|&byte| u16::from_be_bytes([byte, 0]));
        let words = words.iter().map(|&word| u16::from_be_bytes(word)).chain(last);
        Self(words.fold(self.0, |sum, word| {
            let (sum, carry) = sum.overflowing_add(word);
            sum + u16::from(carry)
        }))
    }

    /// The pseudo header of a VRRP message (RFC 8200 §8.1; RFC 9293 §3.1 for IPv4).
    pub(super) fn pseudo_header(source: IpAddr, destination: IpAddr, len: usize) -> Self {
        let address = |sum: Self, address| match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        };
        let sum = address(address(Self::ZERO, source), destination);
        // A message has at most 4 + 4 + 255 × 16 + 8 bytes.
        sum.add(&(len as u32).to_be_bytes()).add(&[0, PROTOCOL])
    }

    /// What the checksum field must hold for the whole to be right.
    pub(super) const fn field(self) -> [u8; 2] {
        (!self.0).to_be_bytes()
    }

    /// Whether what was summed, checksum field included, is right.
    pub(super) const fn is_right(self) -> bool {
        self.0 == u16::MAX
    }
}
