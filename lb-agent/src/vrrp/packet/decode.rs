//! Advertisements heard: every check, in keepalived's order.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    Advert, Codec, Coverage, HAND_OVER_ID, HOP_LIMIT, Received,
    ah::Ah,
    checksum::Sum,
    ip,
    message::{ADVERTISEMENT, AUTH_LEN, FIXED_LEN, Fixed},
    reason::{Detail, Objection, Reason},
};
use crate::{
    config::vrrp::Authentication,
    vrrp::{Heard, SHORTEST_INTERVAL, Version},
};

/// A packet of either family.
struct Parts<'a> {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    fixed: Fixed,
    message: &'a [u8],
    v4: Option<V4<'a>>,
}

/// What only IPv4 has.
struct V4<'a> {
    source: Ipv4Addr,
    header: &'a [u8],
    identification: u16,
    ah: Option<Ah<'a>>,
}

/// Why not, before it is known from whom.
type Finding = (Reason, Detail);

impl Codec {
    /// Checks a packet and returns what it advertises.
    ///
    /// `own` is the address that this node sends from, if it has one.
    ///
    /// # Errors
    /// The first check that failed of those without which a packet cannot be trusted.
    pub fn decode(
        &mut self,
        received: &Received<'_>,
        own: Option<IpAddr>,
    ) -> Result<Advert, Objection> {
        let parts = Parts::read(received)?;
        let object = |(reason, detail)| Objection { reason, sender: Some(parts.source), detail };
        self.check_origin(&parts, own).map_err(object)?;
        self.check_form(&parts).map_err(object)?;
        let sequence = self.check_authentication(&parts).map_err(object)?;
        let interval = self.check_interval(&parts).map_err(object)?;
        self.check_kind(&parts).map_err(object)?;
        let coverage = check_checksum(&parts).map_err(object)?;
        self.check_cast(&parts).map_err(object)?;
        if let Some(sequence) = sequence {
            self.sequence = sequence;
        }
        let hand_over = self.settings.version == Version::V2
            && parts.fixed.priority == 0
            && parts.v4.as_ref().is_some_and(|v4| v4.identification == HAND_OVER_ID);
        let priority = parts.fixed.priority;
        Ok(Advert {
            heard: Heard { source: parts.source, priority, interval, hand_over },
            warning: self.doubt(&parts, interval).map(object),
            coverage,
        })
    }

    fn check_origin(&self, parts: &Parts<'_>, own: Option<IpAddr>) -> Result<(), Finding> {
        if own == Some(parts.source) {
            return Err((Reason::OwnPacket, Detail::None));
        }
        let wanted = self.settings.virtual_router_id;
        let got = parts.fixed.virtual_router_id;
        demand(Reason::WrongVirtualRouter, got.into(), wanted.into())?;
        let has_ah = parts.v4.as_ref().is_some_and(|v4| v4.ah.is_some());
        match (has_ah, self.ah_key().is_some()) {
            (true, false) => Err((Reason::UnexpectedAh, Detail::None)),
            (false, true) => Err((Reason::MissingAh, Detail::None)),
            _ => Ok(()),
        }
    }

    /// Length, TTL, version.
    fn check_form(&self, parts: &Parts<'_>) -> Result<(), Finding> {
        let count = usize::from(parts.fixed.count);
        let trailer = match parts.fixed.version {
            2 => Some(AUTH_LEN),
            3 => Some(0),
            // How long another version's are is not known.
            _ => None,
        };
        if let Some(trailer) = trailer {
            let wanted = FIXED_LEN + count * parts.address_len() + trailer;
            demand(Reason::BadLength, parts.message.len() as u64, wanted as u64)?;
        }
        if parts.destination.is_multicast() {
            demand(Reason::BadTtl, parts.hop_limit.into(), HOP_LIMIT.into())?;
        }
        let wanted = match self.settings.version {
            Version::V2 => 2,
            Version::V3 => 3,
        };
        demand(Reason::WrongVersion, parts.fixed.version.into(), wanted)
    }

    /// With AH, the packet's sequence number.
    fn check_authentication(&self, parts: &Parts<'_>) -> Result<Option<u32>, Finding> {
        if self.settings.version == Version::V3 {
            return Ok(None);
        }
        let got = parts.fixed.auth_type();
        demand(Reason::WrongAuthType, got.into(), self.auth_type().into())?;
        match (&self.settings.authentication, &parts.v4) {
            (Authentication::Pass(secret), _) if !parts.message.ends_with(&secret.0) => {
                Err((Reason::WrongPassword, Detail::None))
            }
            (Authentication::Ah(key), Some(V4 { source, header, ah: Some(ah), .. })) => ah
                .verify(&key.0, self.sequence, header, *source, parts.message)
                .map(Some)
                .map_err(|reason| (reason, Detail::None)),
            _ => Ok(None),
        }
    }

