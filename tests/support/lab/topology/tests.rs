use std::collections::HashSet;

use super::*;

fn everything() -> Options {
    Options { backends: 10, router: true, back_segment: true, observer: true, ..Options::default() }
}

#[test]
fn both_families_show_the_same_digits() {
    assert_eq!(Segment::Front.ipv4(100).to_string(), "10.47.160.100");
    assert_eq!(Segment::Front.ipv6(100).to_string(), "fd47:160::100");
    assert_eq!(Segment::Far.ipv6(21).to_string(), "fd47:170::21");
    assert_eq!(vip4(1).to_string(), "10.47.160.50");
    assert_eq!(vip6(1).to_string(), "fd47:160::50");
}

#[test]
fn addresses_ports_and_names_are_unique() {
    let hosts = plan(&everything());
    let links: Vec<_> = hosts.iter().flat_map(|host| &host.links).collect();
    let addresses: HashSet<_> = links.iter().map(|l| l.segment.ipv4(l.number)).collect();
    let ports: HashSet<_> = links.iter().map(|link| &link.port).collect();
    let names: HashSet<_> = hosts.iter().map(|host| &host.name).collect();
    assert_eq!((addresses.len(), ports.len()), (links.len(), links.len()));
    assert_eq!(names.len(), hosts.len());
    assert!(ports.iter().all(|port| port.len() <= 15), "interface names: {ports:?}");
}

#[test]
fn gateways_are_on_a_segment_of_their_host() {
    for host in plan(&everything()) {
        if let Some((segment, _)) = host.gateway {
            assert!(host.links.iter().any(|l| l.segment == segment), "{}", host.name);
        }
    }
}

#[test]
fn virtual_addresses_are_nobodys() {
    let used: HashSet<IpAddr> = plan(&everything())
        .iter()
        .flat_map(|host| &host.links)
        .map(|link| link.segment.ipv4(link.number).into())
        .collect();
    assert!((1..=40).all(|n| !used.contains(&vip4(n))));
}

#[test]
fn backends_stay_in_range() {
    let count = |backends| {
        plan(&Options { backends, ..Options::default() })
            .iter()
            .filter(|host| host.name.starts_with("cp-"))
            .count()
    };
    assert_eq!((count(0), count(5), count(200)), (1, 5, 10));
}
