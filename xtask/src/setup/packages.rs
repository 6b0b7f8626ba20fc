//! Commands that the build and the tests call, and the packages that bring them.

use super::apt;
use crate::process::{say, which};

/// A command and the apt package that has it. The command is what counts: another package may
/// bring it too, and conflict with ours.
pub(super) const COMMANDS: [(&str, &str); 14] = [
    ("bpftool", "bpftool"),
    ("busybox", "busybox-static"),
    // libFuzzer is C++.
    ("c++", "g++"),
    ("cpio", "cpio"),
    ("curl", "curl"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("ethtool", "ethtool"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("keepalived", "keepalived"),
    ("kubectl", "kubernetes-client"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("tcpdump", "tcpdump"),
];

/// Packages that start a service when they are installed, and its name: the tests want the program
/// alone.
const SERVICES: [(&str, &str); 3] =
    [("etcd-server", "etcd"), ("haproxy", "haproxy"), ("keepalived", "keepalived")];

/// Installs the packages of missing commands. Returns those that this distribution does not have:
/// they are left to the test that wants them.
pub(super) fn ensure() -> anyhow::Result<Vec<&'static str>> {
    let missing = missing(|command| which(command).is_some());
    if missing.is_empty() {
        return Ok(missing);
    }
    apt::require(&format!("`{}`", missing.join("`, `")))?;
    apt::refresh_lists()?;
    let (known, unknown): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|package| apt::candidate(package).is_some());
    if !known.is_empty() {
        say(format!("setup: installing {}", known.join(", ")));
        apt::install(&known)?;
        for (package, service) in SERVICES {
            if known.contains(&package) {
                apt::stop_service(service)?;
            }
        }
    }
    for package in &unknown {
        say(format!("setup: apt has no package `{package}`; tests that need it will say so"));
    }
    Ok(unknown)
}

/// Packages of the commands that are absent, each once.
fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> = COMMANDS
        .iter()
        .filter(|(command, _)| !is_there(command))
        .map(|(_, package)| *package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests;
