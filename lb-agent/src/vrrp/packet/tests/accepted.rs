//! What counts although it is not what this node would have sent.

use super::*;

fn warning(settings: &Settings, bytes: &[u8]) -> Option<String> {
    let warning = decode(settings, bytes).unwrap().warning?;
    assert!(warning.reason.is_tolerated());
    assert_eq!(warning.sender, Some(ip(PEER)));
    Some(format!("{} {warning}", warning.reason.name()))
}

#[test]
fn another_interval() {
    let three = Settings { advert_interval: Duration::from_secs(3), ..pass() };
    let bytes = packet(&three);
    let heard = decode(&pass(), &bytes).unwrap().heard;
    assert_eq!((heard.priority, heard.interval), (100, Duration::from_secs(3)));
    let wanted =
        "interval_mismatch the advertisement interval (in ms) is another: 3000 instead of 1000";
    assert_eq!(warning(&pass(), &bytes).as_deref(), Some(wanted));
    let slow = Settings { advert_interval: Duration::from_millis(40_950), ..v3() };
    assert!(warning(&v3(), &packet(&slow)).unwrap().contains("40950 instead of 100"));
    assert_eq!(decode(&v3(), &packet(&slow)).unwrap().heard.interval.as_millis(), 40_950);
}

#[test]
fn the_shortest_interval_of_version_3_is_a_hand_over() {
    let shortest = Settings { advert_interval: SHORTEST_INTERVAL, ..v3() };
    assert_eq!(warning(&v3(), &packet(&shortest)), None);
    assert_eq!(decode(&v3(), &packet(&shortest)).unwrap().heard.interval, SHORTEST_INTERVAL);
}

#[test]
fn another_number_of_addresses() {
    for settings in [pass(), ah(), v3()] {
        let addresses = vec![ip("10.9.0.100"), ip("10.9.0.101")];
        let two = Settings { addresses, ..settings.clone() };
        let found = warning(&settings, &packet(&two)).unwrap();
        assert_eq!(found, "address_count the number of addresses is another: 2 instead of 1");
        let found = warning(&two, &packet(&settings)).unwrap();
        assert_eq!(found, "address_count the number of addresses is another: 1 instead of 2");
    }
}

#[test]
fn other_addresses() {
    for settings in [pass(), v3()] {
        let other = Settings { addresses: vec![ip("10.9.0.101")], ..settings.clone() };
        let found = warning(&settings, &packet(&other)).unwrap();
        assert_eq!(found, "address_list the list of addresses is another: it lacks `10.9.0.100`");
    }
    // A password is not an address.
    let password = v2(Authentication::Pass(Secret([10, 9, 0, 100, 10, 9, 0, 100])));
    let other = Settings { addresses: vec![ip("10.9.0.101")], ..password.clone() };
    assert!(warning(&password, &packet(&other)).is_some());
}

#[test]
fn the_order_of_addresses_does_not_matter() {
    let addresses = vec![ip("10.9.0.100"), ip("10.9.0.101")];
    let one = Settings { addresses: addresses.clone(), ..pass() };
    let other = Settings { addresses: addresses.into_iter().rev().collect(), ..pass() };
    assert_ne!(packet(&one), packet(&other));
    assert_eq!(warning(&one, &packet(&other)), None);
}

#[test]
fn both_checksums_of_version_3_over_ipv4() {
    let mut bytes = packet(&v3());
    assert_eq!(decode(&v3(), &bytes).unwrap().coverage, Coverage::PseudoHeader);
    seal_message(&mut bytes[20..]);
    let advert = decode(&v3(), &bytes).unwrap();
    assert_eq!((advert.coverage, advert.warning), (Coverage::Message, None));
}

#[test]
fn padding_after_the_packet() {
    for settings in [pass(), ah(), v3()] {
        let mut bytes = packet(&settings);
        bytes.resize(60.max(bytes.len() + 3), 0xaa);
        assert!(decode(&settings, &bytes).is_ok());
    }
}

#[test]
fn unicast_that_was_routed() {
    for settings in [unicast(pass()), unicast(ah())] {
        let mut bytes = packet(&settings);
        bytes[8] = 64;
        bytes[1] = 0;
        seal_header(&mut bytes);
        assert!(decode(&settings, &bytes).is_ok());
    }
}

#[test]
fn ip_options() {
    let mut bytes = packet(&pass());
    bytes.splice(20..20, [1, 1, 1, 0]);
    bytes[0] = 0x46;
    bytes[3] += 4;
    assert!(decode(&pass(), &bytes).is_ok());
}

#[test]
fn peeking_tells_instances_apart() {
    let look = |bytes: &[u8]| peek(&Received::V4(bytes));
    let found = |version, ah| Some(Peek { version, virtual_router_id: 51, ah });
    assert_eq!(look(&packet(&pass())), found(2, false));
    assert_eq!(look(&packet(&ah())), found(2, true));
    assert_eq!(look(&packet(&v3())), found(3, false));
    assert_eq!(look(&packet(&ah())[..51]), None);
    let (source, destination) = ("fe80::2".parse().unwrap(), GROUP_V6);
    let message = [0x31, 7, 100, 1, 0, 50, 0, 0];
    let received = Received::V6 { source, destination, hop_limit: 255, message: &message };
    let wanted = Peek { version: 3, virtual_router_id: 7, ah: false };
    assert_eq!(peek(&received), Some(wanted));
}

#[test]
fn a_restarted_neighbour_after_the_last_sequence_number() {
    let mut codec = Codec::new(ah());
    let mut peer = Codec::new(ah());
    let mut bytes = Vec::new();
    peer.sequence = 0xffff_fffc;
    for wanted in [0xffff_fffd, 1, 2] {
        peer.encode(&advert(100, &ah()), ip(PEER), ip(GROUP), &mut bytes);
        assert!(codec.decode(&Received::V4(&bytes), None).is_ok());
        assert_eq!(codec.sequence, wanted);
    }
}
