//! Agents that are killed and come back at once, or end in peace, or come back too late. Needs
//! root.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{net::IpAddr, os::unix::fs::PermissionsExt, time::Duration};

use lb_agent::netlink::{Netlink, NewVip, Vip};
use lb_tests::{
    claims::epoch,
    lab::{Host, Lab, topology},
    opener::{Opener, Outage},
    routers::{Routers, Table, config, lab, text},
    vrrp::{NAME, Switch},
    wait::{SOON, wait_until},
};
use nix::sys::signal::Signal;

/// Connections in a row that prove service.
const SERVED: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);
/// A lease of six seconds: more than a start takes on a loaded machine.
const INTERVAL: Duration = Duration::from_secs(2);
/// Adverts that take longer than the peer would wait for the first of them.
const ENOUGH: usize = 5;

fn pair(vip: IpAddr, shape: impl Fn(&Lab, Table) -> Table) -> Routers {
    let lab = lab().unwrap();
    let mut table = Table::new(101, vip);
    table.interval = INTERVAL;
    let table = shape(&lab, table);
    let configs = vec![
        config(&lab, 1, vip, std::slice::from_ref(&table)),
        config(&lab, 2, vip, &[table.priority(100)]),
    ];
    let routers = Routers::start(lab, vip, configs).unwrap();
    routers.agents.iter().for_each(|agent| agent.wait_ready().unwrap());
    routers
}

/// Adverts of a node since then that claim the VIP.
fn claims(routers: &Routers, node: usize, from: Duration) -> usize {
    let (record, mac) = (routers.claims.record(), routers.host(node).mac());
    let adverts = record.adverts.iter().filter(|(at, advert)| *at >= from && advert.mac == mac);
    adverts.filter(|(_, advert)| advert.priority > 0).count()
}

/// Answers that lb-01's program has held back, because the lease had ended.
fn claims_over(routers: &Routers) -> u64 {
    routers.agents[0].stats().unwrap()["drops"]["claim_over"].as_u64().unwrap_or(0)
}

/// Kills the agent and starts it within its lease, twice.
fn nothing_moves(routers: &mut Routers) {
    let before = routers.transitions(1);
    let opener = Opener::patient(routers.lab.client(), routers.address());
    opener.wait_served(SERVED, PATIENCE).unwrap();
    let (began, held_back) = (epoch(), claims_over(routers));
    for _ in 0..2 {
        let death = epoch();
        routers.agents[0].kill(Signal::SIGKILL).unwrap();
        routers.agents[0].wait(SOON).unwrap();
        routers.agents[0].restart().unwrap();
        // Longer than the peer would wait for it.
        wait_until("lb-01 to advertise again and again", PATIENCE, || {
            claims(routers, 0, death) >= ENOUGH
        })
        .unwrap();
        let router = routers.router(0, NAME).unwrap();
        assert_eq!(router["state"], "active", "{router:#}");
        assert!(routers.host(0).holds(routers.vip).unwrap());
    }
    routers.wait_owner(0).unwrap();
    opener.wait_served(SERVED, PATIENCE).unwrap();
    opener.settle().unwrap();
    let outage = Outage::of(&opener.finish().unwrap());
    assert_eq!(outage.failed, 0, "{outage:?}");
    let ownership = routers.claims.record().ownership(began, epoch());
    // Whether nobody answered is no verdict on a busy machine, but that an answer was held back is.
    assert_eq!(claims_over(routers), held_back, "the lease ended: {ownership:?}");
    assert_eq!(ownership.several, Duration::ZERO, "{ownership:?}");
    assert_eq!(claims(routers, 1, began), 0, "lb-02 advertised");
    assert_eq!(routers.transitions(1), before);
    let peer = routers.router(1, NAME).unwrap();
    assert_eq!(peer["adverts"]["objections"], serde_json::json!({}), "{peer:#}");
}

#[test]
fn a_restart_moves_nothing() {
    nothing_moves(&mut pair(topology::vip4(1), |_, table| table));
}

#[test]
fn a_restart_moves_no_ipv6_address() {
    nothing_moves(&mut pair(topology::vip6(1), |_, table| table));
}

#[test]
fn a_restart_goes_on_with_the_numbers_of_the_authentication_header() {
    nothing_moves(&mut pair(topology::vip4(1), |lab, mut table| {
        let secret = lab.dir().join("vrrp.secret");
        std::fs::write(&secret, "Correct1\n").unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        table.version = 2;
        table.line(&format!("authentication = {{ type = \"ah\", secret_file = {secret:?} }}"))
    }));
}

