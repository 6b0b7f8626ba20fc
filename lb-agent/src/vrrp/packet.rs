//! Advertisements as bytes, one [`Codec`] per instance: what it sends is byte for byte what
//! keepalived 2.2.7 sends, and what it hears passes keepalived's checks in keepalived's order.
//!
//! It differs from keepalived where dropping an advertisement would leave two active nodes: a
//! neighbour with another list of addresses or another interval is believed, and reported
//! ([`Reason::is_tolerated`]). A sequence number counts only once its packet is authentic.
//!
//! Every checksum is computed and verified here, IPv6 included: a kernel that does it
//! (`IPV6_CHECKSUM`) drops what is wrong without a word.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod ah;
mod checksum;
mod decode;
mod encode;
mod ip;
mod message;
mod reason;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

pub use self::{
    message::{Peek, peek},
    reason::{Detail, Objection, Reason},
};
use crate::{
    config::vrrp::Authentication,
    vrrp::{Heard, Version},
};

/// IP protocol of VRRP.
pub const PROTOCOL: u8 = 112;
/// IP protocol of the Authentication Header (RFC 4302), which VRRP is wrapped in on demand.
pub const AH_PROTOCOL: u8 = 51;
/// RFC 9568 §5.1.1.2.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// RFC 9568 §5.1.2.2.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Traffic class of advertisements (CS6, network control), as keepalived sets it.
pub const TRAFFIC_CLASS: u8 = 0xc0;
/// TTL or hop limit that advertisements are sent with, and must arrive with when multicast
/// (RFC 9568 §5.1.1.3).
pub const HOP_LIMIT: u8 = 255;
/// IPv4 identification of the priority-0 advertisement of a planned hand-over in version 2.
///
/// Version 2 has no field to say it in, receivers are free to ignore the identification of a whole
/// packet (RFC 6864 §4.1), keepalived does, and AH authenticates it. Ordinary advertisements never
/// carry it; a keepalived neighbour may by chance, and is then succeeded sooner, which is safe.
pub const HAND_OVER_ID: u16 = 0xfade;

/// What an instance's packets have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Version sent, and demanded of what is heard.
    pub version: Version,
    /// 1..=255.
    pub virtual_router_id: u8,
    /// Advertised addresses of one family, in the packet's order; what exceeds 255 is left out.
    pub addresses: Vec<IpAddr>,
    /// Of version 2 over IPv4; version 3 and IPv6 ignore it.
    pub authentication: Authentication,
    /// `None` = multicast.
    pub unicast: Option<Unicast>,
    /// Configured interval, for comparison with the neighbours'.
    pub advert_interval: Duration,
}

/// Who is heard without multicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicast {
    /// Their addresses.
    pub peers: Vec<IpAddr>,
    /// Whether others than the peers are refused.
    pub check_source: bool,
}

/// A packet as the kernel hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A whole IPv4 packet; bytes after its total length (Ethernet padding) are ignored.
    V4(&'a [u8]),
    /// The payload of an IPv6 packet.
    V6 {
        /// Source of its header.
        source: Ipv6Addr,
        /// Destination of its header.
        destination: Ipv6Addr,
        /// Hop limit it arrived with.
        hop_limit: u8,
        /// What follows the header.
        message: &'a [u8],
    },
}

/// An accepted advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// What it says.
    pub heard: Heard,
    /// What is wrong with it all the same, the first of several: to be counted and logged.
    pub warning: Option<Objection>,
    /// What its checksum covers.
    pub coverage: Coverage,
}

/// What a checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The message alone: version 2, and version 3 over IPv4 by the letter of RFC 9568 §5.2.8.
    Message,
    /// A pseudo header too: version 3 over IPv6, and over IPv4 as most implementations have it.
    PseudoHeader,
}

/// Encoder and decoder of one instance, with the counters that its packets carry.
#[derive(Clone, Debug)]
pub struct Codec {
    settings: Settings,
    /// IPv4 identification of the last packet sent; 0 = none yet.
    identification: u16,
    /// AH: last sequence number, sent or heard; 0 = none yet.
    sequence: u32,
}

impl Codec {
    /// With all counters at their start. With AH an instance must listen for an Active_Down_Interval
    /// before it sends: its neighbours refuse numbers below those they have seen.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, identification: 0, sequence: 0 }
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// New settings; the counters go on, as the neighbours expect.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// AH's last sequence number, sent or heard; 0 = none yet.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Goes on from a number that an earlier run has used, unless this one is further.
    pub fn advance_sequence(&mut self, sequence: u32) {
        self.sequence = self.sequence.max(sequence);
    }

    /// The key when packets are wrapped in AH.
    const fn ah_key(&self) -> Option<&[u8; 8]> {
        match (&self.settings.authentication, self.settings.version) {
            (Authentication::Ah(secret), Version::V2) => Some(&secret.0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
