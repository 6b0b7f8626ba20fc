//! VIPs that are held against everything that happens to them.

use std::time::Duration;

use lb_agent::{
    netlink::{Family, Interface, Netlink, Vip as Tagged, primary_address},
    vips::{Order, Report, Vip},
};

use crate::{
    holder::{Holder, address, extend, on_eth0, shown, term},
    pair::{Pair, eventually, ip},
};

const BOTH: [&str; 2] = ["10.1.0.50/32", "fd00:1::50/128"];
const LONG: Duration = Duration::from_secs(3600);

/// The node's addresses that carry our tag.
fn tagged(pair: &Pair) -> Vec<Tagged> {
    pair.node(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let list = async { Netlink::open().expect("netlink").vips().await.expect("a list") };
        runtime.expect("a runtime").block_on(list)
    })
}

fn tagged_addresses(pair: &Pair) -> Vec<String> {
    tagged(pair).iter().map(|vip| vip.address.to_string()).collect()
}

fn is_readded(vip: &str) -> impl Fn(&Report) -> bool {
    let expected = address(vip);
    move |report| matches!(report, Report::Readded { address, .. } if *address == expected)
}

#[test]
fn held_and_dropped() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    for vip in BOTH {
        holder.hold(vip, None);
        assert!(shown(&pair, vip).contains(vip), "{}", shown(&pair, vip));
        assert!(shown(&pair, vip).contains("valid_lft forever"), "{}", shown(&pair, vip));
        assert_eq!(tagged_addresses(&pair), [address(vip).to_string()]);
        holder.report("held", |one| *one == Report::Local { address: address(vip) });
        holder.release(vip);
        assert_eq!(shown(&pair, vip), "");
    }
    assert_eq!(holder.reports(), []);
}

#[test]
fn prefix_label_and_lifetime_are_as_ordered() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let (lease, _deadline) = term(Duration::from_secs(900), LONG);
    let vip = Vip { label: Some("eth0:vip".into()), ..on_eth0("10.1.0.50/16") };
    holder.order(Order::Hold { vip, term: Some(lease.clone()) });
    let json = pair.node(|| ip("-j address show dev eth0"));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let all = json[0]["addr_info"].as_array().expect("addresses");
    let one = all.iter().find(|one| one["local"] == "10.1.0.50").expect("the VIP");
    assert_eq!((&one["prefixlen"], &one["label"]), (&16.into(), &"eth0:vip".into()), "{one}");
    // Otherwise 10.1.0.0/16 would be reached from the VIP.
    assert_eq!(one["noprefixroute"], true, "{one}");
    let valid = one["valid_life_time"].as_u64().expect("a number");
    assert!((600..=900).contains(&valid), "{one}");
    assert_eq!(tagged(&pair)[0].label.as_deref(), Some("eth0:vip"));

    // Another prefix, no label, for ever: it is the same VIP, and is there once.
    holder.hold("10.1.0.50/32", None);
    let now = shown(&pair, "10.1.0.50");
    assert_eq!(now.matches("10.1.0.50/").count(), 1, "{now}");
    assert!(now.contains("10.1.0.50/32") && now.contains("valid_lft forever"), "{now}");
    assert!(!now.contains("eth0:vip"), "{now}");

    holder.hold("fd00:1::50/64", Some(lease));
    let now = shown(&pair, "fd00:1::50");
    assert!(now.contains("fd00:1::50/64") && now.contains("noprefixroute"), "{now}");
    holder.hold("fd00:1::50/128", None);
    let now = shown(&pair, "fd00:1::50");
    assert!(now.contains("fd00:1::50/128") && now.contains("valid_lft forever"), "{now}");
}

#[test]
fn what_somebody_removes_comes_back() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    for vip in BOTH {
        holder.hold(vip, None);
        pair.node(|| ip(&format!("address delete {vip} dev eth0")));
        holder.report("added again", is_readded(vip));
        assert!(shown(&pair, vip).contains(vip));
        holder.release(vip);
        assert_eq!(shown(&pair, vip), "");
    }
    let later: Vec<_> = holder.reports();
    assert!(!later.iter().any(|one| matches!(one, Report::Readded { .. })), "{later:?}");
}

