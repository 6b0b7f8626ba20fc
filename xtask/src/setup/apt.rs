//! apt, asked and told.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::bail;

use crate::{
    process::{capture, run, say, which},
    root,
};

/// Lists older than this may name files that the mirrors have replaced.
const LISTS_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

const LISTS: &str = "/var/lib/apt/lists";

/// The version that apt would install.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let text = capture(Command::new("apt-cache").args(["policy", package])).ok()?;
    parse_candidate(&text)
}

fn parse_candidate(policy: &str) -> Option<String> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Fails in words when this is no Debian or Ubuntu.
pub(crate) fn require(what: &str) -> anyhow::Result<()> {
    if which("apt-get").is_none() {
        bail!("{what} comes from apt, and this machine has no `apt-get`");
    }
    Ok(())
}

/// Brings the package lists up to date when they are missing or old.
pub(crate) fn refresh_lists() -> anyhow::Result<()> {
    let newest = newest_list(Path::new(LISTS));
    let age = newest.and_then(|time| SystemTime::now().duration_since(time).ok());
    if age.is_some_and(|age| age < LISTS_MAX_AGE) {
        return Ok(());
    }
    say("setup: updating apt's package lists");
    let updated = as_root("apt-get", &["-qq", "update"]);
    match updated {
        // One dead third-party source must not stop everything; a package that is missing will.
        Err(error) if newest.is_some() => {
            say(format!("setup: going on with the old package lists: {error}"));
            Ok(())
        }
        other => other,
    }
}

/// When the newest package list was fetched. The files keep the mirror's time; directories and
/// apt's own stamp tell when they came.
fn newest_list(directory: &Path) -> Option<SystemTime> {
    let has_lists = fs::read_dir(directory)
        .ok()?
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    if !has_lists {
        return None;
    }
    fs::metadata(directory.join("partial")).and_then(|meta| meta.modified()).ok()
}

/// Stops a daemon that a package has just started, where systemd runs (elsewhere none was).
pub(crate) fn stop_service(name: &str) -> anyhow::Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    as_root("systemctl", &["disable", "--quiet", "--now", name])
}

/// Installs packages.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    require(&format!("`{}`", packages.join("`, `")))?;
    root::require("installing packages")?;
    refresh_lists()?;
    let mut arguments = vec!["-qq", "install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    as_root("apt-get", &arguments)
}

fn as_root(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    // Without systemd, maintainer scripts start no service in runlevel 1.
    let variables = [("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")];
    let variables = variables.map(|(name, value)| (name, OsStr::new(value)));
    let mut command = root::command(Path::new(program), variables);
    // Hundreds of lines of unpacking tell nobody anything; a failure's stderr does.
    command.args(arguments).stdout(std::process::Stdio::null());
    run(&mut command)
}

#[cfg(test)]
mod tests;
