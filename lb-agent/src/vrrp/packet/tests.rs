mod accepted;
mod captures;
mod random;
mod refused;
mod sent;

use std::{net::IpAddr, time::Duration};

use super::*;
use crate::{
    config::vrrp::Secret,
    vrrp::{SHORTEST_INTERVAL, machine::Send},
};

const OWN: &str = "10.9.0.1";
const PEER: &str = "10.9.0.2";
const GROUP: &str = "224.0.0.18";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn secret(text: &str) -> Secret {
    let mut bytes = [0; 8];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Secret(bytes)
}

fn v2(authentication: Authentication) -> Settings {
    Settings {
        version: Version::V2,
        virtual_router_id: 51,
        addresses: vec![ip("10.9.0.100")],
        authentication,
        unicast: None,
        advert_interval: Duration::from_secs(1),
    }
}

fn pass() -> Settings {
    v2(Authentication::Pass(secret("42")))
}

fn ah() -> Settings {
    v2(Authentication::Ah(secret("myP@sswo")))
}

fn v3() -> Settings {
    let advert_interval = Duration::from_millis(100);
    Settings { version: Version::V3, advert_interval, ..v2(Authentication::None) }
}

fn v3_ip6() -> Settings {
    let advert_interval = Duration::from_millis(500);
    Settings { addresses: vec![ip("fe80::51"), ip("fd09::100")], advert_interval, ..v3() }
}

fn unicast(settings: Settings) -> Settings {
    Settings {
        unicast: Some(Unicast { peers: vec![ip(OWN), ip(PEER)], check_source: true }),
        ..settings
    }
}

fn advert(priority: u8, settings: &Settings) -> Send {
    Send { priority, interval: settings.advert_interval, hand_over: false }
}

/// A packet that the peer sends with these settings.
fn packet(settings: &Settings) -> Vec<u8> {
    let destination = if settings.unicast.is_some() { OWN } else { GROUP };
    let mut bytes = Vec::new();
    Codec::new(settings.clone()).encode(
        &advert(100, settings),
        ip(PEER),
        ip(destination),
        &mut bytes,
    );
    bytes
}

fn decode(settings: &Settings, bytes: &[u8]) -> Result<Advert, Objection> {
    Codec::new(settings.clone()).decode(&Received::V4(bytes), Some(ip(OWN)))
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let digits: Vec<u8> =
        digits.map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// RFC 1071 spelled out: not the code under test.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for at in (0..bytes.len()).step_by(2) {
        let low = bytes.get(at + 1).copied().unwrap_or(0);
        sum += u32::from(bytes[at]) * 256 + u32::from(low);
    }
    while sum > 0xffff {
        sum = sum % 0x1_0000 + sum / 0x1_0000;
    }
    0xffff - sum as u16
}

/// The header's checksum after a change of the header.
fn seal_header(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let checksum = internet_checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The message's checksum, without pseudo header, after a change of the message.
fn seal_message(message: &mut [u8]) {
    message[6..8].fill(0);
    let checksum = internet_checksum(message);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
}