#[test]
fn whoever_keeps_removing_it_is_not_fought_in_a_loop() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    // What goes while the link changes is no fight.
    holder.report("the link", |report| match report {
        Report::Surroundings(all) => all.iter().any(|one| one.name == "eth0" && one.up),
        _ => false,
    });
    holder.hold(BOTH[0], None);
    for _ in 0..5 {
        pair.node(|| ip(&format!("address delete {} dev eth0", BOTH[0])));
        holder.report("added again", is_readded(BOTH[0]));
    }
    pair.node(|| ip(&format!("address delete {} dev eth0", BOTH[0])));
    // Another change, which is looked at after the removal.
    pair.node(|| ip("address add 10.1.0.9/32 dev eth0"));
    let other = address("10.1.0.9");
    holder.report("the other change", |one| match one {
        Report::Surroundings(all) => {
            all.iter().any(|one| one.addresses.iter().any(|(address, _)| *address == other))
        }
        _ => false,
    });
    holder.orders.done().blocking_recv().expect("the thread lives");
    assert_eq!(shown(&pair, BOTH[0]), "", "it was fought for");
    holder.report("added again, later", is_readded(BOTH[0]));
}

#[test]
fn it_comes_back_with_its_link() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    for vip in BOTH {
        holder.hold(vip, None);
    }
    let up = |wanted: bool| {
        holder.report("the link", |report| match report {
            Report::Surroundings(all) => {
                all.iter().any(|one| one.name == "eth0" && one.up == wanted)
            }
            _ => false,
        })
    };
    pair.node(|| ip("link set eth0 down"));
    up(false);
    pair.node(|| ip("link set eth0 up"));
    for vip in BOTH {
        eventually("the VIP is back", || shown(&pair, vip).contains(vip).then_some(()));
    }
}

#[test]
fn it_comes_back_with_its_interface() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    for vip in BOTH {
        holder.hold(vip, None);
    }
    pair.node(|| ip("link delete eth0"));
    holder.report("the interface's end", |one| matches!(one, Report::Failed { .. }));
    pair.node(|| {
        ip("link add eth0 type veth peer name other");
        ip("link set other up");
        ip("link set eth0 up");
    });
    for vip in BOTH {
        eventually("the VIP is back", || shown(&pair, vip).contains(vip).then_some(()));
    }
    // One that is ordered for an interface that does not exist comes with it.
    let early = Vip { interface: "late".into(), ..on_eth0("10.9.0.1/32") };
    holder.order(Order::Hold { vip: early, term: None });
    assert_eq!(shown(&pair, "10.9.0.1"), "");
    pair.node(|| {
        ip("link add late type veth peer name later");
        ip("link set late up");
    });
    eventually("the VIP is there", || shown(&pair, "10.9.0.1").contains("late").then_some(()));
}

#[test]
fn what_a_crash_has_left_goes_unless_it_is_kept() {
    let Some(pair) = Pair::new() else { return };
    pair.node(|| ip("address add 10.1.0.60/32 dev eth0"));
    let first = Holder::start(&pair, &[]);
    for vip in ["10.1.0.50/32", "10.1.0.51/32", "fd00:1::50/128", "fd00:1::51/128"] {
        first.hold(vip, None);
    }
    drop(first);
    let second = Holder::start(&pair, &["10.1.0.51", "fd00:1::51", "10.1.0.60"]);
    second.orders.done().blocking_recv().expect("the thread lives");
    assert_eq!(tagged_addresses(&pair), ["10.1.0.51", "fd00:1::51"]);
    assert!(shown(&pair, "10.1.0.60").contains("10.1.0.60"));
    // One is taken over, the other is given up without having been held.
    second.hold("10.1.0.51/32", None);
    second.release("fd00:1::51");
    assert_eq!(tagged_addresses(&pair), ["10.1.0.51"]);
    second.release("10.1.0.51");
    assert_eq!(tagged_addresses(&pair), [""; 0]);
    let reports = second.reports();
    assert_eq!(reports, [Report::Local { address: address("10.1.0.51") }]);
}

