//! What the machine does not grant: the hook, capabilities, BTF, the socket.

use std::fs;

use lb_tests::{agent::Agent, lab::Verdict};

use crate::attempt::{config, ended, lab, left_nothing, pinned, refused, run, serves};

#[test]
fn an_occupied_hook_is_named_and_nothing_stays_behind() {
    let (lab, _servers) = lab(1);
    let (balancer, config) = (lab.lb(1), config(&lab));
    balancer.attach_xdp("eth0", Verdict::Pass).unwrap();
    let shown = balancer.run("ip", &["-d", "link", "show", "eth0"]).unwrap();
    let mut words = shown.split_whitespace().skip_while(|word| *word != "prog/xdp");
    let id = words.nth(2).unwrap();
    refused(balancer, &[], &config).says(
        1,
        &[
            "failed to attach XDP to `eth0`",
            &format!("another XDP program is attached to `eth0`: `stub` (id {id})\n"),
            "hint: `ip link set dev eth0 xdp off`",
        ],
    );
    left_nothing(&lab, &config);
    balancer.detach_xdp("eth0").unwrap();
    serves(&lab, &[], &config);
}

#[test]
fn missing_capabilities_are_named() {
    let (lab, _servers) = lab(1);
    let config = config(&lab);
    for (without, named) in [
        ("-bpf,-sys_admin", "it lacks CAP_BPF\n"),
        ("-perfmon,-sys_admin", "it lacks CAP_PERFMON\n"),
        ("-net_admin,-net_raw", "it lacks CAP_NET_ADMIN, CAP_NET_RAW\n"),
        ("-all", "it lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_BPF\n"),
    ] {
        let wrapper = ["setpriv", "--bounding-set", without, "--inh-caps=-all"];
        let hint = "hint: run it as root, or give it these capabilities";
        refused(lab.lb(1), &wrapper, &config).says(1, &["the agent may not use eBPF", named, hint]);
        left_nothing(&lab, &config);
    }
}

/// What a hardened unit would grant: the pin directory is on a bpffs already.
#[test]
fn the_capabilities_that_are_asked_for_suffice() {
    let (lab, _servers) = lab(1);
    let granted = "-all,+net_admin,+net_raw,+perfmon,+bpf,+dac_override";
    let config = config(&lab);
    let mut agent = serves(&lab, &["setpriv", "--bounding-set", granted], &config);
    assert!(agent.terminate().unwrap().success());
}

#[test]
fn a_kernel_without_btf_is_enough() {
    let (lab, _servers) = lab(1);
    let hidden = "mount -t tmpfs none /sys/kernel/btf && test ! -e /sys/kernel/btf/vmlinux \
                  && exec \"$0\" \"$@\"";
    let config = config(&lab);
    let mut agent = serves(&lab, &["unshare", "--mount", "sh", "-c", hidden], &config);
    assert!(pinned(&config).contains(&"backend_stats".to_owned()));
    assert!(agent.terminate().unwrap().success());
}

#[test]
fn a_second_agent_is_refused_and_disturbs_nothing() {
    let (lab, _servers) = lab(1);
    let (balancer, config) = (lab.lb(1), config(&lab));
    let first = Agent::start_ready(balancer, &config).unwrap();
    let socket = config.admin_socket.display().to_string();
    let told = format!("another agent answers at `{socket}`");
    refused(balancer, &[], &config).says(1, &[&told, "hint: stop it, or set `admin_socket`"]);
    first.wait_ready().unwrap();
    // A socket that nobody listens at is a dead agent's, and no obstacle.
    drop(first);
    assert!(fs::exists(&config.admin_socket).unwrap());
    serves(&lab, &[], &config);
}

#[test]
fn an_interface_that_does_not_exist_is_shown_with_those_that_do() {
    let (lab, _servers) = lab(1);
    let balancer = lab.lb(1);
    let mut config = config(&lab);
    config.interfaces.push("eth7".to_owned());
    let file = config.write(balancer).unwrap();
    let line = config.to_toml().lines().position(|line| line.contains("eth7")).unwrap() + 1;
    let place = format!("{}:{line}", file.display());
    ended(balancer, run(balancer, &[], &file)).says(78, &[&place, "`eth7`", "eth0", "hint: "]);
    left_nothing(&lab, &config);
}
