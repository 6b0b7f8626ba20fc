use super::*;

fn interface(name: &str, addresses: &[&str]) -> Interface {
    let addresses = addresses
        .iter()
        .map(|text| {
            let (address, prefix) = text.split_once('/').expect("a prefix");
            (address.parse().expect("an address"), prefix.parse().expect("a length"))
        })
        .collect();
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    Interface {
        name: name.into(),
        index: 1,
        mac,
        enabled: true,
        up: true,
        mtu: 1500,
        addresses,
        xdp_program: None,
    }
}

#[track_caller]
fn chosen(vip: &str, interfaces: &[Interface]) -> String {
    let vip = vip.parse().expect("an address");
    choose_vip_interface(vip, interfaces).expect("an interface").name.clone()
}

#[test]
fn the_interface_whose_subnet_contains_the_vip() {
    let interfaces = [
        interface("mgmt", &["192.0.2.5/24", "2001:db8:1::5/64"]),
        interface("front", &["10.47.160.5/22", "2001:db8:2::5/64"]),
    ];
    assert_eq!(chosen("10.47.163.255", &interfaces), "front");
    assert_eq!(chosen("192.0.2.50", &interfaces), "mgmt");
    assert_eq!(chosen("2001:db8:2::50", &interfaces), "front");
    assert_eq!(chosen("2001:db8:1::50", &interfaces), "mgmt");
}

#[test]
fn the_first_when_no_subnet_contains_it() {
    let interfaces = [interface("a", &["192.0.2.5/24"]), interface("b", &["10.47.160.5/22"])];
    assert_eq!(chosen("10.47.164.0", &interfaces), "a");
    assert_eq!(chosen("2001:db8::1", &interfaces), "a");
    assert_eq!(choose_vip_interface(IpAddr::from([10, 0, 0, 1]), &[]), None);
}

#[test]
fn the_smallest_subnet_wins_and_then_the_first() {
    let interfaces = [
        interface("all", &["10.0.0.1/0"]),
        interface("wide", &["10.0.0.1/8"]),
        interface("narrow", &["10.47.160.5/24"]),
        interface("twin", &["10.47.160.6/24"]),
    ];
    assert_eq!(chosen("10.47.160.50", &interfaces), "narrow");
    assert_eq!(chosen("10.9.9.9", &interfaces), "wide");
    assert_eq!(chosen("203.0.113.1", &interfaces), "all");
}

#[test]
fn families_are_not_mixed() {
    // 10.47.160.5 and this address agree in every bit when both are read as 128-bit numbers.
    let interfaces = [interface("a", &[]), interface("b", &["10.47.160.5/32"])];
    assert_eq!(chosen("::10.47.160.5", &interfaces), "a");
}

#[test]
fn the_primary_address_is_no_vip() {
    let one = interface("a", &["10.0.0.9/24", "2001:db8::5/64", "10.0.0.5/24", "fe80::1/64"]);
    let excluded = [IpAddr::from([10, 0, 0, 9])];
    let primary = |family, exclude: &[IpAddr]| {
        primary_address(&one, family, exclude).map(|address| address.to_string())
    };
    assert_eq!(primary(Family::V4, &[]).as_deref(), Some("10.0.0.9"));
    assert_eq!(primary(Family::V4, &excluded).as_deref(), Some("10.0.0.5"));
    assert_eq!(primary(Family::V6, &[]).as_deref(), Some("fe80::1"));
    assert_eq!(primary(Family::V6, &["fe80::1".parse().expect("an address")]), None);
}
