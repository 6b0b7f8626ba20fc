//! The machine: what it is, one CPU of it, and a bpffs of our own.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare},
    unistd::Pid,
};
use tempfile::TempDir;

/// What figures depend on.
pub(crate) struct Host {
    pub(crate) kernel: String,
    pub(crate) cpu_model: String,
    pub(crate) cpu: usize,
    /// `None` where the kernel does not tell, as in most virtual machines.
    pub(crate) governor: Option<String>,
    /// Content of `net.core.bpf_jit_enable` in words.
    pub(crate) jit: &'static str,
    /// Running and runnable tasks at the start, from `/proc/loadavg`: a busy machine's figures
    /// are higher and spread.
    pub(crate) load: String,
}

/// Keeps this thread on one CPU.
pub(crate) fn pin(wanted: Option<usize>) -> anyhow::Result<usize> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).context("failed to read the CPU affinity")?;
    let is_allowed = |cpu: &usize| allowed.is_set(*cpu).unwrap_or(false);
    let cpu = match wanted {
        Some(cpu) => cpu,
        None => (0..CpuSet::count()).rev().find(is_allowed).context("no CPU is allowed")?,
    };
    ensure!(cpu < CpuSet::count() && is_allowed(&cpu), "CPU `{cpu}` is not allowed here");
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(this_thread, &one)
        .with_context(|| format!("failed to keep to CPU `{cpu}`"))?;
    Ok(cpu)
}

/// Reads what can be read.
pub(crate) fn describe(cpu: usize) -> Host {
    let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let unknown = || "unknown".to_owned();
    let jit = match line("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Some("0") => "off",
        Some("1") => "on",
        Some("2") => "on (debug)",
        _ => "always on",
    };
    let cpu_model = line("/proc/cpuinfo").and_then(|text| {
        let model = text.lines().find_map(|line| line.strip_prefix("model name"))?;
        Some(model.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    Host {
        kernel: line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
        cpu_model: cpu_model.unwrap_or_else(unknown),
        cpu,
        governor: line(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")),
        jit,
        load: line("/proc/loadavg").unwrap_or_else(unknown),
    }
}

/// A bpffs that only this process sees: two objects share maps through pins in it.
pub(crate) struct BpfFs(TempDir);

impl BpfFs {
    /// Mounts it, in a mount namespace of our own.
    pub(crate) fn mount() -> anyhow::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS)
            .context("failed to make a mount namespace; hint: run as root")?;
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .context("failed to make the mount namespace private")?;
        let dir = tempfile::tempdir().context("failed to make a directory for a bpffs")?;
        mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), nothing)
            .with_context(|| format!("failed to mount a bpffs on `{}`", dir.path().display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // The namespace, and the mount with it, ends with the process at the latest.
        umount2(self.0.path(), MntFlags::MNT_DETACH).ok();
    }
}
