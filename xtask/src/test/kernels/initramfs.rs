//! The guest's only file system: busybox, the tests with their libraries, the object, an init.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::guest::MARK;
use crate::process::{capture, describe, run, which};

/// Directory of the tests inside.
const TESTS: &str = "tests";

/// Packs everything into `directory/initramfs.cpio` and returns its path.
pub(super) fn build(
    directory: &Path,
    tests: &[(String, PathBuf)],
    object: &Path,
) -> anyhow::Result<PathBuf> {
    let root = directory.join("initramfs");
    if root.exists() {
        fs::remove_dir_all(&root)
            .with_context(|| format!("failed to empty `{}`", root.display()))?;
    }
    for inner in ["bin", "dev", "proc", "sys", "tmp", "run", TESTS] {
        create(&root.join(inner))?;
    }
    let busybox = which("busybox").context("failed to find `busybox`")?;
    let mut files = vec![busybox.clone()];
    copy(&busybox, &root.join("bin/busybox"))?;
    symlink("busybox", root.join("bin/sh")).context("failed to link `bin/sh`")?;
    copy(object, &root.join("lb-ebpf"))?;
    for (name, file) in tests {
        let inside = root.join(TESTS).join(name);
        copy(file, &inside)?;
        // Debug information is most of the size, and a guest has nobody to debug in it.
        run(Command::new("strip").arg("--strip-debug").arg(&inside))?;
        files.push(file.clone());
    }
    for file in &files {
        for library in libraries(file) {
            copy(&library, &root.join(library.strip_prefix("/").unwrap_or(&library)))?;
        }
    }
    let init = root.join("init");
    fs::write(&init, script()).with_context(|| format!("failed to write `{}`", init.display()))?;
    executable(&init)?;
    pack(&root, &directory.join("initramfs.cpio"))
}

/// What the kernel starts. Facts and exit codes go to the console after [`MARK`].
fn script() -> String {
    format!(
        r#"#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
ulimit -l unlimited
ulimit -n 65536
echo "{MARK} fact release $(uname -r)"
echo "{MARK} fact btf $([ -r /sys/kernel/btf/vmlinux ] && echo yes || echo no)"
echo "{MARK} fact jit $(cat /proc/sys/net/core/bpf_jit_enable)"
export LB_EBPF_OBJECT=/lb-ebpf RUST_BACKTRACE=1 LB_DIFF_PACKETS=10000
for test in /{TESTS}/*; do
    cd /tmp
    "$test"
    echo "{MARK} exit $(basename "$test") $?"
done
poweroff -f
"#
    )
}

/// Shared libraries and the loader, by `ldd`; none for a static executable.
fn libraries(file: &Path) -> Vec<PathBuf> {
    let text = capture(Command::new("ldd").arg(file)).unwrap_or_default();
    parse_ldd(&text)
}

/// From `name => /path (address)` and `/path (address)`; the vDSO has no path.
pub(super) fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

/// `newc`, the only format that kernels unpack.
fn pack(root: &Path, archive: &Path) -> anyhow::Result<PathBuf> {
    let names = capture(Command::new("find").arg(".").current_dir(root))?;
    let out = fs::File::create(archive)
        .with_context(|| format!("failed to create `{}`", archive.display()))?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--quiet", "--format=newc", "--owner=0:0"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(out);
    let mut child = cpio.spawn().context("failed to start `cpio`")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(names.as_bytes()).context("failed to write to `cpio`")?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed: {status}", describe(&cpio));
    }
    Ok(archive.to_owned())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(directory) = to.parent() {
        create(directory)?;
    }
    fs::copy(from, to)
        .with_context(|| format!("failed to copy `{}` to `{}`", from.display(), to.display()))?;
    executable(to)
}

fn create(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("failed to create `{}`", directory.display()))
}

fn executable(file: &Path) -> anyhow::Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make `{}` executable", file.display()))
}
