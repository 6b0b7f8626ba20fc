//! `cargo xtask test kernels`: the packet fixtures on Debian's kernels, each booted under qemu.
//!
//! Emulated (TCG), so that it works where KVM does not; an empty machine boots in seconds.

mod guest;
mod initramfs;
mod packages;

use std::{env, path::PathBuf};

use anyhow::{Context as _, bail};

use self::guest::{Guest, Report};
use crate::{
    build_ebpf,
    process::{say, which},
    setup,
    workspace::Workspace,
};

/// The kernels that must load the program: Debian 12's own, and its newest backport.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Boots every kernel. Where apt has none of them (no Debian 12), says so; that is a failure only
/// when kernels were `asked_for` by name, or in CI.
pub(super) fn run(workspace: &Workspace, asked_for: bool) -> anyhow::Result<()> {
    let optional = !asked_for && env::var_os("CI").is_none();
    setup::ensure(workspace)?;
    for command in ["qemu-system-x86_64", "apt-get", "dpkg-deb", "cpio", "busybox"] {
        if which(command).is_none() {
            bail!("`cargo xtask test kernels` needs `{command}`, which is not installed");
        }
    }
    build_ebpf::run(workspace)?;
    let names = super::names(workspace, super::runs_on_other_kernels)?;
    if names.is_empty() {
        bail!("package `lb-tests` has no test target `datapath` to run on other kernels");
    }
    let built = super::build_tests(workspace, &names, false)?;
    let tests: Vec<(String, PathBuf)> = built
        .executables
        .into_iter()
        .filter(|executable| executable.is_test)
        .map(|executable| (executable.name, executable.file))
        .collect();

    let directory = workspace.target().join("kernels");
    let initramfs = initramfs::build(&directory, &tests, &workspace.object())?;
    let mut failed = Vec::new();
    for series in SERIES {
        let kernel = match packages::fetch(&directory, series) {
            Ok(kernel) => kernel,
            Err(error) if optional => {
                say(format!("kernel {series}: skipped: {error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let log = directory.join(format!("{series}.log"));
        let guest = Guest { kernel: &kernel, initramfs: &initramfs, log: &log };
        let report = guest.run().with_context(|| format!("failed to run kernel {series}"))?;
        if let Err(why) = judge(&report, &tests) {
            say(&report.output);
            say(format!("kernel {series}: FAILED: {why} (console: {})", log.display()));
            failed.push(series);
        } else {
            show(series, &report);
        }
    }
    if !failed.is_empty() {
        bail!("the packet fixtures fail on kernel {}", failed.join(" and "));
    }
    Ok(())
}

/// What a passing guest said, in a few lines.
fn show(series: &str, report: &Report) {
    let release = report.facts.get("release").map_or("?", String::as_str);
    let jit = report.facts.get("jit").map_or("?", String::as_str);
    say(format!("kernel {series}: {release}, BTF, JIT {jit}, {:.1} s", report.took.as_secs_f64()));
    for line in report.output.lines().filter(|line| line.starts_with("test result:")) {
        say(format!("kernel {series}: {line}"));
    }
}

/// Every test executable must have said that it passed.
fn judge(report: &Report, tests: &[(String, PathBuf)]) -> Result<(), String> {
    if report.timed_out {
        return Err(format!("no end after {} s", guest::DEADLINE.as_secs()));
    }
    match report.facts.get("btf").map(String::as_str) {
        Some("yes") => {}
        Some(_) => return Err("the kernel has no BTF".to_owned()),
        None => return Err("the guest did not reach its init".to_owned()),
    }
    for (name, _) in tests {
        match report.exits.get(name) {
            Some(0) => {}
            Some(code) => return Err(format!("`{name}` ended with {code}")),
            None => return Err(format!("`{name}` did not end")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
