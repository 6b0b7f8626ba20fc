//! As much of a VRRP advertisement as tests look at. No IO.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use lb_common::net::MacAddr;

const VRRP: u8 = 112;
const AUTHENTICATION_HEADER: u8 = 51;

/// An advertisement on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Ethernet address of the sender.
    pub mac: MacAddr,
    /// IP address of the sender.
    pub source: IpAddr,
    /// 2 or 3.
    pub version: u8,
    /// 0 = the sender gives up.
    pub priority: u8,
    /// What it says of its interval.
    pub interval: Duration,
}

impl Advert {
    /// Reads an Ethernet frame; `None` when it is something else. Nothing is verified: that is
    /// the routers' work.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let mac = MacAddr(frame.get(6..12)?.try_into().ok()?);
        let packet = frame.get(14..)?;
        let (source, vrrp) = match frame.get(12..14)? {
            [0x08, 0x00] => {
                let header = usize::from(packet.first()? & 0xf) * 4;
                let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
                let body = packet.get(header..)?;
                let vrrp = match *packet.get(9)? {
                    VRRP => body,
                    // The length counts words of 4 bytes beyond the first two (RFC 4302 §2.2).
                    AUTHENTICATION_HEADER if *body.first()? == VRRP => {
                        body.get((usize::from(*body.get(1)?) + 2) * 4..)?
                    }
                    _ => return None,
                };
                (IpAddr::from(Ipv4Addr::from(source)), vrrp)
            }
            [0x86, 0xdd] if *packet.get(6)? == VRRP => {
                let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
                (IpAddr::from(Ipv6Addr::from(source)), packet.get(40..)?)
            }
            _ => return None,
        };
        let version = vrrp.first()? >> 4;
        let interval = match version {
            2 => Duration::from_secs(u64::from(*vrrp.get(5)?)),
            _ => {
                let field = u16::from_be_bytes(vrrp.get(4..6)?.try_into().ok()?);
                Duration::from_millis(u64::from(field & 0xfff) * 10)
            }
        };
        Some(Self { mac, source, version, priority: *vrrp.get(2)?, interval })
    }
}

#[cfg(test)]
mod tests;
