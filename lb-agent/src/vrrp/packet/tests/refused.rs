//! One packet for each reason: right but for one thing, with checksums that hold.

use super::*;

/// Where the message begins, without and with AH.
const MESSAGE: usize = 20;
const AH_MESSAGE: usize = 44;

fn reason(settings: &Settings, bytes: &[u8]) -> Reason {
    let objection = decode(settings, bytes).unwrap_err();
    assert!(!objection.reason.is_tolerated(), "{objection}");
    objection.reason
}

/// A packet of ours after `change`, with the checksums made right.
fn changed(settings: &Settings, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = packet(settings);
    change(&mut bytes);
    let start = if bytes[9] == AH_PROTOCOL { AH_MESSAGE } else { MESSAGE };
    seal_message(&mut bytes[start..]);
    seal_header(&mut bytes);
    bytes
}

/// Puts an ICV that is right in place of the packet's.
fn authenticate(bytes: &mut [u8]) {
    let header: [u8; 20] = bytes[..20].try_into().unwrap();
    let source = <[u8; 4]>::try_from(&header[12..16]).unwrap().into();
    let sequence = u32::from_be_bytes(bytes[28..32].try_into().unwrap());
    let made = ah::header(b"myP@sswo", sequence, &header, source, &bytes[AH_MESSAGE..]);
    bytes[20..AH_MESSAGE].copy_from_slice(&made);
}

fn set_len(bytes: &mut [u8]) {
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
}

#[test]
fn truncated() {
    for settings in [pass(), ah(), v3(), unicast(ah())] {
        let whole = packet(&settings);
        for len in 0..whole.len() {
            assert_eq!(reason(&settings, &whole[..len]), Reason::Truncated, "{len}");
        }
        // Short, and the header says so: cut off in the middle of the message's fixed part.
        let start =
            if settings.authentication == ah().authentication { AH_MESSAGE } else { MESSAGE };
        for len in 20..start + 8 {
            let mut short = whole[..len].to_vec();
            set_len(&mut short);
            seal_header(&mut short);
            assert_eq!(reason(&settings, &short), Reason::Truncated, "{len}");
        }
    }
    let message = [0x31, 51, 100, 1, 0, 50, 0];
    let (source, destination) = ("fe80::2".parse().unwrap(), GROUP_V6);
    let short = Received::V6 { source, destination, hop_limit: 255, message: &message };
    let objection = Codec::new(v3_ip6()).decode(&short, None).unwrap_err();
    assert_eq!(objection.reason, Reason::Truncated);
    assert_eq!(objection.sender, Some(source.into()));
}

#[test]
fn bad_ip_header() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[0] = 0x65,
        |bytes| bytes[0] = 0x44,
        |bytes| bytes[9] = 6,
        |bytes| bytes[2..4].copy_from_slice(&19u16.to_be_bytes()),
    ];
    for damage in damages {
        let mut bytes = packet(&pass());
        damage(&mut bytes);
        seal_header(&mut bytes);
        assert_eq!(reason(&pass(), &bytes), Reason::BadIpHeader);
    }
}

#[test]
fn own_packet() {
    let bytes = packet(&pass());
    let received = Received::V4(&bytes);
    let objection = Codec::new(pass()).decode(&received, Some(ip(PEER))).unwrap_err();
    assert_eq!(objection.reason, Reason::OwnPacket);
    assert!(Codec::new(pass()).decode(&received, None).is_ok());
}

#[test]
fn wrong_virtual_router_id() {
    let other = Settings { virtual_router_id: 52, ..pass() };
    assert_eq!(reason(&other, &packet(&pass())), Reason::WrongVirtualRouter);
}

#[test]
fn ah_where_none_is_configured_and_none_where_it_is() {
    assert_eq!(reason(&pass(), &packet(&ah())), Reason::UnexpectedAh);
    assert_eq!(reason(&v3(), &packet(&ah())), Reason::UnexpectedAh);
    assert_eq!(reason(&ah(), &packet(&pass())), Reason::MissingAh);
}

