//! Interfaces, and the way to a backend at one moment.

use std::net::IpAddr;

use lb_agent::netlink::{Error, Netlink, Resolved, Unresolved, Way};
use lb_common::{backend::NextHop, net::MacAddr};

use crate::pair::{PATIENCE, Pair, ifindex, ip, own_mac};

fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The first look provokes the kernel to ask; the answer comes later.
async fn resolved(netlink: &Netlink, address: &str) -> Resolved {
    let polling = async {
        loop {
            match netlink.resolve(addr(address)).await.expect("the kernel answers") {
                Ok(resolved) => return resolved,
                Err(Unresolved::NoNeighbour { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, polling).await.expect("the neighbour answers")
}

async fn unresolved(netlink: &Netlink, address: &str) -> String {
    let looked = netlink.resolve(addr(address)).await.expect("the kernel answers");
    looked.expect_err("unreachable").to_string()
}

fn via(neighbour: &str, peer: MacAddr) -> Resolved {
    let ifindex = ifindex("eth0");
    Resolved {
        way: Way { ifindex, neighbour: addr(neighbour) },
        next_hop: NextHop { ifindex, destination: peer, source: own_mac() },
    }
}

#[test]
fn interfaces_are_found_by_name() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        ip("link set eth0 mtu 1400");
        let netlink = Netlink::open().expect("netlink");
        let names = ["eth0".to_owned(), "lo".to_owned()];
        let found = netlink.interfaces(&names).await.expect("both");
        assert_eq!(found.len(), 2);
        let eth0 = &found[0];
        assert_eq!((eth0.name.as_str(), eth0.index), ("eth0", ifindex("eth0")));
        assert_eq!((eth0.mac, eth0.mtu, eth0.up), (own_mac(), 1400, true));
        assert!(eth0.addresses.contains(&(addr("10.1.0.1"), 24)), "{:?}", eth0.addresses);
        assert!(eth0.addresses.contains(&(addr("fd00:1::1"), 64)), "{:?}", eth0.addresses);
        assert_eq!((found[1].name.as_str(), found[1].mac), ("lo", MacAddr::UNSET));

        ip("link set eth0 down");
        assert!(!netlink.interfaces(&names).await.expect("both")[0].up);
    });
}

#[test]
fn a_missing_interface_is_named() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let names = ["eth0".to_owned(), "ens9".to_owned()];
        let error = netlink.interfaces(&names).await.expect_err("ens9");
        assert!(matches!(&error, Error::NoInterface { name, .. } if name == "ens9"), "{error:?}");
        let text = error.to_string();
        assert_eq!(text, "interface `ens9` does not exist; hint: this machine has `lo`, `eth0`");
    });
}

#[test]
fn on_the_link() {
    let Some(pair) = Pair::new() else { return };
    let peer = pair.peer_mac();
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        for address in ["10.1.0.2", "fd00:1::2"] {
            assert_eq!(resolved(&netlink, address).await, via(address, peer));
        }
    });
}

#[test]
fn through_a_gateway() {
    let Some(pair) = Pair::new() else { return };
    let peer = pair.peer_mac();
    pair.node_async(|| async {
        ip("route add 198.51.100.0/24 via 10.1.0.2");
        ip("-6 route add fd00:9::/64 via fd00:1::2");
        ip("route add 203.0.113.0/24 via inet6 fd00:1::3");
        let netlink = Netlink::open().expect("netlink");
        assert_eq!(resolved(&netlink, "198.51.100.7").await, via("10.1.0.2", peer));
        assert_eq!(resolved(&netlink, "fd00:9::7").await, via("fd00:1::2", peer));
        assert_eq!(resolved(&netlink, "203.0.113.7").await, via("fd00:1::3", peer));
    });
}

#[test]
fn a_stale_neighbour_is_used_and_asked_again() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let old = MacAddr([2, 0, 0, 0, 0, 9]);
        ip(&format!("neighbour add 10.1.0.2 lladdr {old} nud stale dev eth0"));
        let netlink = Netlink::open().expect("netlink");
        assert_eq!(resolved(&netlink, "10.1.0.2").await, via("10.1.0.2", old));
        let state = ip("neighbour show 10.1.0.2");
        assert!(state.contains("DELAY") || state.contains("PROBE"), "{state}");
    });
}

#[test]
fn a_permanent_neighbour_stays_permanent() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let mac = MacAddr([2, 0, 0, 0, 0, 9]);
        ip(&format!("neighbour add 10.1.0.9 lladdr {mac} nud permanent dev eth0"));
        let netlink = Netlink::open().expect("netlink");
        assert_eq!(resolved(&netlink, "10.1.0.9").await, via("10.1.0.9", mac));
        let state = ip("neighbour show 10.1.0.9");
        assert!(state.contains("PERMANENT"), "{state}");
    });
}

#[test]
fn unreachable_backends_say_why() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        ip("tuntap add dev tun0 mode tun");
        ip("link set tun0 up");
        ip("route add 198.51.100.0/24 dev tun0");
        ip("route add unreachable 203.0.113.0/25");
        ip("route add prohibit 203.0.113.128/26");
        ip("route add blackhole 203.0.113.192/26");
        ip("route add 192.0.2.0/24 via 10.1.0.77");
        let netlink = Netlink::open().expect("netlink");
        let refused = "the routing table refuses packets to";
        let silent = "does not answer on `eth0` (ARP or neighbour discovery)";
        let local = "is an address of this node; backends on the load balancer's own node are not \
                     supported yet";
        for (address, reason) in [
            ("10.200.0.1", "no route to `10.200.0.1`".to_owned()),
            ("fd00:2::1", "no route to `fd00:2::1`".to_owned()),
            ("10.1.0.1", format!("`10.1.0.1` {local}")),
            ("fd00:1::1", format!("`fd00:1::1` {local}")),
            ("127.0.0.1", format!("`127.0.0.1` {local}")),
            ("10.1.0.255", "`10.1.0.255` is not the address of a single station".to_owned()),
            (
                "198.51.100.7",
                "the route to `198.51.100.7` leaves by `tun0`, which is not an Ethernet interface"
                    .to_owned(),
            ),
            ("203.0.113.1", format!("{refused} `203.0.113.1`: No route to host (os error 113)")),
            (
                "203.0.113.130",
                format!("{refused} `203.0.113.130`: Permission denied (os error 13)"),
            ),
            ("203.0.113.200", format!("{refused} `203.0.113.200`: Invalid argument (os error 22)")),
            ("10.1.0.66", format!("`10.1.0.66` {silent}")),
            ("fd00:1::66", format!("`fd00:1::66` {silent}")),
            ("192.0.2.1", format!("the gateway `10.1.0.77` to `192.0.2.1` {silent}")),
        ] {
            assert_eq!(unresolved(&netlink, address).await, reason);
        }
    });
}
