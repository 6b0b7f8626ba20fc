//! Which labs exist on this machine, and who answers for them.
//!
//! A lab is a directory `/run/lb-lab/ID`, network namespaces `lbID-…` and a directory
//! `/sys/fs/bpf/lab-ID`. Its file `owner` says which process it belongs to (id and start time,
//! since ids come round again), or `standing` when it shall outlive everybody. Whoever makes a
//! lab first collects those whose owner is dead.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    mount::{MsFlags, mount},
    sys::{
        signal::{self, Signal},
        statfs::{BPF_FS_MAGIC, statfs},
    },
    unistd::Pid,
};

use super::wire;
use crate::wait;

const ROOT: &str = "/run/lb-lab";
const NETNS: &str = "/run/netns";
const BPFFS: &str = "/sys/fs/bpf";
const STANDING: &str = "standing";

/// Directory of a lab: owner, logs, certificates, sockets.
pub fn dir(id: &str) -> PathBuf {
    Path::new(ROOT).join(id)
}

/// Directory of a lab on the bpffs.
pub fn pins(id: &str) -> PathBuf {
    Path::new(BPFFS).join(format!("lab-{id}"))
}

/// What the names of a lab's namespaces begin with.
pub fn prefix(id: &str) -> String {
    format!("lb{id}-")
}

/// Runs `work` while no other process makes or removes a lab.
pub(super) fn locked<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    fs::create_dir_all(ROOT).with_context(|| format!("failed to create `{ROOT}`"))?;
    let path = Path::new(ROOT).join(".lock");
    let file = fs::File::create(&path)
        .with_context(|| format!("failed to create `{}`", path.display()))?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("failed to lock `{}`", path.display()))?;
    work()
}

/// Collects what dead owners left, and takes an id for a new lab: `wanted`, or the lowest free
/// number.
pub(super) fn claim(wanted: Option<&str>) -> Result<String> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the lab makes network namespaces and needs root\nhint: run it through `sudo`");
    }
    locked(|| {
        collect_abandoned()?;
        let id = match wanted {
            Some(id) if taken(id) => {
                bail!("lab `{id}` is up already\nhint: `cargo xtask lab down` removes it")
            }
            Some(id) => id.to_owned(),
            None => lowest_free(),
        };
        let dir = dir(&id);
        fs::create_dir_all(dir.join("logs"))
            .with_context(|| format!("failed to create `{}`", dir.display()))?;
        let owner = format!("{} {}", process::id(), start_time(process::id())?);
        fs::write(dir.join("owner"), owner)?;
        make_pins(&id)?;
        Ok(id)
    })
}

fn lowest_free() -> String {
    let mut n = 1u32;
    while taken(&n.to_string()) {
        n += 1;
    }
    n.to_string()
}

/// From now on the lab belongs to nobody and stays until [`demolish`].
pub(super) fn leave_standing(id: &str) -> Result<()> {
    fs::write(dir(id).join("owner"), STANDING).context("failed to give the lab away")
}

fn taken(id: &str) -> bool {
    dir(id).exists() || !namespaces(id).is_empty()
}

/// Names of a lab's network namespaces.
pub fn namespaces(id: &str) -> Vec<String> {
    let prefix = prefix(id);
    let mut names: Vec<String> =
        names_in(Path::new(NETNS)).into_iter().filter(|name| name.starts_with(&prefix)).collect();
    names.sort();
    names
}

/// Processes inside a lab's namespaces, by id.
pub fn processes(id: &str) -> Vec<u32> {
    let inside: HashSet<(u64, u64)> =
        namespaces(id).iter().filter_map(|name| identity(&Path::new(NETNS).join(name))).collect();
    names_in(Path::new("/proc"))
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|pid: &u32| {
            identity(Path::new(&format!("/proc/{pid}/ns/net"))).is_some_and(|i| inside.contains(&i))
        })
        .collect()
}

/// A namespace is known by the inode that its handles lead to.
fn identity(handle: &Path) -> Option<(u64, u64)> {
    fs::metadata(handle).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Removes every lab whose owner is dead. The caller holds the lock, so a directory without an
/// owner belongs to somebody who died in between.
fn collect_abandoned() -> Result<()> {
    for id in names_in(Path::new(ROOT)) {
        if !id.starts_with('.') && !owned(&id) {
            demolish_locked(&id).with_context(|| format!("failed to collect lab `{id}`"))?;
        }
    }
    Ok(())
}

fn owned(id: &str) -> bool {
    let Ok(owner) = fs::read_to_string(dir(id).join("owner")) else { return false };
    if owner == STANDING {
        return true;
    }
    let Some((pid, started)) = owner.split_once(' ') else { return false };
    let Ok(pid) = pid.parse() else { return false };
    start_time(pid).is_ok_and(|now| now == started)
}

/// Field 22 of `/proc/PID/stat`, in clock ticks since boot. The second field is a name in
/// parentheses that may itself hold blanks and parentheses.
fn start_time(pid: u32) -> Result<String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))?;
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest);
    let started = after_name.and_then(|rest| rest.split_whitespace().nth(19));
    started.map(str::to_owned).with_context(|| format!("`{path}` has no field 22"))
}

/// Takes a lab down: its processes, its namespaces with all that is in them, its pins, its files.
///
/// # Errors
/// When something of it cannot be removed.
pub fn demolish(id: &str) -> Result<()> {
    locked(|| demolish_locked(id))
}

fn demolish_locked(id: &str) -> Result<()> {
    wait::wait_for("the lab's processes to end", wait::SOON, || {
        let running = processes(id);
        for pid in &running {
            match signal::kill(Pid::from_raw(i32::try_from(*pid)?), Signal::SIGKILL) {
                // One that ended by itself meanwhile is as good.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno).context(format!("failed to kill process {pid}")),
            }
        }
        ensure!(running.is_empty(), "processes {running:?} are there");
        Ok(())
    })?;
    for netns in namespaces(id) {
        wire::ip(&["netns", "del", &netns])?;
    }
    remove(&pins(id))?;
    remove(&dir(id))
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", dir.display()))
        }
        _ => Ok(()),
    }
}

/// The bpffs is the machine's; a lab takes one directory of it.
fn make_pins(id: &str) -> Result<()> {
    let magic = statfs(BPFFS).with_context(|| format!("failed to look at `{BPFFS}`"))?;
    if magic.filesystem_type() != BPF_FS_MAGIC {
        let none: Option<&str> = None;
        match mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), none) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(errno) => {
                return Err(errno).with_context(|| format!("failed to mount a bpffs at `{BPFFS}`"));
            }
        }
    }
    let pins = pins(id);
    fs::create_dir_all(&pins).with_context(|| format!("failed to create `{}`", pins.display()))
}
