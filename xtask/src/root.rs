//! Being root where it is needed: already, through sudo, or refused in one line.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::IsTerminal as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::bail;

use crate::process::which;

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Fails in one line, before anything is built, when `what` could not become root later.
pub(crate) fn require(what: &str) -> anyhow::Result<()> {
    if is_root() || can_sudo() {
        return Ok(());
    }
    bail!("{what} needs root: run it as root, or from a terminal with `sudo` installed");
}

/// `program` as root, with `variables` and our `PATH` set (sudo drops both).
pub(crate) fn command<'a>(
    program: &Path,
    variables: impl IntoIterator<Item = (&'a str, &'a OsStr)>,
) -> Command {
    if is_root() {
        let mut command = Command::new(program);
        command.envs(variables);
        return command;
    }
    let mut command = Command::new("sudo");
    command.arg("env");
    let mut assign = |name: &str, value: &OsStr| {
        let mut assignment = OsString::from(name);
        assignment.push("=");
        assignment.push(value);
        command.arg(assignment);
    };
    for name in ["PATH", "RUST_BACKTRACE", "RUST_LOG"] {
        if let Some(value) = env::var_os(name) {
            assign(name, &value);
        }
    }
    for (name, value) in variables {
        assign(name, value);
    }
    command.arg(program);
    command
}

/// Whether sudo would work: without a password, or with a terminal to ask for it.
fn can_sudo() -> bool {
    which("sudo").is_some()
        && (std::io::stdin().is_terminal()
            || Command::new("sudo")
                .args(["-n", "true"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()))
}
