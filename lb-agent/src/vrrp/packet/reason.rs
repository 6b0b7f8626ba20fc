//! Why a packet was refused, or doubted.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{fmt, net::IpAddr};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:literal $sentence:literal,)*) => {
        /// A check that a packet failed. The order is that of the checks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All, in the order of their numbers (`reason as usize`).
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in metrics and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

reasons! {
    /// Shorter than its headers, or than the IP header says.
    Truncated "truncated" "the packet is truncated",
    /// No IPv4 header, an impossible length in it, or a protocol that is neither VRRP nor AH.
    BadIpHeader "bad_ip_header" "the IP header is wrong",
    /// Somebody has this node's address, or the network returns its packets.
    OwnPacket "own_packet" "the packet comes from this node's own address",
    /// For another instance.
    WrongVirtualRouter "wrong_virtual_router_id" "the virtual router ID is another",
    /// Wrapped in AH, which is not configured.
    UnexpectedAh "unexpected_ah" "the packet has an authentication header, which is not configured",
    /// Not wrapped in AH, which is configured.
    MissingAh "missing_ah" "the packet has no authentication header, but AH is configured",
    /// Not as long as version and number of addresses ask for.
    BadLength "bad_length" "the length is wrong",
    /// RFC 9568 §7.1: multicast that was not sent on this link.
    BadTtl "bad_ttl" "the TTL is wrong",
    /// The neighbour speaks another version.
    WrongVersion "wrong_version" "the VRRP version is another",
    /// Version 2: another kind of authentication.
    WrongAuthType "wrong_auth_type" "the authentication type is another",
    /// Version 2: another password.
    WrongPassword "wrong_password" "the password is another",
    /// No AH header for VRRP with an ICV of 12 bytes.
    BadAhHeader "bad_ah_header" "the authentication header is wrong",
    /// keepalived's SPI is the source address.
    AhSpi "ah_spi" "the authentication header's SPI is not the source address",
    /// A sequence number that was seen before: a replay, or a neighbour that has not listened
    /// before it sent.
    AhReplay "ah_replay" "the authentication header's sequence number is an old one",
    /// Another password, or a forged packet.
    AhIcv "ah_icv" "the authentication header's check value is wrong: another password, or forged",
    /// No interval is that short.
    ZeroInterval "zero_interval" "the advertisement interval is zero",
    /// Not an advertisement.
    BadType "bad_type" "the type is not that of an advertisement",
    /// RFC 9568 §5.2.5: there must be one.
    NoAddress "no_address" "the packet advertises no address",
    /// Neither of the two ways to compute it fits.
    Checksum "checksum" "the checksum is wrong",
    /// Multicast, but peers are configured.
    UnexpectedMulticast "unexpected_multicast" "the packet is multicast, but unicast peers are configured",
    /// Unicast, but no peers are configured.
    UnexpectedUnicast "unexpected_unicast" "the packet is unicast, but no unicast peers are configured",
    /// Unicast of somebody who is not configured.
    NotAPeer "not_a_peer" "the sender is not a configured unicast peer",
    /// Tolerated: the neighbour is configured with another interval.
    IntervalMismatch "interval_mismatch" "the advertisement interval (in ms) is another",
    /// Tolerated: the neighbour has another number of addresses.
    AddressCount "address_count" "the number of addresses is another",
    /// Tolerated: the neighbour has other addresses.
    AddressList "address_list" "the list of addresses is another",
}

impl Reason {
    /// Whether the advertisement counts all the same.
    ///
    /// keepalived drops these too, and then both nodes are active. RFC 9568 §7.1 has them logged.
    #[must_use]
    pub const fn is_tolerated(self) -> bool {
        matches!(self, Self::IntervalMismatch | Self::AddressCount | Self::AddressList)
    }
}

/// A sentence without the full stop.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A reason with what was seen; prints as one line for the log, without the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{detail}")]
pub struct Objection {
    /// The check.
    pub reason: Reason,
    /// Who sent the packet; `None` when its header was not readable.
    pub sender: Option<IpAddr>,
    /// What was seen.
    pub detail: Detail,
}

/// What a check saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The reason says all.
    None,
    /// A number other than the one wanted.
    Numbers {
        /// In the packet.
        got: u64,
        /// By the configuration or the RFC.
        wanted: u64,
    },
    /// An address that is configured here and not advertised there.
    Missing(IpAddr),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Numbers { got, wanted } => write!(f, ": {got} instead of {wanted}"),
            Self::Missing(address) => write!(f, ": it lacks `{address}`"),
        }
    }
}
