//! What goes out.

use super::*;

fn identification(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[4], bytes[5]])
}

fn next(codec: &mut Codec, send: &Send) -> Vec<u8> {
    let mut bytes = vec![1; 3];
    codec.encode(send, ip(PEER), ip(GROUP), &mut bytes);
    bytes
}

#[test]
fn identifications_count_from_one_past_zero_and_past_the_mark() {
    let mut codec = Codec::new(pass());
    let send = advert(100, &pass());
    assert_eq!(identification(&next(&mut codec, &send)), 1);
    assert_eq!(identification(&next(&mut codec, &send)), 2);
    codec.identification = HAND_OVER_ID - 1;
    assert_eq!(identification(&next(&mut codec, &send)), HAND_OVER_ID + 1);
    codec.identification = u16::MAX;
    assert_eq!(identification(&next(&mut codec, &send)), 1);
}

#[test]
fn a_hand_over_of_version_2_is_marked_and_heard_as_such() {
    for settings in [pass(), ah()] {
        let mut codec = Codec::new(settings.clone());
        let leaving = Send { hand_over: true, ..advert(0, &settings) };
        let bytes = next(&mut codec, &leaving);
        assert_eq!(identification(&bytes), HAND_OVER_ID);
        assert!(decode(&settings, &bytes).unwrap().heard.hand_over);
        // Only priority 0 hands over.
        let alive = Send { priority: 1, ..leaving };
        assert!(!decode(&settings, &next(&mut codec, &alive)).unwrap().heard.hand_over);
        let plain = next(&mut codec, &advert(0, &settings));
        assert_eq!(identification(&plain), 1);
        assert!(!decode(&settings, &plain).unwrap().heard.hand_over);
    }
}

#[test]
fn a_hand_over_of_version_3_is_told_by_its_interval() {
    let mut codec = Codec::new(v3());
    let leaving = Send { priority: 0, interval: SHORTEST_INTERVAL, hand_over: true };
    let bytes = next(&mut codec, &leaving);
    assert_eq!(identification(&bytes), 1);
    let heard = decode(&v3(), &bytes).unwrap().heard;
    assert_eq!((heard.interval, heard.hand_over), (SHORTEST_INTERVAL, false));
}

#[test]
fn numbers_are_shared_between_sending_and_hearing() {
    let mut codec = Codec::new(ah());
    let mut peer = Codec::new(ah());
    let send = advert(100, &ah());
    for _ in 0..10 {
        let bytes = next(&mut peer, &send);
        codec.decode(&Received::V4(&bytes), None).unwrap();
    }
    let mut bytes = Vec::new();
    codec.encode(&send, ip(OWN), ip(GROUP), &mut bytes);
    assert_eq!(bytes[28..32], 11u32.to_be_bytes());
    codec.reconfigure(ah());
    codec.encode(&send, ip(OWN), ip(GROUP), &mut bytes);
    assert_eq!(bytes[28..32], 12u32.to_be_bytes());
    assert_eq!(identification(&bytes), 2);
}

#[test]
fn intervals_are_cut_to_what_the_field_holds() {
    let sent = |settings: Settings, interval| {
        let send = Send { priority: 1, interval, hand_over: false };
        let bytes = next(&mut Codec::new(settings.clone()), &send);
        decode(&settings, &bytes).unwrap().heard.interval
    };
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    assert_eq!(sent(pass(), ms(10)), s(1));
    assert_eq!(sent(pass(), ms(2999)), s(2));
    assert_eq!(sent(pass(), s(300)), s(255));
    assert_eq!(sent(v3(), ms(1)), ms(10));
    assert_eq!(sent(v3(), ms(1999)), ms(1990));
    assert_eq!(sent(v3(), s(300)), ms(40_950));
}

#[test]
fn more_addresses_than_the_count_holds() {
    let addresses: Vec<IpAddr> =
        (0..300u32).map(|n| IpAddr::V4((0x0a0a_0000 + n).into())).collect();
    let settings = Settings { addresses, ..pass() };
    let bytes = packet(&settings);
    assert_eq!(bytes.len(), 20 + 8 + 255 * 4 + 8);
    assert_eq!(decode(&settings, &bytes).unwrap().warning, None);
}

#[test]
fn families_do_not_mix() {
    let mut bytes = vec![1];
    Codec::new(v3()).encode(&advert(1, &v3()), ip(PEER), ip("ff02::12"), &mut bytes);
    assert!(bytes.is_empty());
}
