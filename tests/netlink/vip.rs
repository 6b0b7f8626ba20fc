//! The VIP as a local address.

use lb_agent::netlink::{Error, Netlink, NewVip, Vip};

use crate::pair::{Pair, ifindex, ip};

fn new_vip(ifindex: u32, address: &str, prefix: u8) -> NewVip {
    let address: std::net::IpAddr = address.parse().expect("an address");
    let label = address.is_ipv4().then(|| "eth0".to_owned());
    NewVip { vip: Vip { ifindex, address, prefix, label }, route: true, valid: None }
}

#[test]
fn a_vip_comes_and_goes() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let eth0 = ifindex("eth0");
        for (address, prefix) in [("10.1.0.50", 32), ("fd00:1::50", 128)] {
            let new = new_vip(eth0, address, prefix);
            assert!(netlink.add_vip(&new).await.expect("added"));
            let shown = ip(&format!("address show dev eth0 to {address}"));
            assert!(shown.contains(&format!("{address}/{prefix}")), "{shown}");
            assert!(!shown.contains("tentative") && !shown.contains("eth0:"), "{shown}");
            assert!(shown.contains("valid_lft forever"), "{shown}");
            let source_of_nothing = shown.contains("nodad") && shown.contains("preferred_lft 0sec");
            assert_eq!(source_of_nothing, new.vip.address.is_ipv6(), "{shown}");
            assert_eq!(netlink.vips().await.expect("a list"), std::slice::from_ref(&new.vip));

            assert!(!netlink.add_vip(&new).await.expect("there"));
            assert!(netlink.remove_vip(&new.vip).await.expect("removed"));
            assert_eq!(ip(&format!("address show dev eth0 to {address}")), "");
            assert!(!netlink.remove_vip(&new.vip).await.expect("nothing to remove"));
            assert_eq!(netlink.vips().await.expect("a list"), []);
        }
    });
}

#[test]
fn a_lifetime_is_given_anew_and_taken_away() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        for (address, prefix) in [("10.1.0.50", 24), ("fd00:1::50", 64)] {
            let mut new = new_vip(ifindex("eth0"), address, prefix);
            new.route = false;
            let shown = || ip(&format!("address show dev eth0 to {address}"));
            new.valid = Some(1000);
            assert!(netlink.add_vip(&new).await.expect("added"));
            assert!(shown().contains("noprefixroute"), "{}", shown());
            assert!(shown().contains("valid_lft 1000sec"), "{}", shown());
            new.valid = Some(3000);
            netlink.refresh_vip(&new).await.expect("refreshed");
            assert!(shown().contains("valid_lft 3000sec"), "{}", shown());
            new.valid = None;
            netlink.refresh_vip(&new).await.expect("refreshed");
            assert!(shown().contains("valid_lft forever"), "{}", shown());
            assert!(netlink.remove_vip(&new.vip).await.expect("removed"));
            netlink.refresh_vip(&new).await.expect("added again");
            assert_eq!(netlink.vips().await.expect("a list"), std::slice::from_ref(&new.vip));
            assert!(netlink.remove_vip(&new.vip).await.expect("removed"));
        }
    });
}

#[test]
fn a_look_tells_vips_from_other_addresses() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let eth0 = ifindex("eth0");
        let new = new_vip(eth0, "10.1.0.50", 32);
        assert!(netlink.add_vip(&new).await.expect("added"));
        // It stays tentative: nobody answers, and the kernel asks for a minute.
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/dad_transmits", "60").expect("sysctl");
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "1").expect("sysctl");
        ip("address add fd00:1::77/64 dev eth0");
        let look = netlink.look().await.expect("a look");
        assert_eq!(look.vips, [new.vip]);
        let names: Vec<_> = look.interfaces.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0"]);
        let addresses = &look.interfaces[1].addresses;
        let has = |text: &str| addresses.contains(&(text.parse().expect("an address"), 64));
        assert!(has("fd00:1::1") && !has("fd00:1::77"), "{addresses:?}");
        assert!(!addresses.iter().any(|(address, _)| address.to_string() == "10.1.0.50"));
    });
}

#[test]
fn no_interface_no_vip() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let netlink = Netlink::open().expect("netlink");
        let new = new_vip(4321, "10.1.0.50", 32);
        let error = netlink.add_vip(&new).await.expect_err("no such interface");
        assert!(matches!(error, Error::AddVip { ifindex: 4321, .. }), "{error:?}");
        assert_eq!(error.to_string(), "failed to add the VIP `10.1.0.50` to interface 4321");
        assert!(!netlink.remove_vip(&new.vip).await.expect("nothing to remove"));
    });
}
