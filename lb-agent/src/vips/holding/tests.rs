use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lb_common::net::MacAddr;

use super::*;

fn at(millis: u64) -> Time {
    Time::from_nanos((100_000 + millis) * 1_000_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn vip(address: &str, prefix: u8) -> Vip {
    Vip { address: ip(address), prefix, interface: "eth0".into(), label: None }
}

fn eth0(addresses: &[(&str, u8)]) -> Interface {
    Interface {
        name: "eth0".into(),
        index: 2,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        enabled: true,
        up: true,
        mtu: 1500,
        addresses: addresses.iter().map(|(address, prefix)| (ip(address), *prefix)).collect(),
        xdp_program: None,
    }
}

fn term(valid: Duration, end: Time) -> (Term, Arc<AtomicU64>) {
    let deadline = Arc::new(AtomicU64::new(end.as_nanos()));
    (Term { valid, deadline: Arc::clone(&deadline) }, deadline)
}

#[test]
fn a_term_grants_until_it_ends_and_again_when_it_is_moved_on() {
    let (term, deadline) = term(Duration::from_secs(1), at(100));
    let holding = Holding::new(vip("10.0.0.9", 32), Some(term), at(0));
    assert!(holding.is_granted(at(99)) && !holding.is_granted(at(100)));
    deadline.store(at(200).as_nanos(), Ordering::Release);
    assert!(holding.is_granted(at(199)) && !holding.is_granted(at(200)));
    assert!(Holding::new(vip("10.0.0.9", 32), None, at(0)).is_granted(Time::from_nanos(u64::MAX)));
}

#[test]
fn refreshed_every_third_and_at_least_every_half_second() {
    for (valid, pause) in [(100, 333), (1000, 333), (1200, 400), (1500, 500), (60_000, 500)] {
        let (term, _deadline) = term(Duration::from_millis(valid), at(0));
        let mut holding = Holding::new(vip("10.0.0.9", 32), Some(term), at(0));
        assert!(!holding.take_refresh(at(pause - 1)), "{valid}");
        assert!(holding.take_refresh(at(pause + 1)), "{valid}");
        assert!(!holding.take_refresh(at(pause + 1)), "{valid}");
    }
    assert!(!Holding::new(vip("10.0.0.9", 32), None, at(0)).take_refresh(at(1 << 30)));
}

#[test]
fn the_kernels_lifetime_is_whole_seconds_rounded_up() {
    for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (3609, 4)] {
        let (term, _deadline) = term(Duration::from_millis(millis), at(0));
        let holding = Holding::new(vip("10.0.0.9", 32), Some(term), at(0));
        assert_eq!(holding.wanted(&eth0(&[])).valid, Some(seconds), "{millis}");
    }
    let forever = Holding::new(vip("10.0.0.9", 32), None, at(0));
    assert_eq!(forever.wanted(&eth0(&[])).valid, None);
}

#[test]
fn a_prefix_is_a_route_unless_the_interface_has_an_address_in_it() {
    let route = |address, prefix, others: &[(&str, u8)]| {
        Holding::new(vip(address, prefix), None, at(0)).wanted(&eth0(others)).route
    };
    assert!(route("10.0.0.9", 24, &[]));
    assert!(route("10.0.0.9", 24, &[("10.0.1.1", 24), ("fd00::1", 64)]));
    assert!(!route("10.0.0.9", 24, &[("10.0.0.1", 16)]));
    assert!(!route("fd00::9", 64, &[("fd00::1", 64)]));
    // The kernel makes it a secondary address, whose route comes with its promotion.
    assert!(route("10.0.0.9", 24, &[("10.0.0.1", 24)]));
}

#[test]
fn the_label_is_the_interfaces_name_unless_another_is_given() {
    let label = |vip| Holding::new(vip, None, at(0)).wanted(&eth0(&[])).vip.label;
    assert_eq!(label(vip("10.0.0.9", 32)).as_deref(), Some("eth0"));
    let labelled = Vip { label: Some("eth0:vip".into()), ..vip("10.0.0.9", 32) };
    assert_eq!(label(labelled).as_deref(), Some("eth0:vip"));
    let labelled = Vip { label: Some("eth0:vip".into()), ..vip("fd00::9", 128) };
    assert_eq!(label(labelled), None);
}

#[test]
fn whose_it_is() {
    let mut holding = Holding::new(vip("10.0.0.9", 32), None, at(0));
    let ours = holding.wanted(&eth0(&[])).vip;
    let look = |vips: &[netlink::Vip], others: &[(&str, u8)]| Look {
        interfaces: vec![eth0(others)],
        vips: vips.to_vec(),
    };
    assert_eq!(holding.find(&look(&[], &[])), Local::Missing);
    assert_eq!(holding.find(&look(&[], &[("10.0.0.9", 24)])), Local::Theirs);
    assert_eq!(holding.find(&look(std::slice::from_ref(&ours), &[])), Local::Ours(ours.clone()));
    // Somewhere else it is not where it is to be.
    let elsewhere = netlink::Vip { ifindex: 3, ..ours.clone() };
    assert_eq!(holding.find(&look(&[elsewhere], &[])), Local::Missing);
    // A kernel that forgets the tag does not make it a stranger's.
    holding.local = Local::Ours(ours.clone());
    assert_eq!(holding.find(&look(&[], &[("10.0.0.9", 32)])), Local::Ours(ours));
}

#[test]
fn whoever_keeps_removing_it_is_not_fought_in_a_loop() {
    let mut holding = Holding::new(vip("10.0.0.9", 32), None, at(0));
    for n in 0..5 {
        assert!(holding.take_readdition(at(n)));
        assert_eq!(holding.retry, None);
    }
    assert!(!holding.take_readdition(at(5)));
    assert_eq!(holding.retry, Some(at(10_000)));
    assert_eq!(holding.next(), at(10_000));
}
