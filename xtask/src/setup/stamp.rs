//! The memory of a setup that succeeded, so that the next one is only a few looks at files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{BPF_LINKER, packages::COMMANDS, probe::Tools};
use crate::{process::which, workspace::Workspace};

/// What was set up, and by which files it is recognised.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// What this version of setup asks for; another version's stamp does not count.
    wanted: Vec<String>,
    /// Packages that apt does not have: their commands need not be there.
    unavailable: Vec<String>,
    tools: Tools,
    files: Vec<File>,
}

/// A file as it was; an upgrade changes size or time.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    path: PathBuf,
    /// In bytes.
    size: u64,
    /// Since 1970.
    modified: Duration,
}

impl File {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let meta = fs::metadata(path)
            .with_context(|| format!("failed to look at `{}`", path.display()))?;
        let modified = meta.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self { path: path.to_owned(), size: meta.len(), modified })
    }
}

impl Stamp {
    /// Where it is kept.
    pub(super) fn file(workspace: &Workspace) -> PathBuf {
        workspace.tools().join("setup.json")
    }

    /// The stamp of a setup that ended with these tools.
    pub(super) fn of(tools: &Tools, unavailable: &[&str]) -> anyhow::Result<Self> {
        let source = tools.core_source();
        let files = [&tools.rustc, &tools.cargo, &tools.linker, &source];
        Ok(Self {
            wanted: wanted(),
            unavailable: unavailable.iter().map(|package| (*package).to_owned()).collect(),
            tools: tools.clone(),
            files: files.into_iter().map(|path| File::of(path)).collect::<Result<_, _>>()?,
        })
    }

    /// `None` when there is none, or one that another version wrote.
    pub(super) fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// The tools, if the machine still is as it was left.
    pub(super) fn still_true(self) -> Option<Tools> {
        let commands = COMMANDS.iter().all(|(command, package)| {
            which(command).is_some() || self.unavailable.iter().any(|one| one == package)
        });
        let files =
            self.files.iter().all(|file| File::of(&file.path).is_ok_and(|now| now == *file));
        (commands && files && self.wanted == wanted()).then_some(self.tools)
    }

    /// Remembers.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("failed to create `{}`", directory.display()))?;
        }
        fs::write(file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("failed to write `{}`", file.display()))
    }
}

fn wanted() -> Vec<String> {
    let commands = COMMANDS.iter().map(|(command, package)| format!("{command} from {package}"));
    commands.chain([format!("bpf-linker {BPF_LINKER}")]).collect()
}
