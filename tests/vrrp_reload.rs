//! Virtual routers under commands and new configurations, beside a peer that would take whatever
//! is dropped. Needs root.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{net::IpAddr, time::Duration};

use lb_agent::datapath::leases::Leases;
use lb_tests::{
    claims::epoch,
    lab::topology,
    routers::{Routers, Table, config, lab, text},
    vrrp::NAME,
    wait::{SOON, wait_until},
};

fn pair() -> Routers {
    let vip = topology::vip4(1);
    Routers::pair(vip, &Table::new(101, vip)).unwrap()
}

/// lb-01 gets these tables.
fn reload(routers: &mut Routers, tables: &[Table]) {
    routers.configs[0].tail = text(tables);
    routers.agents[0].reload(&routers.configs[0]).unwrap();
}

/// An agent alone, with this service VIP and these tables.
fn alone(vip: IpAddr, tables: &[Table]) -> Routers {
    let lab = lab().unwrap();
    let configs = vec![config(&lab, 1, vip, tables)];
    Routers::start(lab, vip, configs).unwrap()
}

fn holds(routers: &Routers, node: usize, address: IpAddr) -> bool {
    routers.host(node).holds(address).unwrap()
}

fn wait_holds(routers: &Routers, node: usize, address: IpAddr, wanted: bool) {
    let what = format!("lb-0{} to hold {address}: {wanted}", node + 1);
    wait_until(&what, SOON, || holds(routers, node, address) == wanted).unwrap();
}

/// What the backup has advertised since; nothing, as long as the VIP has not moved.
fn peers_adverts(routers: &Routers, from: Duration) -> usize {
    let (record, mac) = (routers.claims.record(), routers.host(1).mac());
    record.adverts.iter().filter(|(at, advert)| *at >= from && advert.mac == mac).count()
}

#[test]
fn commands_move_the_vip() {
    let routers = pair();
    let own = &routers.agents[0];
    let said = epoch();
    own.command(&["vrrp", "announce", NAME]).unwrap();
    wait_until("the VIP to be announced anew", SOON, || {
        let (record, mac) = (routers.claims.record(), routers.host(0).mac());
        record.announcements.iter().any(|(at, by)| *at > said && *by == mac)
    })
    .unwrap();
    let output = routers.agents[1].output(&["vrrp", "announce", NAME]).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("`VI_1` is not active"), "{error}");
    own.command(&["vrrp", "release", NAME]).unwrap();
    routers.wait_owner(1).unwrap();
    wait_holds(&routers, 0, routers.vip, false);
    let router = routers.router(0, NAME).unwrap();
    assert_eq!(router["state"], "init");
    // A second time it changes nothing.
    own.command(&["vrrp", "release", NAME]).unwrap();
    own.command(&["vrrp", "resume", NAME]).unwrap();
    routers.wait_owner(0).unwrap();
    wait_holds(&routers, 1, routers.vip, false);
    for command in ["release", "resume", "announce"] {
        let output = own.output(&["vrrp", command, "VI_7"]).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("`VI_7`") && error.contains("only `VI_1`"), "{error}");
    }
    routers.wait_owner(0).unwrap();
}

#[test]
fn an_address_is_added_and_removed() {
    let mut routers = pair();
    let (vip, second) = (routers.vip, topology::vip4(2));
    let began = epoch();
    let mut table = Table::new(101, vip);
    table.addresses.push(format!("{second}/24"));
    reload(&mut routers, std::slice::from_ref(&table));
    wait_holds(&routers, 0, second, true);
    assert!(holds(&routers, 0, vip));
    // The order is the packet's, and no reason to let go of anything.
    table.addresses.reverse();
    reload(&mut routers, std::slice::from_ref(&table));
    assert!(holds(&routers, 0, second) && holds(&routers, 0, vip));
    table.addresses = vec![format!("{vip}/24")];
    reload(&mut routers, &[table]);
    wait_holds(&routers, 0, second, false);
    routers.wait_owner(0).unwrap();
    let leases = Leases::open(routers.agents[0].pin_dir()).unwrap().all().unwrap();
    assert!(leases.iter().any(|(held, _)| *held == vip), "{leases:?}");
    assert!(leases.iter().all(|(held, _)| *held != second), "{leases:?}");
    assert_eq!(peers_adverts(&routers, began), 0, "lb-02 became active");
}

#[test]
fn another_prefix_and_another_label_are_taken_over() {
    let mut routers = pair();
    let vip = routers.vip;
    let shown = |routers: &Routers| {
        let all = routers.host(0).run("ip", &["-o", "-4", "address", "show", "dev", "eth0"]);
        let all = all.unwrap();
        all.lines().find(|line| line.contains(&format!("{vip}/"))).unwrap_or_default().to_owned()
    };
    let began = epoch();
    let mut table = Table::new(101, vip);
    table.addresses = vec![format!("{vip}/32")];
    reload(&mut routers, std::slice::from_ref(&table));
    wait_until("the prefix", SOON, || shown(&routers).contains(&format!("{vip}/32"))).unwrap();
    reload(&mut routers, &[table.line("label = \"eth0:vip\"")]);
    wait_until("the label", SOON, || shown(&routers).contains("eth0:vip")).unwrap();
    routers.wait_owner(0).unwrap();
    assert_eq!(peers_adverts(&routers, began), 0, "lb-02 became active");
}