#[test]
fn bad_length() {
    for settings in [pass(), v3()] {
        let longer = changed(&settings, |bytes| {
            bytes.push(0);
            set_len(bytes);
        });
        assert_eq!(reason(&settings, &longer), Reason::BadLength);
        let shorter = changed(&settings, |bytes| {
            bytes.pop();
            set_len(bytes);
        });
        assert_eq!(reason(&settings, &shorter), Reason::BadLength);
        let more_addresses = changed(&settings, |bytes| bytes[MESSAGE + 3] = 2);
        assert_eq!(reason(&settings, &more_addresses), Reason::BadLength);
    }
}

#[test]
fn bad_ttl() {
    let far = changed(&pass(), |bytes| bytes[8] = 254);
    let objection = decode(&pass(), &far).unwrap_err();
    assert_eq!(objection.reason, Reason::BadTtl);
    assert_eq!(objection.sender, Some(ip(PEER)));
    assert_eq!(objection.to_string(), "the TTL is wrong: 254 instead of 255");
}

#[test]
fn wrong_version() {
    assert_eq!(reason(&v3(), &packet(&pass())), Reason::WrongVersion);
    assert_eq!(reason(&pass(), &packet(&v3())), Reason::WrongVersion);
    let fourth = changed(&pass(), |bytes| bytes[MESSAGE] = 0x41);
    assert_eq!(reason(&pass(), &fourth), Reason::WrongVersion);
}

#[test]
fn wrong_auth_type() {
    let none = v2(Authentication::None);
    assert_eq!(reason(&pass(), &packet(&none)), Reason::WrongAuthType);
    assert_eq!(reason(&none, &packet(&pass())), Reason::WrongAuthType);
    let inside_ah = changed(&ah(), |bytes| bytes[AH_MESSAGE + 4] = 1);
    assert_eq!(reason(&ah(), &inside_ah), Reason::WrongAuthType);
}

#[test]
fn wrong_password() {
    let other = v2(Authentication::Pass(secret("43")));
    assert_eq!(reason(&other, &packet(&pass())), Reason::WrongPassword);
    // The padding is part of it.
    let longer = v2(Authentication::Pass(secret("42x")));
    assert_eq!(reason(&pass(), &packet(&longer)), Reason::WrongPassword);
}

#[test]
fn bad_ah_header() {
    for at in [20, 21] {
        let bytes = changed(&ah(), |bytes| bytes[at] ^= 1);
        assert_eq!(reason(&ah(), &bytes), Reason::BadAhHeader);
    }
}

#[test]
fn ah_spi() {
    let bytes = changed(&ah(), |bytes| bytes[27] ^= 1);
    assert_eq!(reason(&ah(), &bytes), Reason::AhSpi);
}

#[test]
fn ah_replay() {
    let mut codec = Codec::new(ah());
    let bytes = packet(&ah());
    assert!(codec.decode(&Received::V4(&bytes), None).is_ok());
    let again = codec.decode(&Received::V4(&bytes), None).unwrap_err();
    assert_eq!(again.reason, Reason::AhReplay);
    // Zero is before the first.
    let mut zero = packet(&ah());
    zero[28..32].fill(0);
    authenticate(&mut zero);
    assert_eq!(reason(&ah(), &zero), Reason::AhReplay);
}

#[test]
fn ah_icv() {
    let other = v2(Authentication::Ah(secret("myP@sswO")));
    assert_eq!(reason(&other, &packet(&ah())), Reason::AhIcv);
    // Every byte that must not change on the way: identification, TTL (multicast), addresses, AH
    // reserved, sequence number, ICV, priority, address, authentication data.
    for at in [4, 5, 22, 23, 30, 32, 43, AH_MESSAGE + 2, AH_MESSAGE + 8, AH_MESSAGE + 19] {
        let bytes = changed(&ah(), |bytes| bytes[at] ^= 1);
        assert_eq!(reason(&ah(), &bytes), Reason::AhIcv, "byte {at}");
    }
}

#[test]
fn a_packet_that_is_refused_leaves_no_sequence_number() {
    let mut codec = Codec::new(ah());
    for change in [|bytes: &mut Vec<u8>| bytes[28] = 0xff, |bytes: &mut Vec<u8>| bytes[43] ^= 1] {
        let forged = changed(&ah(), change);
        let objection = codec.decode(&Received::V4(&forged), None).unwrap_err();
        assert_eq!(objection.reason, Reason::AhIcv);
    }
    // Authentic, but of a type that nobody knows.
    let mut odd = changed(&ah(), |bytes| {
        bytes[28] = 0xff;
        bytes[AH_MESSAGE] = 0x22;
    });
    authenticate(&mut odd);
    let objection = codec.decode(&Received::V4(&odd), None).unwrap_err();
    assert_eq!(objection.reason, Reason::BadType);
    assert!(codec.decode(&Received::V4(&packet(&ah())), None).is_ok());
}

