//! The packet path in the kernel, under `BPF_PROG_TEST_RUN`: packet fixtures and a differential
//! test against the model. Needs root and the built object, nothing else.

mod datapath {
    pub(crate) mod bad;
    pub(crate) mod claim;
    pub(crate) mod conn;
    mod differential;
    pub(crate) mod fixture;
    pub(crate) mod forward;
    pub(crate) mod icmp;
    pub(crate) mod lifecycle;
    pub(crate) mod pass;
    pub(crate) mod ports;
    pub(crate) mod reap;
    pub(crate) mod refuse;
    mod rng;
    pub(crate) mod scene;
    pub(crate) mod target;
    mod traffic;
    mod twins;
    mod vandal;
}

use std::collections::BTreeSet;

use datapath::{
    bad, claim,
    fixture::{Family, Fixture},
    forward, icmp, lifecycle, pass, ports, reap, refuse,
    scene::Scene,
};
use lb_common::reason::Reason;

fn fixtures() -> Vec<Fixture> {
    [
        pass::fixtures(),
        bad::fixtures(),
        claim::fixtures(),
        forward::fixtures(),
        refuse::fixtures(),
        lifecycle::fixtures(),
        ports::fixtures(),
        icmp::fixtures(),
        reap::fixtures(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Plays the table for one family; the reasons met.
#[expect(clippy::print_stdout, reason = "the test's own report")]
fn play(v6: bool) -> BTreeSet<Reason> {
    let mut scene = Scene::new(v6).unwrap_or_else(|error| panic!("{error:#}"));
    let mut failed = Vec::new();
    let mut played = 0;
    for Fixture { name, family, play } in fixtures() {
        if family == if v6 { Family::V4 } else { Family::V6 } {
            continue;
        }
        played += 1;
        if let Err(error) = scene.reset().and_then(|()| play(&mut scene)) {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    println!("{played} fixtures, {} reasons", scene.seen.len());
    assert!(failed.is_empty(), "{} of {played} fail:\n{}", failed.len(), failed.join("\n"));
    scene.seen
}

/// Every reason but one has its fixture. `Internal` stands for maps of the program itself that
/// are missing; with a map missing the object does not load.
fn covers(seen: &BTreeSet<Reason>, v6: bool) {
    let exempt = |reason: &Reason| {
        *reason == Reason::Internal
            || (v6 && *reason == Reason::IpOptions)
            || (!v6 && *reason == Reason::Ipv6Extension)
    };
    let missing: Vec<_> = Reason::ALL.iter().filter(|r| !seen.contains(r) && !exempt(r)).collect();
    assert!(missing.is_empty(), "no fixture meets {missing:?}");
}

#[test]
fn fixtures_hold_for_ipv4() {
    covers(&play(false), false);
}

#[test]
fn fixtures_hold_for_ipv6() {
    covers(&play(true), true);
}
