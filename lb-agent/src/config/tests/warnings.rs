//! What is allowed and said to be odd.

use std::path::Path;

use super::{
    SMALLEST, assert_accepted,
    vrrp::{ROUTERS, routers},
};

#[track_caller]
fn assert_warned(text: &str, printed: &[&str]) {
    let config = assert_accepted(text);
    let all: Vec<String> =
        config.warnings.iter().map(|warning| warning.printed(Path::new("lb.toml"))).collect();
    assert_eq!(all, printed);
}

#[test]
fn the_owner_tracks_with_a_weight() {
    assert_warned(
        &routers("priority = 101", "priority = 255"),
        &[
            "lb.toml:30: warning: a track with a weight changes nothing at priority 255, the \
             owner's\nhint: write a `priority` of at most 254, or `weight = 0` to give the \
             addresses up",
            "lb.toml:38: warning: a track with a weight changes nothing at priority 255, the \
             owner's\nhint: write a `priority` of at most 254, or `weight = 0` to give the \
             addresses up",
        ],
    );
}

#[test]
fn a_vip_without_a_router() {
    assert_warned(
        &routers("\"10.0.0.50/24\"", "\"10.0.0.52/24\""),
        &["lb.toml:6: warning: VIP `10.0.0.50` of service `api` is in no `[[vrrp]]`: this node \
           alone claims it\nhint: add `10.0.0.50` to `addresses`, unless no other node serves it"],
    );
    // Without any, this node is meant to be alone.
    assert_warned(SMALLEST, &[]);
    // Held all the same, though not advertised.
    let text = routers("\"10.0.0.50/24\"", "\"10.0.0.52/24\"");
    assert_warned(&text.replace("2001:db8::99/64", "10.0.0.50"), &[]);
}

#[test]
fn an_interface_without_the_program() {
    let first = SMALLEST.replace("eth0", "eth1").replace("10.0.0.50", "2001:db8::50");
    let first = first.replace("10.0.0.11", "2001:db8::11");
    assert_warned(
        &format!("{first}{ROUTERS}"),
        &["lb.toml:44: warning: `eth0` is not among `interfaces` of `[node]`, yet holds the VIP \
           `2001:db8::50`\nhint: add `eth0` to `interfaces`, unless it is a bond or bridge whose \
           members are there: clients that come in elsewhere are refused by this host"],
    );
}

#[test]
fn a_group_of_one() {
    let alone = "name = \"VI_6\"\nsync_group = \"VG_2\"";
    let text = routers("name = \"VI_6\"", alone);
    let text = text.replace("64\"]\nsync_group = \"VG_1\"", "64\"]");
    let hint = |group| {
        format!("hint: write `sync_group = \"{group}\"` in another `[[vrrp]]` too, or take it out")
    };
    assert_warned(
        &text,
        &[
            &format!("lb.toml:27: warning: sync group `VG_1` has one member\n{}", hint("VG_1")),
            &format!("lb.toml:44: warning: sync group `VG_2` has one member\n{}", hint("VG_2")),
        ],
    );
}
