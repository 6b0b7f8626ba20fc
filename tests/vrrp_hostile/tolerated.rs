//! Neighbours that are configured otherwise: a doubt is told, and the higher priority wins.

use std::time::Duration;

use lb_agent::{
    config::vrrp::Authentication,
    vrrp::{
        Version,
        packet::{Reason, Settings},
    },
};
use lb_tests::{
    lab::topology,
    routers::Routers,
    vrrp::NAME,
    wait::{SOON, wait_until},
};

use crate::{
    a_pair,
    voice::{Voice, secret, settings},
};

/// The stranger takes part as long as it speaks, and our nodes do not fight it.
fn the_higher_wins(routers: &Routers, reason: Reason, settings: Settings) {
    let mut voice = Voice::new(&routers.lab, settings);
    let source = voice.source().to_string();
    wait_until("lb-01 to give way", SOON, || {
        voice.say(254, |_| {});
        let router = routers.router(0, NAME).unwrap();
        router["state"] == "backup" && router["active_router"]["address"] == source.as_str()
    })
    .unwrap();
    wait_until("the VIP to leave lb-01", SOON, || {
        voice.say(254, |_| {});
        !routers.host(0).holds(routers.vip).unwrap()
    })
    .unwrap();
    assert_eq!(routers.router(1, NAME).unwrap()["state"], "backup");
    for node in 0..2 {
        assert!(routers.objections(node, reason.name()).unwrap() > 0, "lb-0{}", node + 1);
        let lines = routers.log(node, &["counts", &reason.to_string()]);
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
    // It gives up.
    voice.say(0, |_| {});
    routers.wait_owner(0).unwrap();
    routers.wait_state(1, NAME, "backup").unwrap();
}

#[test]
fn another_interval_is_tolerated() {
    let routers = a_pair(2, Some("pass"));
    let right = Authentication::Pass(secret("Correct1"));
    let mut stranger = settings(Version::V2, routers.vip, right);
    stranger.advert_interval = Duration::from_secs(2);
    the_higher_wins(&routers, Reason::IntervalMismatch, stranger);
}

#[test]
fn another_list_of_addresses_is_tolerated() {
    let routers = a_pair(3, None);
    let mut stranger = settings(Version::V3, topology::vip4(7), Authentication::None);
    the_higher_wins(&routers, Reason::AddressList, stranger.clone());
    stranger.addresses.push(topology::vip4(8));
    the_higher_wins(&routers, Reason::AddressCount, stranger);
}
