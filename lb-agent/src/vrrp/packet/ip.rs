//! The IPv4 header (RFC 791 §3.1).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::Ipv4Addr;

use super::{AH_PROTOCOL, HOP_LIMIT, PROTOCOL, TRAFFIC_CLASS, checksum::Sum, reason::Reason};

/// Without options.
pub(super) const HEADER_LEN: usize = 20;

/// A packet cut into its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// With options.
    pub(super) header: &'a [u8],
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) ttl: u8,
    pub(super) identification: u16,
    /// Whether `payload` begins with an Authentication Header; otherwise it is a VRRP message.
    pub(super) has_ah: bool,
    /// As long as the header says.
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Reason> {
        let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Reason::Truncated)?;
        let &[first, _, l0, l1, i0, i1, _, _, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            fixed;
        let header_len = usize::from(first & 0xf) * 4;
        let total_len = usize::from(u16::from_be_bytes([l0, l1]));
        let has_ah = protocol == AH_PROTOCOL;
        if first >> 4 != 4
            || !(HEADER_LEN..=total_len).contains(&header_len)
            || !(has_ah || protocol == PROTOCOL)
        {
            return Err(Reason::BadIpHeader);
        }
        let packet = bytes.get(..total_len).ok_or(Reason::Truncated)?;
        let (header, payload) = packet.split_at(header_len);
        Ok(Self {
            header,
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            ttl,
            identification: u16::from_be_bytes([i0, i1]),
            has_ah,
            payload,
        })
    }
}

/// The header of an advertisement with a payload of `len` bytes.
pub(super) fn header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    identification: u16,
    len: usize,
) -> [u8; HEADER_LEN] {
    // 20 + 24 + 8 + 255 × 4 + 8 at most.
    let total_len = (HEADER_LEN + len) as u16;
    let mut header = [0; HEADER_LEN];
    header[0] = 0x45;
    header[1] = TRAFFIC_CLASS;
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[4..6].copy_from_slice(&identification.to_be_bytes());
    header[8] = HOP_LIMIT;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let checksum = Sum::ZERO.add(&header).field();
    header[10..12].copy_from_slice(&checksum);
    header
}
