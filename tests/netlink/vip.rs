//! The VIP as a local address.

use std::net::IpAddr;

use lb_agent::netlink::{Error, Netlink, Vip, VipAdded};

use crate::pair::{Pair, ifindex, ip};

#[test]
fn a_vip_comes_and_goes() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let eth0 = ifindex("eth0");
        for (vip, subnet) in [("10.1.0.50", "10.1.0.50/32"), ("fd00:1::50", "fd00:1::50/128")] {
            let address: IpAddr = vip.parse().expect("an address");
            assert_eq!(netlink.add_vip(eth0, address).await.expect("added"), VipAdded::Added);
            let shown = ip(&format!("address show dev eth0 to {vip}"));
            assert!(shown.contains(subnet), "{shown}");
            assert!(!shown.contains("tentative") && !shown.contains("eth0:"), "{shown}");
            assert!(shown.contains("valid_lft forever"), "{shown}");
            let source_of_nothing = shown.contains("nodad") && shown.contains("preferred_lft 0sec");
            assert_eq!(source_of_nothing, address.is_ipv6(), "{shown}");
            assert_eq!(netlink.vips().await.expect("a list"), [Vip { ifindex: eth0, address }]);

            assert_eq!(netlink.add_vip(eth0, address).await.expect("there"), VipAdded::Adopted);
            assert!(netlink.remove_vip(eth0, address).await.expect("removed"));
            assert_eq!(ip(&format!("address show dev eth0 to {vip}")), "");
            assert!(!netlink.remove_vip(eth0, address).await.expect("nothing to remove"));
            assert_eq!(netlink.vips().await.expect("a list"), []);
        }
    });
}

#[test]
fn an_operators_address_is_left_alone() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        ip("address add 10.1.0.60/24 dev eth0");
        ip("address add fd00:1::60/64 dev eth0 nodad");
        ip("address add 10.1.0.61/32 dev lo");
        let netlink = Netlink::open().expect("netlink");
        let eth0 = ifindex("eth0");
        for (vip, subnet) in
            [("10.1.0.60", "10.1.0.60/24"), ("fd00:1::60", "fd00:1::60/64"), ("10.1.0.61", "/32")]
        {
            let address = vip.parse().expect("an address");
            let added = netlink.add_vip(eth0, address).await.expect("there");
            assert_eq!(added, VipAdded::AlreadyThere);
            assert_eq!(netlink.vips().await.expect("a list"), []);
            assert!(!netlink.remove_vip(eth0, address).await.expect("not as a VIP"));
            let shown = ip(&format!("address show to {vip}"));
            assert_eq!(shown.matches(vip).count(), 1, "{shown}");
            assert!(shown.contains(subnet), "{shown}");
        }
    });
}

#[test]
fn a_vip_on_another_interface_is_told_of() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let (lo, eth0) = (ifindex("lo"), ifindex("eth0"));
        let address = "10.1.0.50".parse().expect("an address");
        assert_eq!(netlink.add_vip(lo, address).await.expect("added"), VipAdded::Added);
        assert_eq!(netlink.add_vip(eth0, address).await.expect("added"), VipAdded::Added);
        let mut both = netlink.vips().await.expect("a list");
        both.sort_by_key(|vip| vip.ifindex);
        assert_eq!(both, [Vip { ifindex: lo, address }, Vip { ifindex: eth0, address }]);
    });
}

#[test]
fn no_interface_no_vip() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let address = "10.1.0.50".parse().expect("an address");
        let error = netlink.add_vip(4321, address).await.expect_err("no such interface");
        assert!(matches!(error, Error::AddVip { ifindex: 4321, .. }), "{error:?}");
        assert_eq!(error.to_string(), "failed to add the VIP `10.1.0.50` to interface 4321");
        assert!(!netlink.remove_vip(4321, address).await.expect("nothing to remove"));
    });
}
