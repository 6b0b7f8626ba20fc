//! `cargo xtask build-ebpf`: the programs of `lb-ebpf`, as objects under `target/bpf`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

use crate::{
    artifacts::{self, Build},
    setup::{self, Tools},
    workspace::Workspace,
};

/// The package whose programs run in the kernel.
pub(crate) const PACKAGE: &str = "lb-ebpf";

const TARGET: &str = "bpfel-unknown-none";

const FLAGS: [&str; 4] = [
    // Debug information, for the linker to derive the BTF of maps and programs from it.
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    // Known to every kernel from 5.1 on: 32-bit registers and jumps.
    "-Ctarget-cpu=v3",
    // The kernel allows XDP such loads where the machine does. Taken byte by byte, a packet's
    // fields cost the instructions, and the stack, that the verifier then finds too large.
    "-Ctarget-feature=+allows-misaligned-mem-access",
];

/// Builds; cargo knows what is up to date.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    build(workspace).map(drop)
}

/// Builds, and returns what the compiler said.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Build> {
    let tools = setup::ensure(workspace)?;
    let build = artifacts::build(&mut cargo(workspace, &tools, "build"))?;
    if build.executables.is_empty() {
        bail!("package `{PACKAGE}` has no program");
    }
    for executable in &build.executables {
        publish(&executable.file, &workspace.bpf().join(&executable.name))?;
    }
    Ok(build)
}

/// A cargo command on the kernel side of the package, with the toolchain that setup chose.
pub(crate) fn cargo(workspace: &Workspace, tools: &Tools, verb: &str) -> Command {
    let mut flags = FLAGS.map(str::to_owned).to_vec();
    flags.push(format!("-Clinker={}", tools.linker.display()));

    let mut command = workspace.cargo(verb);
    inherit_nothing_of_the_host_build(&mut command);
    let mut inner = Command::new(&tools.cargo);
    inner.args(command.get_args()).current_dir(workspace.root());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inner.env(name, value),
            None => inner.env_remove(name),
        };
    }
    inner
        .args(["--release", "--package", PACKAGE, "--bins", "--target", TARGET, "-Zbuild-std=core"])
        // A directory of its own: another compiler than the host's writes here.
        .env("CARGO_TARGET_DIR", workspace.target().join("ebpf"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("RUSTC", &tools.rustc)
        // `-Z build-std`, which no stable compiler admits otherwise.
        .env("RUSTC_BOOTSTRAP", "1");
    inner
}

/// What rustup, the outer cargo and the user say about the host's compiler is wrong for this one.
fn inherit_nothing_of_the_host_build(command: &mut Command) {
    const HOST: [&str; 13] = [
        "CARGO",
        "CARGO_BUILD_RUSTC",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "CARGO_ENCODED_RUSTFLAGS",
    ];
    for name in HOST {
        command.env_remove(name);
    }
}

/// Copies an object when it changed: the agent that embeds it is rebuilt by the file's time.
fn publish(built: &Path, published: &Path) -> anyhow::Result<()> {
    let new = fs::read(built).with_context(|| format!("failed to read `{}`", built.display()))?;
    if fs::read(published).is_ok_and(|old| old == new) {
        return Ok(());
    }
    if let Some(directory) = published.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
    }
    fs::write(published, new).with_context(|| format!("failed to write `{}`", published.display()))
}
