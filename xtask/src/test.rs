//! `cargo xtask test`: the groups, cheapest first.

mod fuzz;
mod kernels;

use std::path::Path;

use anyhow::bail;
use clap::ValueEnum;

use crate::{
    artifacts::{self, Executable},
    build, build_ebpf, lab,
    process::{run as run_command, say},
    root, setup,
    workspace::{TESTS, Workspace},
};

/// A group of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Beside the code and in the documentation; neither root nor kernel
    Unit,
    /// Every decoder under libFuzzer, each for a bounded time
    Fuzz,
    /// Packet fixtures through the loaded program, and its layout (root)
    Datapath,
    /// Everything in the lab's network namespaces (root)
    Netns,
    /// The packet fixtures on other kernels, under qemu
    Kernels,
}

/// How long each fuzz target runs unless told otherwise: enough to notice that an old input breaks
/// a new decoder. Who changes a decoder lets it run longer.
pub(crate) const FUZZ_SECONDS: u32 = 10;

/// Runs one group, or all.
pub(crate) fn run(
    workspace: &Workspace,
    group: Option<Group>,
    fuzz_seconds: u32,
) -> anyhow::Result<()> {
    if group.is_none() {
        // Said before the first half has run for minutes.
        root::require("`cargo xtask test`")?;
    }
    let all = Group::value_variants();
    for one in group.as_ref().map_or(all, std::slice::from_ref) {
        match one {
            Group::Unit => unit(workspace)?,
            Group::Fuzz => fuzz::run(workspace, fuzz_seconds)?,
            Group::Datapath => datapath(workspace)?,
            Group::Netns => netns(workspace)?,
            Group::Kernels => kernels::run(workspace, group.is_some())?,
        }
    }
    Ok(())
}

fn unit(workspace: &Workspace) -> anyhow::Result<()> {
    setup::ensure(workspace)?;
    // `lb-ebpf` is tested apart: with its default features it builds for the kernel only.
    let host = ["--workspace", "--exclude", TESTS, "--exclude", build_ebpf::PACKAGE];
    let kernel_library = ["--package", build_ebpf::PACKAGE, "--no-default-features"];
    run_command(workspace.cargo("test").args(host).args(["--lib", "--bins", "--no-fail-fast"]))?;
    run_command(workspace.cargo("test").args(kernel_library).arg("--lib"))?;
    run_command(workspace.cargo("test").args(host).arg("--doc"))?;
    run_command(workspace.cargo("test").args(kernel_library).arg("--doc"))
}

fn datapath(workspace: &Workspace) -> anyhow::Result<()> {
    root::require("`cargo xtask test datapath`")?;
    build_ebpf::run(workspace)?;
    let names = names(workspace, is_datapath)?;
    run_built(workspace, &names, false)
}

fn netns(workspace: &Workspace) -> anyhow::Result<()> {
    root::require("`cargo xtask test netns`")?;
    build::run(workspace)?;
    let names = names(workspace, |name| !is_datapath(name))?;
    // The lab's own unit tests make namespaces too.
    run_built(workspace, &names, true)
}

/// Which group a test target belongs to is told by its name.
fn is_datapath(name: &str) -> bool {
    runs_on_other_kernels(name) || name.starts_with("layout")
}

/// Fixtures need nothing but the object and a kernel.
fn runs_on_other_kernels(name: &str) -> bool {
    name.starts_with("datapath")
}

fn names(workspace: &Workspace, choose: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
    let mut names = workspace.test_package()?.tests;
    names.retain(|name| choose(name));
    Ok(names)
}

/// Builds test targets of `lb-tests` as the user who called, and returns their executables.
fn build_tests(
    workspace: &Workspace,
    names: &[String],
    with_library: bool,
) -> anyhow::Result<artifacts::Build> {
    let mut cargo = workspace.cargo("test");
    cargo.args(["--no-run", "--package", TESTS]);
    cargo.args(with_library.then_some("--lib"));
    cargo.args(names.iter().flat_map(|name| ["--test", name]));
    artifacts::build(&mut cargo)
}

/// Builds as the caller, runs as root: no file in `target` becomes root's.
fn run_built(workspace: &Workspace, names: &[String], with_library: bool) -> anyhow::Result<()> {
    if names.is_empty() && !with_library {
        bail!("package `{TESTS}` has no test target of this group");
    }
    let built = build_tests(workspace, names, with_library)?;
    let api_server = built.program("lb-apiserver").map(Path::to_owned);
    let variables = lab::variables(workspace, api_server.as_deref());
    let mut failed = Vec::new();
    for test in built.executables.iter().filter(|executable| executable.is_test) {
        say(format!("     Running {} ({})", test.source.display(), test.file.display()));
        if !passes(test, &variables) {
            failed.push(test.name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("failed test targets: {}", failed.join(", "));
    }
    Ok(())
}

fn passes(test: &Executable, variables: &[(&str, std::path::PathBuf)]) -> bool {
    let mut command = lab::as_root(&test.file, variables);
    command.current_dir(&test.package);
    match run_command(&mut command) {
        Ok(()) => true,
        Err(error) => {
            say(format!("{error:#}"));
            false
        }
    }
}

#[cfg(test)]
mod tests;
