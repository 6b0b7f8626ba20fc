//! Another host with our VIP.

use std::{net::IpAddr, time::Duration};

use lb_agent::{
    frame::{ArpForm, gratuitous_arp, unsolicited_na},
    inject::PacketSocket,
};
use lb_tests::{
    claims::epoch,
    lab::topology,
    routers::{Routers, Table},
    wait::{SOON, wait_until},
};
use nix::net::if_::if_nametoindex;

/// Longest pause between two rounds of announcements before they come once a minute.
const LAST_ROUND: Duration = Duration::from_secs(4);

fn a_second_owner_is_told_and_contradicted(vip: IpAddr) {
    let routers = Routers::pair(vip, &Table::new(101, vip)).unwrap();
    let rival = routers.lab.client();
    let (mac, ours) = (rival.mac(), routers.host(0).mac());
    assert_eq!(routers.log(0, &["second owner"]), [] as [String; 0]);
    let length = if vip.is_ipv4() { 32 } else { 128 };
    let mut add = vec!["address".to_owned(), "add".to_owned(), format!("{vip}/{length}")];
    add.extend(["dev", "eth0"].map(str::to_owned));
    add.extend(vip.is_ipv6().then(|| "nodad".to_owned()));
    let add: Vec<&str> = add.iter().map(String::as_str).collect();
    rival.run("ip", &add).unwrap();

    // The rounds of its beginning are over; the next would come after a minute.
    wait_until("lb-01 to have announced the VIP", SOON, || {
        let record = routers.claims.record();
        let last = record.announcements.last().map(|(at, _)| *at);
        last.is_some_and(|at| epoch().saturating_sub(at) > LAST_ROUND)
    })
    .unwrap();
    let frame = match vip {
        IpAddr::V4(vip) => gratuitous_arp(ArpForm::Request, mac, vip),
        IpAddr::V6(vip) => unsolicited_na(mac, vip),
    };
    let claimed = epoch();
    rival
        .in_netns(|| {
            let index = if_nametoindex("eth0").unwrap();
            PacketSocket::open().unwrap().send(index, &frame).unwrap();
        })
        .unwrap();
    wait_until("the second owner to be told", SOON, || {
        !routers.log(0, &["the VIP has a second owner", &mac.to_string()]).is_empty()
    })
    .unwrap();
    wait_until("lb-01 to announce the VIP again", SOON, || {
        let record = routers.claims.record();
        let theirs = record.announcements.iter().find(|(at, by)| *at >= claimed && *by == mac);
        let Some((heard, _)) = theirs else { return false };
        record.announcements.iter().any(|(at, by)| at > heard && *by == ours)
    })
    .unwrap();
    assert_eq!(routers.log(1, &["second owner"]), [] as [String; 0], "lb-02 holds nothing");
    rival.run("ip", &["address", "del", add[2], "dev", "eth0"]).unwrap();
    routers.wait_owner(0).unwrap();
}

#[test]
fn a_second_owner_of_an_ipv4_address_is_told_and_contradicted() {
    a_second_owner_is_told_and_contradicted(topology::vip4(1));
}

#[test]
fn a_second_owner_of_an_ipv6_address_is_told_and_contradicted() {
    a_second_owner_is_told_and_contradicted(topology::vip6(1));
}