/// Unicast, with two peers of which one is not there: each packet has a number of its own.
#[test]
fn a_restart_goes_on_with_the_numbers_of_every_peer() {
    let lab = lab().unwrap();
    let vip = topology::vip4(1);
    let secret = lab.dir().join("vrrp.secret");
    std::fs::write(&secret, "Correct1\n").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let table = |priority, peer: u8| {
        let mut table = Table::new(priority, vip);
        (table.version, table.interval) = (2, INTERVAL);
        let peers = [lab.client().ipv4(), lab.lb(peer).ipv4()].map(|peer| peer.to_string());
        table
            .line(&format!("unicast_peers = {peers:?}"))
            .line(&format!("authentication = {{ type = \"ah\", secret_file = {secret:?} }}"))
    };
    let configs =
        vec![config(&lab, 1, vip, &[table(101, 2)]), config(&lab, 2, vip, &[table(100, 1)])];
    let mut routers = Routers::start(lab, vip, configs).unwrap();
    let before = routers.transitions(1);
    let began = epoch();
    let objections =
        |routers: &Routers| routers.router(1, NAME).unwrap()["adverts"]["objections"].clone();
    let received = |routers: &Routers| {
        routers.router(1, NAME).unwrap()["adverts"]["received"].as_u64().unwrap()
    };
    for _ in 0..2 {
        routers.agents[0].kill(Signal::SIGKILL).unwrap();
        routers.agents[0].wait(SOON).unwrap();
        let heard = received(&routers);
        routers.agents[0].restart().unwrap();
        wait_until("lb-02 to hear it again and again", PATIENCE, || {
            received(&routers) >= heard + ENOUGH as u64
        })
        .unwrap();
    }
    routers.wait_owner(0).unwrap();
    assert_eq!(objections(&routers), serde_json::json!({}));
    assert_eq!((routers.transitions(1), claims(&routers, 1, began)), (before, 0));
}

#[test]
fn what_is_tracked_is_presumed_well_after_a_restart() {
    let mut routers = pair(topology::vip4(1), |lab, table| {
        let script = Switch::new(lab.lb(1)).unwrap().track(0).script;
        for node in [1, 2] {
            let pair = ["link", "add", "uplink", "type", "veth", "peer", "name", "upstream"];
            lab.lb(node).run("ip", &pair).unwrap();
            for end in ["uplink", "upstream"] {
                lab.lb(node).run("ip", &["link", "set", end, "up"]).unwrap();
            }
        }
        table
            .track(&format!(
                "script = {script:?}\ninterval = \"1s\"\ntimeout = \"20s\"\nuser = \"root\""
            ))
            .track("service = \"echo\"")
            .track("interface = \"uplink\"")
    });
    nothing_moves(&mut routers);
}

#[test]
fn an_agent_that_ends_hands_over_and_leaves_nothing() {
    for vip in [topology::vip4(1), topology::vip6(1)] {
        let mut routers = pair(vip, |_, table| table);
        let end = epoch();
        routers.agents[0].kill(Signal::SIGTERM).unwrap();
        assert!(routers.agents[0].wait(SOON).unwrap().success());
        assert!(!routers.host(0).holds(vip).unwrap(), "it went, and left {vip}");
        routers.wait_owner(1).unwrap();
        let (record, mac) = (routers.claims.record(), routers.host(0).mac());
        let mut farewell = record.adverts.iter().filter(|(at, by)| *at >= end && by.mac == mac);
        assert!(farewell.any(|(_, advert)| advert.priority == 0), "no priority 0");
        let shown = routers.host(0).run("ip", &["address", "show", "dev", "eth0"]).unwrap();
        assert!(!shown.contains("10.47.160.50") && !shown.contains("fe80::51"), "{shown}");
    }
}

/// As an agent without a lease adds it.
fn add_for_ever(host: &Host, vip: IpAddr) {
    let add = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let netlink = Netlink::open().unwrap();
            let ifindex = netlink.interfaces(&["eth0".to_owned()]).await.unwrap()[0].index;
            let (prefix, label) =
                if vip.is_ipv4() { (24, Some("eth0".to_owned())) } else { (64, None) };
            let vip = Vip { ifindex, address: vip, prefix, label };
            assert!(netlink.add_vip(&NewVip { vip, route: false, valid: None }).await.unwrap());
        });
    };
    host.in_netns(add).unwrap();
}

/// What a killed agent has left in the kernel, here without a lifetime, goes when the next begins.
#[test]
fn an_agent_that_comes_too_late_removes_what_was_left() {
    for vip in [topology::vip4(1), topology::vip6(1)] {
        let mut routers = pair(vip, |_, mut table| {
            table.interval = Duration::from_millis(200);
            table
        });
        routers.agents[0].kill(Signal::SIGKILL).unwrap();
        routers.agents[0].wait(SOON).unwrap();
        let own = routers.host(0).clone();
        routers.claims.wait_owners(&[routers.host(1)], PATIENCE).unwrap();
        wait_until("the kernel to take it away", SOON, || !own.holds(vip).unwrap()).unwrap();
        // As if it had not.
        add_for_ever(&own, vip);
        assert!(own.holds(vip).unwrap());
        // So that it stays backup.
        let mut table = Table::new(99, vip);
        table.interval = Duration::from_millis(200);
        routers.configs[0].tail = text(&[table]);
        routers.configs[0].write(&own).unwrap();
        routers.agents[0].restart().unwrap();
        wait_until("the left-over VIP to go", SOON, || !own.holds(vip).unwrap()).unwrap();
        assert_eq!(routers.log(0, &["left-over VIP removed"]).len(), 1);
        assert!(routers.claims.settled_owners(&[routers.host(1)]).unwrap());
    }
}
