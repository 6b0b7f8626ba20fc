//! Addresses and integers in network byte order.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A 16-bit integer in network byte order, as it stands in a header.
///
/// There is no `From<u16>`: [`Be16::new`] and [`Be16::get`] name the host side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Be16(u16);

impl Be16 {
    /// From a host-order value.
    #[inline(always)]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// From the two bytes of a header, in wire order.
    #[inline(always)]
    pub const fn from_wire(bytes: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(bytes))
    }

    /// The host-order value.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The two bytes in wire order.
    #[inline(always)]
    pub const fn to_wire(self) -> [u8; 2] {
        self.0.to_ne_bytes()
    }
}

/// An IPv4 or IPv6 address; IPv4 is held as the v4-mapped IPv6 address `::ffff:a.b.c.d`, so that
/// one key layout serves both families. All zero means "unset". Aligned for access by words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialOrd, Ord)]
#[repr(C, align(8))]
pub struct Addr(pub [u8; 16]);

/// By words: the derived comparison calls `memcmp`, which for BPF is a loop of bytes that the
/// verifier walks every time.
impl PartialEq for Addr {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.halves() == other.halves()
    }
}

impl core::hash::Hash for Addr {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Addr {
    /// The v4-mapped form of an IPv4 address given in wire order.
    #[inline(always)]
    pub const fn v4(b: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }

    /// An IPv6 address in wire order.
    #[inline(always)]
    pub const fn v6(b: [u8; 16]) -> Self {
        Self(b)
    }

    /// Both halves as little-endian words.
    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        let b = &self.0;
        (
            u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            u64::from_le_bytes([b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]),
        )
    }

    /// The last four bytes: the IPv4 address when [`Addr::is_v4`].
    #[inline(always)]
    pub const fn v4_octets(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    /// Whether this is a v4-mapped address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        let (high, low) = self.halves();
        high == 0 && low as u32 == 0xffff_0000
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_v4() {
            Self::V4(Ipv4Addr::from(addr.v4_octets()))
        } else {
            Self::V6(Ipv6Addr::from(addr.0))
        }
    }
}

/// An Ethernet address in wire order; all zero means "unknown".
#[derive(Clone, Copy, Debug, Default, Eq)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

/// By words, for the reason given at [`Addr`].
impl PartialEq for MacAddr {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.to_u64() == other.to_u64()
    }
}

impl core::hash::Hash for MacAddr {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl MacAddr {
    /// The unknown address.
    pub const UNSET: Self = Self([0; 6]);

    /// From [`MacAddr::to_u64`]; the high 16 bits are not looked at.
    #[inline(always)]
    pub const fn from_u64(word: u64) -> Self {
        let b = word.to_le_bytes();
        Self([b[0], b[1], b[2], b[3], b[4], b[5]])
    }

    /// The address in the low 48 bits of an integer, first byte lowest.
    #[inline(always)]
    pub const fn to_u64(self) -> u64 {
        let b = self.0;
        u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], 0, 0])
    }
}

impl core::fmt::Display for MacAddr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let b = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4], b[5])
    }
}

/// IANA protocol numbers that the data plane serves.
pub mod proto {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
}

// SAFETY: transparent wrappers of plain integers: no padding, every bit pattern valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Be16 {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Addr {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for MacAddr {}