#[test]
fn without_a_living_term_it_goes_by_itself_and_returns_with_one() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let (lease, deadline) = term(Duration::from_secs(1), LONG);
    for vip in BOTH {
        holder.hold(vip, Some(lease.clone()));
        assert!(shown(&pair, vip).contains("valid_lft 1sec"), "{}", shown(&pair, vip));
    }
    // Longer than the kernel would keep them.
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        for vip in BOTH {
            assert!(shown(&pair, vip).contains(vip), "not refreshed: {vip}");
        }
    }
    extend(&deadline, Duration::ZERO);
    for vip in BOTH {
        eventually("the VIP is gone", || shown(&pair, vip).is_empty().then_some(()));
    }
    extend(&deadline, LONG);
    for vip in BOTH {
        eventually("the VIP is back", || shown(&pair, vip).contains(vip).then_some(()));
    }
}

#[test]
fn a_term_that_is_over_holds_nothing() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let (lease, _deadline) = term(Duration::from_secs(1), Duration::ZERO);
    holder.hold(BOTH[0], Some(lease));
    assert_eq!(shown(&pair, BOTH[0]), "");
}

#[test]
fn an_operators_address_is_left_alone() {
    let Some(pair) = Pair::new() else { return };
    let theirs = [("10.1.0.60/24", "eth0"), ("fd00:1::60/64", "eth0"), ("10.1.0.61/32", "lo")];
    for (address, device) in theirs {
        pair.node(|| ip(&format!("address add {address} dev {device}")));
    }
    let holder = Holder::start(&pair, &[]);
    for (theirs, _) in theirs {
        let vip = address(theirs);
        let bits = if vip.is_ipv4() { 32 } else { 128 };
        holder.hold(&format!("{vip}/{bits}"), None);
        holder.report("there", |one| *one == Report::AlreadyThere { address: vip });
        assert_eq!(tagged_addresses(&pair), [""; 0]);
        holder.release(theirs);
        let now = shown(&pair, theirs);
        assert_eq!(now.matches(theirs).count(), 1, "{now}");
    }
    // Removed by its owner while it is to be held, it becomes ours.
    holder.hold("10.1.0.60/32", None);
    pair.node(|| ip("address delete 10.1.0.60/24 dev eth0"));
    holder.report("added again", is_readded("10.1.0.60"));
    holder.release("10.1.0.60");
    assert_eq!(shown(&pair, "10.1.0.60"), "");
}

#[test]
fn other_addresses_outlive_a_vip_that_was_there_before_them() {
    let Some(pair) = Pair::new() else { return };
    for scope in ["all", "eth0"] {
        let setting = format!("/proc/sys/net/ipv4/conf/{scope}/promote_secondaries");
        pair.node(|| std::fs::write(setting, "0").expect("sysctl"));
    }
    let holder = Holder::start(&pair, &[]);
    holder.hold("10.5.0.50/24", None);
    pair.node(|| ip("address add 10.5.0.1/24 dev eth0"));
    assert!(shown(&pair, "10.5.0.1").contains("secondary"), "not the trap that was meant");
    holder.release("10.5.0.50");
    assert_eq!(shown(&pair, "10.5.0.50"), "");
    assert!(shown(&pair, "10.5.0.1").contains("10.5.0.1/24"));
    assert!(pair.node(|| ip("route show 10.5.0.0/24")).contains("10.5.0.1"));
}

#[test]
fn surroundings_are_told_without_our_vips() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let eth0 = |report: &Report| match report {
        Report::Surroundings(all) => all.iter().find(|one| one.name == "eth0").cloned(),
        _ => None,
    };
    let next = |what: &str, fits: &dyn Fn(&Interface) -> bool| {
        let report = holder.report(what, |report| eth0(report).is_some_and(|one| fits(&one)));
        eth0(&report).expect("it fits")
    };
    // The link-local address comes when the link is up.
    let first = next("the first looks", &|one| primary_address(one, Family::V6, &[]).is_some());
    assert!(first.up && first.enabled);
    assert_eq!(primary_address(&first, Family::V4, &[]), Some(address("10.1.0.1")));

    holder.hold("10.1.0.50/32", None);
    pair.node(|| ip("link set eth0 mtu 1400"));
    let second = next("another MTU", &|one| one.mtu == 1400);
    assert_eq!(second.addresses, first.addresses);
    pair.peer(|| ip("link set eth0 down"));
    assert!(next("no carrier", &|one| !one.up).enabled);
}
