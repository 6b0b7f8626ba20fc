//! What is tracked moves the VIP, and what moves is told. Needs root.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

#[path = "vrrp_tracking/notices.rs"]
mod notices;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use lb_agent::datapath::pins::Pins;
use lb_tests::{
    agent::Agent,
    claims::epoch,
    lab::{Host, Lab, topology},
    routers::{Routers, Table, config, lab},
    vrrp::{NAME, Switch},
    wait::{SOON, wait_until},
};

/// lb-01 with what `track` makes of its table, and lb-02, which tracks nothing.
fn pair(track: impl FnOnce(&Lab, Table) -> Table) -> Routers {
    let vip = topology::vip4(1);
    let lab = lab().unwrap();
    let own = track(&lab, Table::new(101, vip));
    let configs = vec![config(&lab, 1, vip, &[own]), config(&lab, 2, vip, &[Table::new(100, vip)])];
    Routers::start(lab, vip, configs).unwrap()
}

/// Adverts of lb-01 with this priority since `from`; the interval of the last one before the first
/// of them.
fn handed_over(routers: &Routers, from: Duration) -> Option<Duration> {
    let (record, mac) = (routers.claims.record(), routers.host(0).mac());
    let adverts = record.adverts.iter().filter(|(at, advert)| *at >= from && advert.mac == mac);
    let adverts: Vec<_> = adverts.map(|(_, advert)| *advert).collect();
    let farewell = adverts.iter().position(|advert| advert.priority == 0)?;
    farewell.checked_sub(1).map(|before| adverts[before].interval)
}

/// lb-01 hands over at once: first the shortest interval, then priority 0.
fn wait_handed_over(routers: &Routers, from: Duration) {
    routers.wait_owner(1).unwrap();
    let own = routers.host(0);
    wait_until("the VIP to leave lb-01", SOON, || !own.holds(routers.vip).unwrap()).unwrap();
    assert_eq!(handed_over(routers, from), Some(Duration::from_millis(10)));
}

fn script(switch: &Switch, weight: i16) -> String {
    let script = &switch.track(weight).script;
    format!(
        "script = {script:?}\ninterval = \"100ms\"\ntimeout = \"20s\"\nweight = {weight}\nuser = \"root\""
    )
}

#[test]
fn a_script_with_a_weight_moves_the_vip_at_once() {
    let mut switch = None;
    let routers = pair(|lab, table| {
        let made = switch.insert(Switch::new(lab.lb(1)).unwrap());
        table.track(&script(made, -10))
    });
    let switch = switch.unwrap();
    // Who has never been active is not known; lb-02 makes itself known.
    routers.agents[0].command(&["vrrp", "release", NAME]).unwrap();
    routers.wait_owner(1).unwrap();
    routers.agents[0].command(&["vrrp", "resume", NAME]).unwrap();
    routers.wait_owner(0).unwrap();
    let failed = epoch();
    switch.fail(true).unwrap();
    wait_handed_over(&routers, failed);
    let router = routers.router(0, NAME).unwrap();
    assert_eq!((&router["state"], &router["priority"]), (&"backup".into(), &101.into()));
    assert_eq!(router["effective_priority"], 91);
    switch.fail(false).unwrap();
    routers.wait_owner(0).unwrap();
    routers.wait_state(1, NAME, "backup").unwrap();
    assert_eq!(routers.router(0, NAME).unwrap()["effective_priority"], 101);
}

/// A peer that was never heard takes over by itself when it hears the lower priority long enough.
#[test]
fn a_script_with_a_weight_moves_the_vip_to_an_unknown_peer() {
    let mut switch = None;
    let routers = pair(|lab, table| {
        let made = switch.insert(Switch::new(lab.lb(1)).unwrap());
        table.track(&script(made, -10))
    });
    switch.unwrap().fail(true).unwrap();
    routers.wait_owner(1).unwrap();
    routers.wait_state(0, NAME, "backup").unwrap();
    assert!(!routers.host(0).holds(routers.vip).unwrap());
}

#[test]
fn a_script_without_a_weight_is_a_fault() {
    let mut switch = None;
    let routers = pair(|lab, table| {
        let made = switch.insert(Switch::new(lab.lb(1)).unwrap());
        table.track(&script(made, 0))
    });
    let switch = switch.unwrap();
    let failed = epoch();
    switch.fail(true).unwrap();
    wait_handed_over(&routers, failed);
    let router = routers.router(0, NAME).unwrap();
    assert_eq!(router["state"], "fault");
    let reason = router["reason"].as_str().unwrap();
    assert!(reason.contains("check.sh") && reason.contains("exit status"), "{reason}");
    switch.fail(false).unwrap();
    routers.wait_owner(0).unwrap();
    routers.wait_state(1, NAME, "backup").unwrap();
}

