//! Installs what is missing to build and test; quick when nothing is.
//!
//! Assumed to be there: Rust through rustup, a C compiler, apt. Everything else is looked for
//! first and installed only when missing: commands that the tests call, a Rust toolchain that
//! carries the source of `core` (the BPF target has no prebuilt one), and a bpf-linker whose LLVM
//! reads that toolchain's bitcode.

mod apt;
mod choice;
mod packages;
mod probe;
mod stamp;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

pub(crate) use self::{apt::refresh_lists as refresh_package_lists, probe::Tools};
use self::{choice::Plan, probe::Facts, stamp::Stamp};
use crate::{
    process::{run as run_command, say, which},
    root,
    workspace::Workspace,
};

/// bpf-linker as it is installed; any patch release of it is accepted when found.
const BPF_LINKER: &str = "0.13.0";

/// Each step of a plan changes what the next look finds; no machine needs more than these.
const MAX_STEPS: usize = 8;

/// `cargo xtask setup`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let tools = ensure(workspace)?;
    say(format!("setup: ready ({})", tools.describe()));
    Ok(())
}

/// Makes sure that everything is there, and returns what builds the BPF object.
pub(crate) fn ensure(workspace: &Workspace) -> anyhow::Result<Tools> {
    mount_bpffs()?;
    let stamp = Stamp::file(workspace);
    if let Some(tools) = Stamp::read(&stamp).and_then(Stamp::still_true) {
        return Ok(tools);
    }
    let unavailable = packages::ensure()?;
    let tools = toolchain(workspace)?;
    Stamp::of(&tools, &unavailable)?.write(&stamp)?;
    Ok(tools)
}

/// Looks, does the next step, and looks again until there is a pair of tools that links.
fn toolchain(workspace: &Workspace) -> anyhow::Result<Tools> {
    let mut facts = Facts::gather(workspace)?;
    for _ in 0..MAX_STEPS {
        match choice::choose(&facts.abstracted()) {
            Plan::Use { toolchain } => {
                let tools = facts.tools(toolchain)?;
                say(format!("setup: BPF objects are built by {}", tools.describe()));
                return Ok(tools);
            }
            Plan::InstallLinker { toolchain, llvm } => {
                install_linker(workspace, llvm)?;
                facts.linker_was_installed_for(toolchain);
            }
            Plan::AddSource { toolchain } => facts.add_source(toolchain),
            Plan::InstallDebianRust => {
                say("setup: installing Debian's Rust with the source of `core`");
                apt::install(&choice::DEBIAN_RUST)?;
                facts.debian_rust_was_installed();
            }
            Plan::Stuck(why) => bail!("{why}"),
        }
        facts.look_again(workspace)?;
    }
    bail!("found no toolchain that builds for BPF after {MAX_STEPS} steps; last facts: {facts:?}")
}

/// Builds bpf-linker against `llvm` into `target/tools`.
fn install_linker(workspace: &Workspace, llvm: u32) -> anyhow::Result<()> {
    if !probe::llvm_is_installed(llvm) {
        say(format!("setup: installing LLVM {llvm} to link bpf-linker with"));
        apt::install(&[&choice::llvm_package(llvm)])?;
    }
    say(format!("setup: building bpf-linker {BPF_LINKER} for LLVM {llvm} (a minute or two)"));
    let mut cargo = cargo_install(workspace, "bpf-linker");
    cargo
        .args(["--version", BPF_LINKER, "--no-default-features", "--features"])
        .arg(format!("llvm-{llvm}"))
        .env("LLVM_PREFIX", probe::llvm_prefix(llvm));
    run_command(&mut cargo)
}

/// Where cargo-deny is, built when missing. Only `ci` asks for it: it takes minutes to build.
pub(crate) fn ensure_cargo_deny(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let ours = workspace.tools().join("bin/cargo-deny");
    if let Some(found) = which("cargo-deny").or_else(|| ours.exists().then(|| ours.clone())) {
        return Ok(found);
    }
    say("setup: building cargo-deny (a few minutes)");
    run_command(&mut cargo_install(workspace, "cargo-deny"))?;
    Ok(ours)
}

fn cargo_install(workspace: &Workspace, package: &str) -> Command {
    let mut cargo = workspace.cargo("install");
    cargo
        .args(["--quiet", "--locked", "--force", package, "--root"])
        .arg(workspace.tools())
        .env("CARGO_TARGET_DIR", workspace.target().join("tools-build"))
        // Flags meant for our own code can break somebody else's.
        .env_remove("RUSTFLAGS");
    cargo
}

/// Pins need a bpffs. Containers often come without; only root can help that.
fn mount_bpffs() -> anyhow::Result<()> {
    const PLACE: &str = "/sys/fs/bpf";
    let mounts = fs::read_to_string("/proc/mounts").context("failed to read `/proc/mounts`")?;
    if has_bpffs(&mounts, PLACE) || !root::is_root() || !Path::new(PLACE).is_dir() {
        return Ok(());
    }
    say(format!("setup: mounting a bpffs at {PLACE}"));
    run_command(Command::new("mount").args(["-t", "bpf", "bpf", PLACE]))
}

fn has_bpffs(mounts: &str, place: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(place) && fields.next() == Some("bpf")
    })
}

#[cfg(test)]
mod tests;
