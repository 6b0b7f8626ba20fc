//! Debian's kernels for virtual machines, fetched by apt and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    process::{capture, run, say},
    setup,
};

/// The image of the newest kernel of a series, such as `6.12`, fetched unless it was before.
pub(super) fn fetch(directory: &Path, series: &str) -> anyhow::Result<PathBuf> {
    setup::refresh_package_lists()?;
    let names = capture(Command::new("apt-cache").args([
        "search",
        "--names-only",
        "^linux-image-.*-cloud-amd64",
    ]))?;
    let names = names.lines().filter_map(|line| line.split_whitespace().next());
    let Some(package) = newest(names, series) else {
        bail!(
            "apt has no package `linux-image-{series}*-cloud-amd64`: Debian 12 with its security archive has"
        );
    };
    let unpacked = directory.join(package);
    if let Some(image) = image(&unpacked) {
        return Ok(image);
    }
    say(format!("kernel {series}: fetching {package}"));
    let download = directory.join("download");
    fs::create_dir_all(&download)
        .with_context(|| format!("failed to create `{}`", download.display()))?;
    capture(Command::new("apt-get").args(["-qq", "download", package]).current_dir(&download))?;
    let archive = archive(&download, package)?;
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
    fs::remove_file(&archive)
        .with_context(|| format!("failed to remove `{}`", archive.display()))?;
    image(&unpacked)
        .with_context(|| format!("package `{package}` has no kernel image under `boot`"))
}

/// The newest package of the series; of two for the same kernel the signed one.
pub(super) fn newest<'a>(names: impl Iterator<Item = &'a str>, series: &str) -> Option<&'a str> {
    names.filter_map(|name| Some((rank(name, series)?, name))).max().map(|(_, name)| name)
}

/// Orders packages of a series: numbers of the release, then signed above unsigned. `None` for
/// another series, for debug symbols, and for names that follow whatever is newest.
fn rank(name: &str, series: &str) -> Option<(Vec<u32>, bool)> {
    let rest = name.strip_prefix("linux-image-")?;
    let (release, signed) = match rest.strip_suffix("-cloud-amd64") {
        Some(release) => (release, true),
        None => (rest.strip_suffix("-cloud-amd64-unsigned")?, false),
    };
    let release = release.strip_prefix(series)?.strip_prefix('.')?;
    let numbers = release.split(['.', '-', '+']).filter_map(|part| part.parse().ok());
    Some((numbers.collect(), signed))
}

fn archive(directory: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let prefix = format!("{package}_");
    fs::read_dir(directory)?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .with_context(|| format!("`apt-get download {package}` left no file"))
}

fn image(unpacked: &Path) -> Option<PathBuf> {
    fs::read_dir(unpacked.join("boot"))
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"))
        .map(|entry| entry.path())
}
