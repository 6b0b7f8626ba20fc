//! VRRP packets: a byte that chooses the instance and how packets are treated, then packets, each
//! after its length in one byte, for one codec.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use lb_agent::{
    config::vrrp::{Authentication, Secret},
    vrrp::{
        Version,
        machine::Send,
        packet::{
            AH_PROTOCOL, Codec, GROUP_V4, GROUP_V6, PROTOCOL, Received, Settings, Unicast, peek,
        },
    },
};

/// Of the first byte: the message's checksum is made right before the packet is read, so that
/// changes get past it.
const SEALED: u8 = 0x80;
const UNICAST: u8 = 0x40;

/// Who sends over IPv6, as in the capture.
const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0xa);

/// Of the first byte: what the instance speaks.
const KINDS: [fn() -> Settings; 5] = [
    || settings(Version::V2, Authentication::None, &["10.9.0.100", "10.9.0.101"]),
    || settings(Version::V2, Authentication::Pass(Secret(*b"42\0\0\0\0\0\0")), &["10.9.0.100"]),
    || settings(Version::V2, Authentication::Ah(Secret(*b"myP@sswo")), &["10.9.0.100"]),
    || settings(Version::V3, Authentication::None, &["10.9.0.100"]),
    || settings(Version::V3, Authentication::None, &["fe80::51", "fd09::100"]),
];

fn settings(version: Version, authentication: Authentication, vips: &[&str]) -> Settings {
    let address = |vip: &&str| vip.parse::<IpAddr>().ok();
    Settings {
        version,
        virtual_router_id: 51,
        addresses: vips.iter().filter_map(address).collect(),
        authentication,
        unicast: None,
        advert_interval: Duration::from_secs(1),
    }
}

pub(crate) fn run(input: &[u8]) {
    let Some((&choice, mut rest)) = input.split_first() else { return };
    let kind = KINDS[usize::from(choice & 0x3f) % KINDS.len()];
    let mut settings = kind();
    if choice & UNICAST != 0 {
        settings.unicast = Some(Unicast { peers: Vec::new(), check_source: false });
    }
    let is_v6 = settings.addresses.iter().any(IpAddr::is_ipv6);
    let mut codec = Codec::new(settings);
    while let Some((&len, tail)) = rest.split_first() {
        let (packet, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        let mut packet = packet.to_vec();
        if choice & SEALED != 0 {
            seal(&mut packet, is_v6);
        }
        hear(&mut codec, &packet);
    }
}

fn hear(codec: &mut Codec, packet: &[u8]) {
    let (source, destination) = (SOURCE_V6, GROUP_V6);
    let v6 = Received::V6 { source, destination, hop_limit: 255, message: packet };
    let is_v6 = codec.settings().addresses[0].is_ipv6();
    let received = if is_v6 { v6 } else { Received::V4(packet) };
    let peeked = peek(&received);
    let advert = match codec.decode(&received, None) {
        Ok(advert) => advert,
        Err(objection) => {
            assert!(!objection.reason.is_tolerated(), "{objection}");
            return;
        }
    };
    // What is believed is for this instance, and in its version.
    let peeked = peeked.expect("an accepted packet that is too short to peek into");
    assert_eq!(peeked.virtual_router_id, codec.settings().virtual_router_id);
    assert!(!advert.heard.interval.is_zero());
    assert!(advert.warning.is_none_or(|warning| warning.reason.is_tolerated()));
    // Said again, it is heard again.
    let send = Send {
        priority: advert.heard.priority,
        interval: advert.heard.interval,
        hand_over: advert.heard.hand_over,
    };
    let mut settings = codec.settings().clone();
    settings.unicast = None;
    let (from, to): (IpAddr, IpAddr) =
        (advert.heard.source, if is_v6 { GROUP_V6.into() } else { GROUP_V4.into() });
    let mut again = Vec::new();
    Codec::new(settings.clone()).encode(&send, from, to, &mut again);
    let received = if is_v6 {
        Received::V6 { source, destination, hop_limit: 255, message: &again }
    } else {
        Received::V4(&again)
    };
    let echo = Codec::new(settings).decode(&received, None).expect("what was said");
    assert_eq!(echo.heard, advert.heard);
}

/// Makes the message's checksum right: over IPv6 with the pseudo header, over IPv4 without, which
/// version 3 takes as well.
fn seal(packet: &mut [u8], is_v6: bool) {
    let (message, mut sum) = if is_v6 {
        let addresses = SOURCE_V6.octets().into_iter().chain(GROUP_V6.octets());
        let addresses: Vec<u8> = addresses.collect();
        let len = packet.len() as u32;
        (Some(packet), words(&addresses) + len + u32::from(PROTOCOL))
    } else {
        (message_v4(packet), 0)
    };
    let Some(message) = message.filter(|message| message.len() >= 8) else { return };
    message[6..8].fill(0);
    sum += words(message);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    message[6..8].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// What the header of an IPv4 packet calls its message.
fn message_v4(packet: &mut [u8]) -> Option<&mut [u8]> {
    let &[first, _, high, low, _, _, _, _, _, protocol] = packet.first_chunk()?;
    let ah = if protocol == AH_PROTOCOL { 24 } else { 0 };
    let start = usize::from(first & 0xf) * 4 + ah;
    let end = usize::from(u16::from_be_bytes([high, low]));
    packet.get_mut(start..end)
}

fn words(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    bytes.chunks(2).map(word).sum()
}

/// keepalived's own packets.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    macro_rules! capture {
        ($name:literal) => {
            include_str!(concat!(
                "../../../lb-agent/src/vrrp/packet/tests/captures/",
                $name,
                ".txt"
            ))
        };
    }
    let captures = [
        (0, capture!("v2-noauth")),
        (1, capture!("v2-pass42")),
        (1 | UNICAST, capture!("v2-uni")),
        (2, capture!("v2-ah-mc")),
        (2 | UNICAST, capture!("v2-ah-uni")),
        (3, capture!("v3-mc")),
        (3 | UNICAST, capture!("v3-uni")),
        (4, capture!("v3-ip6")),
    ];
    let mut seeds = Vec::new();
    for (choice, text) in captures {
        let all: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(hex).collect();
        // The first and the last few: an election, and priority 0.
        let last = all.len().saturating_sub(3).max(3);
        let some = all.iter().take(3).chain(all.iter().skip(last));
        for sealed in [0, SEALED] {
            let mut seed = vec![choice | sealed];
            for packet in some.clone() {
                // Of IPv6 the codec gets the payload.
                let packet = if choice == 4 { &packet[40..] } else { packet };
                seed.push(packet.len() as u8);
                seed.extend(packet);
            }
            seeds.push(seed);
        }
    }
    seeds
}

fn hex(line: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).map_or(0, |value| value as u8);
    let pairs = line.as_bytes().chunks_exact(2);
    pairs.map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}
