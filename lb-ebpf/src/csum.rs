//! The Internet checksum (RFC 1071), updated incrementally (RFC 1624).
//!
//! Sums are kept in the machine's own byte order: the one's complement sum does not depend on it
//! (RFC 1071 section 2(B)) as long as every word is loaded and stored the same way. They are added
//! up in 64 bits, four bytes at a time where possible (section 2(C)), and folded once.

use lb_common::net::Addr;

/// A 16-bit word of a header as the machine loads it.
#[inline(always)]
pub const fn word(bytes: [u8; 2]) -> u64 {
    u16::from_ne_bytes(bytes) as u64
}

/// Folds a sum to 16 bits.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Sum of four bytes, an IPv4 address for instance.
#[inline(always)]
pub const fn sum4(b: [u8; 4]) -> u64 {
    u32::from_ne_bytes(b) as u64
}

/// Sum of the words of an IPv6 address.
#[inline(always)]
pub const fn sum16(b: &[u8; 16]) -> u64 {
    let low = u64::from_ne_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
    let high = u64::from_ne_bytes([b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]);
    (low & 0xffff_ffff) + (low >> 32) + (high & 0xffff_ffff) + (high >> 32)
}

/// Sum of an address's words as it stands in its own header: two for IPv4, eight for IPv6.
#[inline(always)]
pub const fn sum_addr(addr: &Addr, v4: bool) -> u64 {
    if v4 { sum4(addr.v4_octets()) } else { sum16(&addr.0) }
}

/// The sum to add for words that leave a checksummed area (their one's complement).
#[inline(always)]
pub const fn minus(sum: u64) -> u64 {
    (!fold(sum)) as u64
}

/// RFC 1624 eq. 3: `HC' = ~(~HC + delta)`, where `delta` is the sum of the complements of the old
/// words and of the new words.
#[inline(always)]
pub const fn apply(check: [u8; 2], delta: u64) -> [u8; 2] {
    let sum = (!u16::from_ne_bytes(check)) as u64 + delta;
    (!fold(sum)).to_ne_bytes()
}

/// The change of an IPv4 header checksum, or of a TCP/UDP pseudo-header's share of one, when `old`
/// is replaced by `new` as one of the addresses.
#[inline(always)]
pub const fn addr_delta(old: &Addr, new: &Addr, v4: bool) -> u16 {
    fold(minus(sum_addr(old, v4)) + sum_addr(new, v4))
}
