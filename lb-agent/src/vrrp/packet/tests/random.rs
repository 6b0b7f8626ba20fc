//! Properties.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

fn authentications() -> impl Strategy<Value = Authentication> {
    let secret = || any::<[u8; 8]>().prop_map(Secret);
    prop_oneof![
        Just(Authentication::None),
        secret().prop_map(Authentication::Pass),
        secret().prop_map(Authentication::Ah),
    ]
}

prop_compose! {
    fn instances()(
        is_v2: bool,
        v6: bool,
        virtual_router_id in 1u8..,
        addresses in vec(any::<u128>(), 1..20),
        authentication in authentications(),
        units in 1u64..=255,
        multicast: bool,
    ) -> Settings {
        let address = |bits: u128| -> IpAddr {
            if v6 && !is_v2 { Ipv6Addr::from(bits).into() } else { Ipv4Addr::from(bits as u32).into() }
        };
        Settings {
            version: if is_v2 { Version::V2 } else { Version::V3 },
            virtual_router_id,
            addresses: addresses.into_iter().map(address).collect(),
            authentication,
            unicast: (!multicast).then(|| Unicast { peers: Vec::new(), check_source: false }),
            advert_interval: Duration::from_millis(units * if is_v2 { 1000 } else { 10 }),
        }
    }
}

/// Source and destination as the settings want them, from arbitrary bits.
fn route(settings: &Settings, from: u128, to: u128) -> (IpAddr, IpAddr) {
    let multicast = settings.unicast.is_none();
    if settings.addresses[0].is_ipv6() {
        let to = if multicast { GROUP_V6 } else { Ipv6Addr::from(to >> 8) };
        (Ipv6Addr::from(from).into(), to.into())
    } else {
        let to = if multicast { GROUP_V4 } else { Ipv4Addr::from((to as u32) >> 4) };
        (Ipv4Addr::from(from as u32).into(), to.into())
    }
}

fn received<'a>(source: IpAddr, destination: IpAddr, bytes: &'a [u8]) -> Received<'a> {
    match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Received::V6 { source, destination, hop_limit: 255, message: bytes }
        }
        _ => Received::V4(bytes),
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_heard(
        settings in instances(),
        priority: u8,
        hand_over: bool,
        from: u128,
        to: u128,
    ) {
        let (source, destination) = route(&settings, from, to);
        let send = Send { priority, interval: settings.advert_interval, hand_over };
        let mut bytes = Vec::new();
        Codec::new(settings.clone()).encode(&send, source, destination, &mut bytes);
        let received = received(source, destination, &bytes);
        let advert = Codec::new(settings.clone()).decode(&received, None).unwrap();
        let hand_over = hand_over && priority == 0 && settings.version == Version::V2;
        let interval = settings.advert_interval;
        prop_assert_eq!(advert.heard, Heard { source, priority, interval, hand_over });
        prop_assert_eq!(advert.warning, None);
        let peeked = peek(&received).unwrap();
        prop_assert_eq!(peeked.virtual_router_id, settings.virtual_router_id);
    }

    #[test]
    fn anything_is_read_without_panic(settings in instances(), bytes in vec(any::<u8>(), 0..120)) {
        let mut codec = Codec::new(settings);
        let (source, destination) = (Ipv6Addr::LOCALHOST, GROUP_V6);
        let v6 = Received::V6 { source, destination, hop_limit: 255, message: &bytes };
        for received in [Received::V4(&bytes), v6] {
            let _unread = (peek(&received), codec.decode(&received, None));
        }
    }

    /// One damaged byte is noticed, unless it is one of the IP header that nobody relies on (the
    /// kernel has checked the header's checksum), or padding.
    #[test]
    fn a_damaged_message_is_refused(
        settings in instances(),
        at: prop::sample::Index,
        flip in 1u8..,
        from: u128,
        to: u128,
    ) {
        let (source, destination) = route(&settings, from, to);
        let send = Send { priority: 100, interval: settings.advert_interval, hand_over: false };
        let mut bytes = Vec::new();
        Codec::new(settings.clone()).encode(&send, source, destination, &mut bytes);
        let start = if source.is_ipv4() { 20 } else { 0 };
        let at = start + at.index(bytes.len() - start);
        bytes[at] ^= flip;
        let received = received(source, destination, &bytes);
        let outcome = Codec::new(settings).decode(&received, None);
        prop_assert!(outcome.is_err(), "byte {} of {:02x?}: {:?}", at, bytes, outcome);
    }
}