#[test]
fn zero_interval() {
    let second = changed(&pass(), |bytes| bytes[MESSAGE + 5] = 0);
    assert_eq!(reason(&pass(), &second), Reason::ZeroInterval);
    // The four bits above the interval are not part of it.
    let third = changed(&v3(), |bytes| {
        bytes[MESSAGE + 4] = 0xf0;
        bytes[MESSAGE + 5] = 0;
    });
    assert_eq!(reason(&v3(), &third), Reason::ZeroInterval);
}

#[test]
fn bad_type() {
    let bytes = changed(&pass(), |bytes| bytes[MESSAGE] = 0x22);
    assert_eq!(reason(&pass(), &bytes), Reason::BadType);
    let bytes = changed(&v3(), |bytes| bytes[MESSAGE] = 0x30);
    assert_eq!(reason(&v3(), &bytes), Reason::BadType);
}

#[test]
fn no_address() {
    let none = Settings { addresses: Vec::new(), ..v3() };
    assert_eq!(reason(&v3(), &packet(&none)), Reason::NoAddress);
    assert_eq!(reason(&none, &packet(&none)), Reason::NoAddress);
}

#[test]
fn checksum() {
    for (settings, at) in [(pass(), MESSAGE + 2), (v3(), MESSAGE + 2), (v3(), MESSAGE + 6)] {
        let mut bytes = packet(&settings);
        bytes[at] ^= 1;
        assert_eq!(reason(&settings, &bytes), Reason::Checksum);
    }
    // The authentication data are covered, and version 2 knows no pseudo header.
    let mut sum = checksum::Sum::pseudo_header(ip(PEER), ip(GROUP), 20);
    let bytes = changed(&pass(), |_| ());
    sum = sum.add(&bytes[MESSAGE..MESSAGE + 6]).add(&bytes[MESSAGE + 8..]);
    let mut with_pseudo = bytes;
    with_pseudo[MESSAGE + 6..MESSAGE + 8].copy_from_slice(&sum.field());
    assert_eq!(reason(&pass(), &with_pseudo), Reason::Checksum);
}

#[test]
fn over_ipv6_the_pseudo_header_is_not_left_out() {
    let (source, destination) = ("fe80::2".parse().unwrap(), GROUP_V6);
    let mut message = Vec::new();
    let settings = v3_ip6();
    let send = advert(100, &settings);
    let (from, to) = (IpAddr::V6(source), IpAddr::V6(destination));
    Codec::new(settings.clone()).encode(&send, from, to, &mut message);
    let decode = |message: &[u8]| {
        let received = Received::V6 { source, destination, hop_limit: 255, message };
        Codec::new(settings.clone()).decode(&received, None)
    };
    assert_eq!(decode(&message).unwrap().coverage, Coverage::PseudoHeader);
    seal_message(&mut message);
    assert_eq!(decode(&message).unwrap_err().reason, Reason::Checksum);
}

#[test]
fn unexpected_multicast_and_unicast() {
    assert_eq!(reason(&unicast(pass()), &packet(&pass())), Reason::UnexpectedMulticast);
    assert_eq!(reason(&pass(), &packet(&unicast(pass()))), Reason::UnexpectedUnicast);
}

#[test]
fn not_a_peer() {
    let strangers = |check_source| Settings {
        unicast: Some(Unicast { peers: vec![ip("10.9.0.3")], check_source }),
        ..pass()
    };
    let bytes = packet(&unicast(pass()));
    assert_eq!(reason(&strangers(true), &bytes), Reason::NotAPeer);
    assert!(decode(&strangers(false), &bytes).is_ok());
}

#[test]
fn names_are_distinct_and_snake_case() {
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for (number, one) in Reason::ALL.iter().enumerate() {
        assert_eq!(*one as usize, number);
        let is_snake = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(one.name().bytes().all(is_snake), "{}", one.name());
        assert!(!one.to_string().ends_with('.'));
    }
}