#[test]
fn another_priority_moves_the_vip() {
    let mut routers = pair();
    let vip = routers.vip;
    reload(&mut routers, &[Table::new(99, vip)]);
    routers.wait_owner(1).unwrap();
    wait_holds(&routers, 0, vip, false);
    reload(&mut routers, &[Table::new(101, vip)]);
    routers.wait_owner(0).unwrap();
    wait_holds(&routers, 1, vip, false);
}

#[test]
fn instances_come_and_go() {
    let mut routers = pair();
    let (vip, second) = (routers.vip, topology::vip4(2));
    let began = epoch();
    let other = Table::new(101, second).named("VI_2", 52);
    // Before the other, whose number changes by it.
    reload(&mut routers, &[other, Table::new(101, vip)]);
    routers.wait_state(0, "VI_2", "active").unwrap();
    wait_holds(&routers, 0, second, true);
    reload(&mut routers, &[Table::new(101, vip)]);
    wait_holds(&routers, 0, second, false);
    assert!(routers.router(0, "VI_2").unwrap().is_null());
    routers.wait_owner(0).unwrap();
    assert_eq!(peers_adverts(&routers, began), 0, "lb-02 became active");
}

#[test]
fn an_address_goes_from_one_instance_to_another() {
    let (vip, second) = (topology::vip4(1), topology::vip4(2));
    let one = |addresses: &[IpAddr]| {
        let mut table = Table::new(255, vip);
        table.addresses = addresses.iter().map(|address| format!("{address}/24")).collect();
        table
    };
    let other = |addresses: &[IpAddr]| one(addresses).named("VI_2", 52);
    let (third, fourth) = (topology::vip4(3), topology::vip4(4));
    let mut routers = alone(vip, &[one(&[vip, second]), other(&[third, fourth])]);
    for address in [vip, second, third, fourth] {
        wait_holds(&routers, 0, address, true);
    }
    for _ in 0..2 {
        // Whichever of them comes first in the file.
        reload(&mut routers, &[one(&[vip, fourth]), other(&[third, second])]);
        for address in [vip, second, third, fourth] {
            assert!(holds(&routers, 0, address), "{address}");
        }
        reload(&mut routers, &[one(&[vip, second]), other(&[third, fourth])]);
        for address in [vip, second, third, fourth] {
            assert!(holds(&routers, 0, address), "{address}");
        }
    }
}

#[test]
fn a_vip_becomes_a_virtual_routers_and_a_nodes_own_again() {
    // The owner of its addresses is active at once, so there is hardly a moment without one.
    let vip = topology::vip4(1);
    let owner = Table::new(255, vip);
    let mut routers = alone(vip, std::slice::from_ref(&owner));
    for _ in 0..3 {
        reload(&mut routers, &[]);
        assert!(holds(&routers, 0, vip), "alone");
        assert_eq!(Leases::open(routers.agents[0].pin_dir()).unwrap().all().unwrap(), []);
        reload(&mut routers, std::slice::from_ref(&owner));
        routers.wait_owner(0).unwrap();
        assert!(holds(&routers, 0, vip), "with a virtual router");
    }
    // One more address of an instance that is active, which was a service's alone before.
    let second = topology::vip4(2);
    let mut another = routers.configs[0].services[0].clone();
    "second".clone_into(&mut another.name);
    another.vip = second;
    routers.configs[0].services.push(another);
    reload(&mut routers, std::slice::from_ref(&owner));
    assert!(holds(&routers, 0, second), "alone");
    let mut both = owner.clone();
    both.addresses.push(format!("{second}/24"));
    reload(&mut routers, &[both]);
    assert!(holds(&routers, 0, second), "with a virtual router");
    reload(&mut routers, &[owner]);
    assert!(holds(&routers, 0, second), "alone again");
    routers.wait_owner(0).unwrap();
}

/// A backup must not keep what was its own.
#[test]
fn a_vip_that_becomes_a_backups_is_let_go() {
    let vip = topology::vip4(1);
    let mut routers = pair();
    reload(&mut routers, &[]);
    wait_holds(&routers, 0, vip, true);
    routers.wait_state(1, NAME, "active").unwrap();
    reload(&mut routers, &[Table::new(99, vip)]);
    assert!(!holds(&routers, 0, vip), "a backup's");
    routers.wait_owner(1).unwrap();
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let mut routers = pair();
    let (before, began) = (routers.transitions(0), epoch());
    for (tail, words) in [
        (text(&[Table::new(0, routers.vip)]), "priority"),
        (text(&[Table::new(101, routers.vip).line("virtual_router = 3")]), "virtual_router"),
        ("[[vrrp]]\n".to_owned(), "name"),
        ("[[vrrp".to_owned(), "toml"),
    ] {
        let mut wrong = routers.configs[0].clone();
        wrong.tail = tail;
        wrong.write(routers.host(0)).unwrap();
        let output = routers.agents[0].output(&["reload"]).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(words), "{error}");
        assert!(holds(&routers, 0, routers.vip));
    }
    routers.wait_owner(0).unwrap();
    assert_eq!((routers.transitions(0), peers_adverts(&routers, began)), (before, 0));
    let table = Table::new(101, routers.vip);
    reload(&mut routers, &[table]);
    routers.wait_owner(0).unwrap();
}