/// Waits until lb-01, which cannot win, is in fault for a reason with these words.
fn wait_fault(routers: &Routers, words: &[&str]) {
    routers
        .wait_router(0, NAME, &format!("to be in fault for {words:?}"), |router| {
            let reason = router["reason"].as_str().unwrap_or_default();
            router["state"] == "fault" && words.iter().all(|word| reason.contains(word))
        })
        .unwrap();
}

#[test]
fn a_script_that_cannot_run_has_failed() {
    let mut program = PathBuf::new();
    let lab = lab().unwrap();
    let vip = topology::vip4(1);
    program.push(lab.dir());
    program.push("tracked.sh");
    let write = |mode| {
        fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(0o755);
    let track =
        format!("script = {program:?}\ninterval = \"100ms\"\ntimeout = \"5s\"\nuser = \"root\"");
    let configs = vec![
        config(&lab, 1, vip, &[Table::new(101, vip).track(&track)]),
        config(&lab, 2, vip, &[Table::new(100, vip)]),
    ];
    let routers = Routers::start(lab, vip, configs).unwrap();
    for (reason, spoil) in [
        ("no such file", (|path| fs::remove_file(path).unwrap()) as fn(&PathBuf)),
        ("ermission denied", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("still running", |path| fs::write(path, "#!/bin/sh\nsleep 1000\n").unwrap()),
    ] {
        // The last one takes its timeout; the others say so at once.
        spoil(&program);
        routers.wait_owner(1).unwrap();
        wait_fault(&routers, &["tracked.sh", reason]);
        write(0o755);
        routers.wait_owner(0).unwrap();
    }
}

#[test]
fn a_node_whose_service_has_no_backend_gives_the_vip_away() {
    // Both track it, so that the one that still reaches the backend has it.
    let vip = topology::vip4(1);
    let lab = lab().unwrap();
    let table = |priority| Table::new(priority, vip).track("service = \"echo\"");
    let configs = vec![config(&lab, 1, vip, &[table(101)]), config(&lab, 2, vip, &[table(100)])];
    let routers = Routers::start(lab, vip, configs).unwrap();
    let failed = epoch();
    // A route to nowhere for lb-01's checks; the wire between the nodes stays.
    let backend = routers.lab.cp(1).ipv4().to_string();
    let own = routers.host(0).clone();
    own.run("ip", &["route", "add", "blackhole", &backend]).unwrap();
    wait_handed_over(&routers, failed);
    wait_fault(&routers, &["service `echo` has no healthy backend"]);
    own.run("ip", &["route", "del", "blackhole", &backend]).unwrap();
    routers.wait_owner(0).unwrap();
    routers.wait_state(1, NAME, "backup").unwrap();
}

/// An interface `uplink`, down, whose other end is up.
fn uplink(host: &Host) {
    let peer = ["link", "add", "uplink", "type", "veth", "peer", "name", "upstream"];
    host.run("ip", &peer).unwrap();
    host.run("ip", &["link", "set", "upstream", "up"]).unwrap();
}

#[test]
fn a_tracked_interface_that_goes_down_moves_the_vip() {
    let routers = pair(|lab, table| {
        uplink(lab.lb(1));
        lab.lb(1).run("ip", &["link", "set", "uplink", "up"]).unwrap();
        table.track("interface = \"uplink\"")
    });
    let own = routers.host(0).clone();
    let failed = epoch();
    own.run("ip", &["link", "set", "uplink", "down"]).unwrap();
    wait_handed_over(&routers, failed);
    wait_fault(&routers, &["interface `uplink` is down"]);
    own.run("ip", &["link", "set", "uplink", "up"]).unwrap();
    routers.wait_owner(0).unwrap();
    own.run("ip", &["link", "del", "uplink"]).unwrap();
    routers.wait_owner(1).unwrap();
    wait_fault(&routers, &["interface `uplink` is down"]);
}

#[test]
fn an_interface_that_is_tracked_since_a_reload_is_looked_at() {
    let mut routers = pair(|lab, table| {
        uplink(lab.lb(1));
        table
    });
    let vip = routers.vip;
    let tracking = Table::new(101, vip).track("interface = \"uplink\"");
    routers.configs[0].tail = lb_tests::routers::text(&[tracking]);
    routers.agents[0].reload(&routers.configs[0]).unwrap();
    // Nothing about it changes any more: it was down before.
    wait_fault(&routers, &["interface `uplink` is down"]);
    routers.wait_owner(1).unwrap();
}

#[test]
fn a_node_without_its_program_gives_the_vip_away() {
    let routers = pair(|_, table| table);
    let failed = epoch();
    let pin = Pins::at(routers.agents[0].pin_dir()).link("eth0", true);
    let detach = ["link", "detach", "pinned", pin.to_str().unwrap()];
    routers.host(0).run("bpftool", &detach).unwrap();
    wait_handed_over(&routers, failed);
    wait_fault(&routers, &["the XDP program is not attached"]);
    assert_eq!(routers.log(0, &["the XDP program was detached"]).len(), 1);
    let own: &Agent = &routers.agents[0];
    assert_eq!(own.status().unwrap()["vrrp"][0]["state"], "fault");
}
