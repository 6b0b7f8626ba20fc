//! The pin directory: `PIN_DIR/v1/NAME` for maps and `PIN_DIR/v1/link-MODE-IFACE` for links, with
//! `PIN_DIR/NAME` as symbolic links to the maps of the present layout.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use aya::maps::MapInfo;
use lb_common::{
    abi::{LAYOUT_VERSION, map},
    backend::Backend,
    config::Config,
    counter::{Counter, Traffic},
    flow::{Flow, FlowKey},
    lease::{Lease, LeaseKey},
    service::{Service, ServiceKey},
};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{FsType, statfs},
};

use super::error::Error;

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: FsType = FsType(0xcafe_4a11);
/// Where a bpffs belongs.
const STANDARD: &str = "/sys/fs/bpf";

/// A pin directory.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    layout: PathBuf,
}

impl Pins {
    /// Names a pin directory without touching it.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), layout: root.join(format!("v{LAYOUT_VERSION}")) }
    }

    /// Makes the directory, mounting a bpffs when there is none; refuses one that holds another
    /// layout.
    pub fn prepare(root: &Path) -> Result<Self, Error> {
        let pins = Self::at(root);
        let wrong = |what| move |source| Error::PinDir { path: root.to_path_buf(), what, source };
        if !on_bpffs(root) {
            let target = if root.starts_with(STANDARD) { Path::new(STANDARD) } else { root };
            fs::create_dir_all(target).map_err(wrong("it cannot be made"))?;
            let none: Option<&str> = None;
            mount(Some("bpf"), target, Some("bpf"), MsFlags::empty(), none)
                .map_err(io::Error::from)
                .map_err(wrong("no bpffs is there, and none can be mounted"))?;
        }
        fs::create_dir_all(&pins.layout).map_err(wrong("it cannot be made"))?;
        pins.refuse_other_layouts()?;
        Ok(pins)
    }

    /// The pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.layout.join(name)
    }

    /// The pin of an interface's link.
    #[must_use]
    pub fn link(&self, interface: &str, native: bool) -> PathBuf {
        self.layout.join(link_name(interface, native))
    }

    /// Interfaces with a pinned link, and whether the program runs natively there.
    pub fn links(&self) -> Result<Vec<(String, bool)>, Error> {
        Ok(self.entries()?.iter().filter_map(|name| parse_link_name(name)).collect())
    }

    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.entries()?.is_empty())
    }

    /// Refuses pinned maps that differ from what this agent would make.
    pub fn check(&self) -> Result<(), Error> {
        for (name, key, value) in shapes() {
            let path = self.map(name);
            if !path.try_exists().unwrap_or(false) {
                continue;
            }
            let info = MapInfo::from_pin(&path)
                .map_err(|e| Error::ForeignPin { path: path.clone(), what: e.to_string() })?;
            let found = (info.key_size(), info.value_size());
            if found != (key, value) {
                let what = format!(
                    "keys of {} and values of {} bytes instead of {key} and {value}",
                    found.0, found.1
                );
                return Err(Error::ForeignPin { path, what });
            }
        }
        Ok(())
    }

    /// Makes the maps reachable without their layout's version.
    pub fn link_names(&self) -> Result<(), Error> {
        for name in map::ALL {
            let path = self.root.join(name);
            let target = format!("v{LAYOUT_VERSION}/{name}");
            if fs::read_link(&path).is_ok_and(|found| found == Path::new(&target)) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(self.wrong("a name in it cannot be replaced", source)),
            }
            symlink(&target, &path)
                .map_err(|source| self.wrong("a name cannot be made in it", source))?;
        }
        Ok(())
    }

    /// Detaches the program from interfaces that are not wanted.
    pub fn detach_others(&self, wanted: &[&str]) -> Result<(), Error> {
        for (interface, native) in self.links()? {
            if !wanted.contains(&interface.as_str()) {
                fs::remove_file(self.link(&interface, native))
                    .map_err(|source| self.wrong("a link cannot be unpinned", source))?;
                tracing::info!(%interface, "detached from an interface that is not configured");
            }
        }
        Ok(())
    }

    /// Removes every pin of every layout: links first, so that no packet meets a program whose
    /// maps are going. Returns how many there were.
    pub fn remove_all(&self) -> Result<usize, Error> {
        let gone = |source| self.wrong("a pin cannot be removed", source);
        let mut removed = 0;
        let mut directories = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(gone)? {
            let entry = entry.map_err(gone)?;
            let kind = entry.file_type().map_err(gone)?;
            if kind.is_dir() && is_layout(&entry.file_name().to_string_lossy()) {
                directories.push(entry.path());
            } else if kind.is_symlink() {
                fs::remove_file(entry.path()).map_err(gone)?;
            }
        }
        for directory in directories {
            let mut names = list(&directory).map_err(gone)?;
            names.sort_by_key(|name| parse_link_name(name).is_none());
            for name in names {
                fs::remove_file(directory.join(name)).map_err(gone)?;
                removed += 1;
            }
            fs::remove_dir(&directory).map_err(gone)?;
        }
        Ok(removed)
    }

    fn refuse_other_layouts(&self) -> Result<(), Error> {
        let names = list(&self.root).map_err(|source| self.wrong("it cannot be read", source))?;
        for name in names {
            let path = self.root.join(&name);
            if is_layout(&name) && path != self.layout {
                let holds = list(&path).map_err(|s| self.wrong("it cannot be read", s))?;
                if !holds.is_empty() {
                    return Err(Error::OtherLayout { path: self.root.clone(), found: name });
                }
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<String>, Error> {
        match list(&self.layout) {
            Ok(names) => Ok(names),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(self.wrong("it cannot be read", source)),
        }
    }

    fn wrong(&self, what: &'static str, source: io::Error) -> Error {
        Error::PinDir { path: self.root.clone(), what, source }
    }
}

fn list(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Whether the nearest existing ancestor lies on a bpffs.
fn on_bpffs(path: &Path) -> bool {
    path.ancestors()
        .find(|p| p.exists())
        .and_then(|p| statfs(p).ok())
        .is_some_and(|s| s.filesystem_type() == BPF_FS)
}

fn is_layout(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn link_name(interface: &str, native: bool) -> String {
    // bpffs takes no dots in names; an interface's may have them, but no colons.
    let interface = interface.replace('.', ":");
    format!("link-{}-{interface}", if native { "native" } else { "generic" })
}

fn parse_link_name(name: &str) -> Option<(String, bool)> {
    let rest = name.strip_prefix("link-")?;
    let (mode, interface) = rest.split_once('-')?;
    Some((interface.replace(':', "."), mode == "native"))
}

/// Key and value sizes of the maps whose values this agent reads or writes.
fn shapes() -> [(&'static str, u32, u32); 9] {
    const fn size<T>() -> u32 {
        size_of::<T>() as u32
    }
    [
        (map::SERVICES, size::<ServiceKey>(), size::<Service>()),
        (map::BACKENDS, 4, size::<Backend>()),
        (map::CONNS, size::<FlowKey>(), size::<Flow>()),
        (map::EMBRYO, size::<FlowKey>(), size::<Flow>()),
        (map::CONFIG, 4, size::<Config>()),
        (map::DROP_STATS, 4, size::<Counter>()),
        (map::BACKEND_STATS, 4, size::<Traffic>()),
        (map::SERVICE_STATS, 4, size::<Traffic>()),
        (map::LEASES, size::<LeaseKey>(), size::<Lease>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_survive_dots_and_dashes() {
        for name in ["eth0", "eth0.100", "br-lan", "wlp2s0-x.7"] {
            for native in [true, false] {
                let made = link_name(name, native);
                assert!(!made.contains('.'), "{made}: bpffs takes no dots");
                assert_eq!(parse_link_name(&made), Some((name.to_owned(), native)));
            }
        }
        assert_eq!(parse_link_name("services"), None);
    }

    #[test]
    fn layouts_are_v_and_digits() {
        assert!(is_layout("v1") && is_layout("v12"));
        assert!(!is_layout("v") && !is_layout("vip") && !is_layout("services"));
    }
}
