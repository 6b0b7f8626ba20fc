//! Advertisements to send.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    AH_PROTOCOL, Codec, HAND_OVER_ID, PROTOCOL, ah,
    checksum::Sum,
    ip,
    message::{ADVERTISEMENT, AUTH_LEN, CHECKSUM},
};
use crate::{
    config::vrrp::Authentication,
    vrrp::{Version, machine::Send},
};

impl Codec {
    /// Puts the packet for one destination in place of what `out` holds: over IPv4 the whole of
    /// it, over IPv6 the payload. Each call counts up identification and sequence number, so a
    /// packet is encoded once per unicast peer.
    ///
    /// In version 2 the interval is cut to whole seconds, in version 3 to whole centiseconds, and
    /// both to what the field holds. `out` is left empty when source and destination are of two
    /// families.
    pub fn encode(&mut self, send: &Send, source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
        out.clear();
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.encode_v4(send, source, destination, out);
            }
            (IpAddr::V6(_), IpAddr::V6(_)) => self.message(send, source, destination, out),
            _ => {}
        }
    }

    fn encode_v4(
        &mut self,
        send: &Send,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        out: &mut Vec<u8>,
    ) {
        let marked = send.hand_over && self.settings.version == Version::V2;
        let identification = if marked { HAND_OVER_ID } else { self.next_identification() };
        let sequence = ah::next_sequence(self.sequence);
        let ah_len = if self.ah_key().is_some() { ah::LEN } else { 0 };
        let start = ip::HEADER_LEN + ah_len;
        out.resize(start, 0);
        self.message(send, source.into(), destination.into(), out);
        let (headers, message) = out.split_at_mut(start);
        let protocol = if ah_len > 0 { AH_PROTOCOL } else { PROTOCOL };
        let len = ah_len + message.len();
        let header = ip::header(source, destination, protocol, identification, len);
        let (ip, ah) = headers.split_at_mut(ip::HEADER_LEN);
        ip.copy_from_slice(&header);
        if let Some(key) = self.ah_key() {
            ah.copy_from_slice(&ah::header(key, sequence, &header, source, message));
            self.sequence = sequence;
        }
    }

    /// Zero is left out as keepalived does: Linux fills it in by itself (`raw(7)`).
    fn next_identification(&mut self) -> u16 {
        loop {
            self.identification = self.identification.wrapping_add(1);
            if !matches!(self.identification, 0 | HAND_OVER_ID) {
                return self.identification;
            }
        }
    }

    /// Appends the message.
    fn message(&self, send: &Send, source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
        let start = out.len();
        let settings = &self.settings;
        let addresses = settings.addresses.iter().take(usize::from(u8::MAX));
        let (number, words) = match settings.version {
            Version::V2 => (2, [self.auth_type(), seconds(send.interval)]),
            Version::V3 => (3, centiseconds(send.interval).to_be_bytes()),
        };
        out.extend([number << 4 | ADVERTISEMENT, settings.virtual_router_id, send.priority]);
        out.push(addresses.len() as u8);
        out.extend(words);
        out.extend([0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(address) => out.extend(address.octets()),
                IpAddr::V6(address) => out.extend(address.octets()),
            }
        }
        let mut sum = Sum::ZERO;
        match (settings.version, &settings.authentication) {
            (Version::V2, Authentication::Pass(secret)) => out.extend(secret.0),
            (Version::V2, _) => out.extend([0; AUTH_LEN]),
            (Version::V3, _) => {
                sum = Sum::pseudo_header(source, destination, out.len() - start);
            }
        }
        let message = &mut out[start..];
        let checksum = sum.add(message).field();
        message[CHECKSUM].copy_from_slice(&checksum);
    }

    /// RFC 2338 §5.3.6.
    pub(super) const fn auth_type(&self) -> u8 {
        match self.settings.authentication {
            Authentication::None => 0,
            Authentication::Pass(_) => 1,
            Authentication::Ah(_) => 2,
        }
    }
}

fn seconds(interval: Duration) -> u8 {
    u8::try_from(interval.as_secs()).unwrap_or(u8::MAX).max(1)
}

fn centiseconds(interval: Duration) -> u16 {
    const MOST: u16 = 0xfff;
    u16::try_from(interval.as_millis() / 10).unwrap_or(MOST).clamp(1, MOST)
}
