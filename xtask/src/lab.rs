//! `cargo xtask lab`: hands over to the program `lb-lab`, as root.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    artifacts, build,
    process::run as run_command,
    root, setup,
    workspace::{TESTS, Workspace},
};

/// The API server that the lab runs on its control-plane hosts.
const API_SERVER: &str = "lb-apiserver";

/// `cargo xtask lab …`. Only `up` builds the agent: the other verbs act on what stands already.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> anyhow::Result<()> {
    root::require("`cargo xtask lab`")?;
    let lab = workspace.target().join("release/lb-lab");
    if arguments.first().is_some_and(|verb| verb == "up") || !lab.exists() {
        build::run(workspace)?;
    } else {
        setup::ensure(workspace)?;
    }
    run_program(workspace, "lb-lab", arguments, &[])
}

/// Builds the programs of `lb-tests` in release and runs one of them as root.
pub(crate) fn run_program(
    workspace: &Workspace,
    name: &str,
    arguments: &[OsString],
    more: &[(&str, PathBuf)],
) -> anyhow::Result<()> {
    workspace.test_package()?.require_program(name)?;
    let mut cargo = workspace.cargo("build");
    cargo.args(["--quiet", "--release", "--package", TESTS, "--bins"]);
    let built = artifacts::build(&mut cargo)?;
    let program = workspace.target().join("release").join(name);
    let mut variables = variables(workspace, built.program(API_SERVER));
    variables.extend(more.iter().map(|(name, path)| (*name, path.clone())));
    run_command(as_root(&program, &variables).args(arguments))
}

/// Where our own binaries are, for the lab and the tests.
pub(crate) fn variables(
    workspace: &Workspace,
    api_server: Option<&Path>,
) -> Vec<(&'static str, PathBuf)> {
    let mut variables =
        vec![("LB_AGENT", workspace.agent()), ("LB_EBPF_OBJECT", workspace.object())];
    variables.extend(api_server.map(|path| ("LB_APISERVER", path.to_owned())));
    variables
}

/// [`root::command`] with paths for values.
pub(crate) fn as_root(program: &Path, variables: &[(&str, PathBuf)]) -> Command {
    let values = variables.iter().map(|(name, path)| (*name, OsStr::new(path)));
    root::command(program, values)
}
