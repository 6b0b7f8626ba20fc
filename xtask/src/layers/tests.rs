use super::*;

/// The paths that are refused.
fn lines(file: &str, text: &str) -> Vec<String> {
    check(file, text)
        .into_iter()
        .map(|violation| violation.split('`').nth(1).unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_library_outside_its_home_is_refused() {
    let text = "use aya::Ebpf;\nuse rtnetlink::Handle;\nuse clap::Parser;\nuse anyhow::Result;";
    let all = ["aya::Ebpf", "rtnetlink::Handle", "clap::Parser", "anyhow::Result"];
    assert_eq!(lines("lb-agent/src/control.rs", text), all);
    assert_eq!(lines("lb-agent/src/datapath/maps.rs", "use aya::Ebpf;"), [""; 0]);
    assert_eq!(lines("lb-agent/src/datapath/plan.rs", "use aya::Ebpf;"), ["aya::Ebpf"]);
    assert_eq!(lines("tests/support/lib.rs", text), [""; 0], "tests are not the agent");
}

#[test]
fn a_pure_room_names_no_io_no_clock_and_no_other_room() {
    let tracker = "lb-agent/src/health/tracker.rs";
    for bad in [
        "use tokio::time::Instant;",
        "fn f() { Instant::now(); }",
        "use std::fs;",
        "use std::net::TcpStream;",
        "use crate::netlink::Facts;",
        "use super::probe::Probe;",
        "use super::super::agent::Event;",
    ] {
        assert_eq!(check(tracker, bad).len(), 1, "{bad}");
    }
    let good = "use std::{net::IpAddr, time::{Duration, Instant}};\nuse super::Outcome;\n\
                use crate::config::Check;\nuse lb_common::backend::BackendId;\nuse thiserror::Error;";
    assert_eq!(lines(tracker, good), [""; 0]);
}

#[test]
fn the_half_of_a_room_that_looks_outside_may_do_what_the_pure_half_may_not() {
    let text = "use std::fs; use nix::unistd::User; use std::io; use super::error::Fault;";
    assert_eq!(lines("lb-agent/src/config/machine.rs", text), [""; 0]);
    assert_eq!(lines("lb-agent/src/config/claim.rs", text), ["std::fs", "nix::unistd::User"]);
    let machine = ["crate::config::machine::verify"];
    assert_eq!(lines("lb-agent/src/config/text.rs", "use super::machine::verify;"), machine);
    assert_eq!(lines("lb-agent/src/config/file.rs", "use super::machine::verify;"), [""; 0]);
    assert_eq!(lines("lb-agent/src/config/text.rs", "use toml::Table;"), [""; 0]);
    assert_eq!(lines("lb-agent/src/config/node.rs", "use toml::Table;"), ["toml::Table"]);
}

#[test]
fn io_rooms_do_not_know_each_other_or_the_loop() {
    assert_eq!(check("lb-agent/src/netlink/links.rs", "use crate::agent::Event;").len(), 1);
    assert_eq!(check("lb-agent/src/health/probe.rs", "use crate::datapath::maps;").len(), 1);
    assert_eq!(check("lb-agent/src/datapath/maps.rs", "use crate::netlink;").len(), 1);
    assert_eq!(check("lb-agent/src/agent.rs", "use crate::{cli::Cli, netlink};").len(), 1);
}

#[test]
fn crates_keep_to_their_side() {
    for (file, bad) in [
        ("lb-common/src/net.rs", "use std::net::Ipv4Addr;"),
        ("lb-common/src/flow.rs", "use aya::Pod;"),
        ("lb-ebpf/src/parse.rs", "use aya_ebpf::programs::XdpContext;"),
        ("lb-ebpf/src/main.rs", "use std::mem;"),
        ("lb-agent/src/status.rs", "use lb_ebpf::parse;"),
        ("tests/support/lab.rs", "use xtask::run;"),
        ("xtask/src/build.rs", "use lb_common::abi;"),
    ] {
        assert_eq!(check(file, bad).len(), 1, "{file}: {bad}");
    }
    assert_eq!(
        lines("lb-ebpf/src/main.rs", "use aya_ebpf::macros::xdp; use lb_ebpf::parse;"),
        [""; 0]
    );
    assert_eq!(lines("lb-common/src/net.rs", "unsafe impl aya::Pod for Be16 {}"), [""; 0]);
}

#[test]
fn a_violation_tells_place_path_and_reason() {
    let violations = check("lb-agent/src/frame.rs", "\nuse tokio::net;");
    assert_eq!(violations.len(), 1);
    let text = &violations[0];
    assert!(
        text.starts_with("lb-agent/src/frame.rs:2: `tokio::net` is not for this room: "),
        "{text}"
    );
}

#[test]
fn a_prefix_ends_at_a_segment() {
    assert!(leads_into("aya::Pod", "aya") && leads_into("aya", "aya"));
    assert!(!leads_into("aya_ebpf::x", "aya"));
    assert!(!leads_into("crate::configure", "crate::config"));
}

#[test]
fn patterns_without_a_file_are_named() {
    assert!(unmatched(&[]).contains(&"lb-agent/src/datapath/maglev.rs"));
    let files = ["lb-agent/src/datapath/maglev.rs".to_owned()];
    assert!(!unmatched(&files).contains(&"lb-agent/src/datapath/maglev.rs"));
}
