//! The pin directory: not there, not on a bpffs, or full of somebody else's maps.

use std::fs;

use lb_agent::datapath::{leases::Leases, stats::Stats};
use lb_common::reason::Reason;
use lb_tests::{agent::agent_command, lab::Host};

use crate::attempt::{config, lab, left_nothing, refused, serves};

fn pin_map(host: &Host, path: &str, shape: &[&str]) {
    let args = [&["map", "create", path, "type", "array"], shape, &["entries", "1", "name", "x"]];
    host.run("bpftool", &args.concat()).unwrap();
}

#[test]
fn pins_of_another_layout_are_not_touched() {
    let (lab, _servers) = lab(1);
    let (balancer, config) = (lab.lb(1), config(&lab));
    let other = config.pin_dir.join("v999");
    fs::create_dir_all(&other).unwrap();
    let map = other.join("services");
    pin_map(balancer, map.to_str().unwrap(), &["key", "4", "value", "4"]);
    let told = format!("`{}` holds pinned maps of layout `v999`", config.pin_dir.display());
    refused(balancer, &[], &config).says(1, &[&told, "speaks `v1`", "hint: `lb-agent unload`"]);
    assert!(map.exists());
    unload_and_serve(&lab, &config);
}

#[test]
fn a_pinned_map_of_another_shape_is_not_touched() {
    let (lab, _servers) = lab(1);
    let (balancer, config) = (lab.lb(1), config(&lab));
    let layout = config.pin_dir.join("v1");
    fs::create_dir_all(&layout).unwrap();
    let map = layout.join("services");
    pin_map(balancer, map.to_str().unwrap(), &["key", "4", "value", "8"]);
    let told = format!("the pinned map `{}` is not of this layout", map.display());
    refused(balancer, &[], &config).says(
        1,
        &[
            &told,
            "keys of 4 and values of 8 bytes instead of",
            "hint: `lb-agent unload` removes it",
        ],
    );
    assert!(map.exists());
    unload_and_serve(&lab, &config);
}

/// A directory whose agent knew neither `leases` nor the last of the reasons.
#[test]
fn an_older_directory_is_completed() {
    let (lab, _servers) = lab(1);
    let (balancer, config) = (lab.lb(1), config(&lab));
    let layout = config.pin_dir.join("v1");
    fs::create_dir_all(&layout).unwrap();
    let args = ["type", "percpu_array", "key", "4", "value", "16", "entries", "54", "name", "x"];
    let map = layout.join("drop_stats");
    balancer
        .run("bpftool", &[&["map", "create", map.to_str().unwrap()][..], &args].concat())
        .unwrap();
    let agent = serves(&lab, &[], &config);
    let reasons = Stats::open(&config.pin_dir).unwrap().reasons().unwrap();
    assert!(reasons[&Reason::ToBackend].packets > 0);
    assert_eq!(reasons[&Reason::ClaimOver].packets, 0);
    let leases = Leases::open(&config.pin_dir).unwrap();
    assert_eq!(leases.all().unwrap(), []);
    drop(agent);
}

/// The hint holds.
fn unload_and_serve(lab: &lb_tests::lab::Lab, config: &lb_tests::agent_config::AgentConfig) {
    let mut unload = agent_command(lab.lb(1)).unwrap();
    unload.arg("--config").arg(lab.lb(1).file("lb.toml")).arg("unload");
    assert!(unload.output().unwrap().status.success());
    left_nothing(lab, config);
    serves(lab, &[], config);
}

/// In a mount namespace of its own, where the mount ends with the agent.
#[test]
fn a_missing_bpffs_is_mounted() {
    let (lab, _servers) = lab(1);
    let mut config = config(&lab);
    config.pin_dir = lab.dir().join("bpf");
    let mut agent = serves(&lab, &["unshare", "--mount"], &config);
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", agent.id())).unwrap();
    let wanted = format!(" {} bpf ", config.pin_dir.display());
    assert!(mounts.contains(&wanted), "{mounts}");
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(&wanted));

    let mut stats = std::process::Command::new("nsenter");
    stats.arg(format!("--mount=/proc/{}/ns/mnt", agent.id()));
    let inner = agent_command(lab.lb(1)).unwrap();
    stats.arg(inner.get_program()).args(inner.get_args());
    stats.arg("--config").arg(lab.lb(1).file("lb.toml")).arg("stats");
    assert!(stats.output().unwrap().status.success());
    assert!(agent.terminate().unwrap().success());
}

#[test]
fn a_bpffs_that_cannot_be_mounted_is_explained() {
    let (lab, _servers) = lab(1);
    let mut config = config(&lab);
    config.pin_dir = lab.dir().join("bpf");
    let wrapper = ["setpriv", "--bounding-set", "-sys_admin"];
    let told = format!("failed to use `{}` as pin directory", config.pin_dir.display());
    refused(lab.lb(1), &wrapper, &config).says(
        1,
        &[
            &told,
            "no bpffs is there, and none can be mounted",
            "hint: `mount -t bpf bpf /sys/fs/bpf`",
            "Operation not permitted",
        ],
    );
    left_nothing(&lab, &config);

    // A file stands where the directory should be.
    config.pin_dir = lab.lb(1).file("lb.toml").join("bpf");
    refused(lab.lb(1), &[], &config).says(1, &["it cannot be made", "Not a directory"]);
}