    fn check_interval(&self, parts: &Parts<'_>) -> Result<Duration, Finding> {
        let interval = match self.settings.version {
            Version::V2 => parts.fixed.seconds(),
            Version::V3 => parts.fixed.centiseconds(),
        };
        if interval.is_zero() { Err((Reason::ZeroInterval, Detail::None)) } else { Ok(interval) }
    }

    /// Type, and that there is an address at all (RFC 9568 §5.2.5).
    fn check_kind(&self, parts: &Parts<'_>) -> Result<(), Finding> {
        demand(Reason::BadType, parts.fixed.kind.into(), ADVERTISEMENT.into())?;
        if parts.fixed.count == 0 { Err((Reason::NoAddress, Detail::None)) } else { Ok(()) }
    }

    /// Multicast or unicast, and from whom.
    fn check_cast(&self, parts: &Parts<'_>) -> Result<(), Finding> {
        match (&self.settings.unicast, parts.destination.is_multicast()) {
            (Some(_), true) => Err((Reason::UnexpectedMulticast, Detail::None)),
            (None, false) => Err((Reason::UnexpectedUnicast, Detail::None)),
            (Some(unicast), false)
                if unicast.check_source && !unicast.peers.contains(&parts.source) =>
            {
                Err((Reason::NotAPeer, Detail::None))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with an advertisement that counts all the same.
    fn doubt(&self, parts: &Parts<'_>, interval: Duration) -> Option<Finding> {
        let millis = |interval: Duration| interval.as_millis() as u64;
        let configured = self.settings.advert_interval;
        // In version 3 a node that hands over advertises the shortest on purpose.
        let on_purpose = self.settings.version == Version::V3 && interval == SHORTEST_INTERVAL;
        let interval = if on_purpose { configured } else { interval };
        let addresses = &self.settings.addresses;
        let count = addresses.len().min(usize::from(u8::MAX)) as u64;
        demand(Reason::IntervalMismatch, millis(interval), millis(configured))
            .and_then(|()| demand(Reason::AddressCount, parts.fixed.count.into(), count))
            .err()
            .or_else(|| {
                let missing = addresses.iter().take(255).find(|&&own| !parts.advertises(own))?;
                Some((Reason::AddressList, Detail::Missing(*missing)))
            })
    }
}

impl<'a> Parts<'a> {
    fn read(received: &Received<'a>) -> Result<Self, Objection> {
        let truncated =
            |sender| Objection { reason: Reason::Truncated, sender, detail: Detail::None };
        match *received {
            Received::V6 { source, destination, hop_limit, message } => {
                let source = source.into();
                let fixed = Fixed::read(message).ok_or_else(|| truncated(Some(source)))?;
                let destination = destination.into();
                Ok(Self { source, destination, hop_limit, fixed, message, v4: None })
            }
            Received::V4(bytes) => {
                let packet = ip::Packet::read(bytes)
                    .map_err(|reason| Objection { reason, ..truncated(None) })?;
                let ip::Packet { header, source, identification, payload, .. } = packet;
                let short = || truncated(Some(source.into()));
                let (ah, message) = if packet.has_ah {
                    let (ah, message) = Ah::split(payload).ok_or_else(short)?;
                    (Some(ah), message)
                } else {
                    (None, payload)
                };
                Ok(Self {
                    source: source.into(),
                    destination: packet.destination.into(),
                    hop_limit: packet.ttl,
                    fixed: Fixed::read(message).ok_or_else(short)?,
                    message,
                    v4: Some(V4 { source, header, identification, ah }),
                })
            }
        }
    }

    const fn address_len(&self) -> usize {
        if self.v4.is_some() { 4 } else { 16 }
    }

    fn advertises(&self, address: IpAddr) -> bool {
        // The length has been checked; in version 2 the authentication data follow.
        let end = FIXED_LEN + usize::from(self.fixed.count) * self.address_len();
        let addresses = self.message.get(FIXED_LEN..end).unwrap_or_default();
        match address {
            IpAddr::V4(address) => addresses.as_chunks().0.contains(&address.octets()),
            IpAddr::V6(address) => addresses.as_chunks().0.contains(&address.octets()),
        }
    }
}

fn check_checksum(parts: &Parts<'_>) -> Result<Coverage, Finding> {
    let Parts { source, destination, message, .. } = *parts;
    let pseudo = Sum::pseudo_header(source, destination, message.len());
    let message_alone = || Sum::ZERO.add(message).is_right();
    let with_pseudo = || pseudo.add(message).is_right();
    let is_v2 = parts.fixed.version == 2;
    if !is_v2 && with_pseudo() {
        Ok(Coverage::PseudoHeader)
    } else if (is_v2 || parts.v4.is_some()) && message_alone() {
        Ok(Coverage::Message)
    } else {
        Err((Reason::Checksum, Detail::None))
    }
}

fn demand(reason: Reason, got: u64, wanted: u64) -> Result<(), Finding> {
    if got == wanted { Ok(()) } else { Err((reason, Detail::Numbers { got, wanted })) }
}
