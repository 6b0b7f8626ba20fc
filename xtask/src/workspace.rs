//! Where things are, and which test targets and programs `lb-tests` has.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::process;

/// The package that holds the lab, its programs and the tests that need root.
pub(crate) const TESTS: &str = "lb-tests";

/// The checked-out repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace that this xtask was built from (`cargo run` says where it is now).
    pub(crate) fn find() -> anyhow::Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .with_context(|| format!("`{}` has no parent directory", package.display()))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `target`, wherever cargo is configured to build: scripts rely on the paths below it.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Tools of ours, so that a clone needs nothing in the home directory.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    /// Built BPF objects, one file per program of `lb-ebpf`.
    pub(crate) fn bpf(&self) -> PathBuf {
        self.target().join("bpf")
    }

    /// The XDP object.
    pub(crate) fn object(&self) -> PathBuf {
        self.bpf().join("lb-ebpf")
    }

    /// The agent with the object inside.
    pub(crate) fn agent(&self) -> PathBuf {
        self.target().join("release/lb-agent")
    }

    /// The cargo that runs us, on this workspace, building into [`Self::target`].
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.arg(verb).current_dir(&self.root).env("CARGO_TARGET_DIR", self.target());
        forget_outer_package(&mut command);
        command
    }

    /// What `lb-tests` offers at the moment.
    pub(crate) fn test_package(&self) -> anyhow::Result<TestPackage> {
        let text =
            process::capture(self.cargo("metadata").args(["--no-deps", "--format-version", "1"]))?;
        TestPackage::from_metadata(&text)
    }
}

/// Removes what `cargo run` set for us about the package `xtask`: an inner build would take it
/// for its own and rebuild whatever looks at it.
fn forget_outer_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if is_about_outer_package(&name) {
            command.env_remove(name);
        }
    }
}

fn is_about_outer_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_")
        || matches!(&*name, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH")
}

/// The targets of `lb-tests`, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestPackage {
    /// `[[bin]]` targets.
    pub(crate) programs: Vec<String>,
    /// `[[test]]` targets.
    pub(crate) tests: Vec<String>,
}

impl TestPackage {
    fn from_metadata(text: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            targets: Vec<Target>,
        }
        #[derive(Deserialize)]
        struct Target {
            name: String,
            kind: Vec<String>,
        }
        let metadata: Metadata =
            serde_json::from_str(text).context("failed to read the output of `cargo metadata`")?;
        let Some(package) = metadata.packages.into_iter().find(|package| package.name == TESTS)
        else {
            bail!("the workspace has no package `{TESTS}`");
        };
        let mut found = Self::default();
        for target in package.targets {
            match target.kind.first().map(String::as_str) {
                Some("bin") => found.programs.push(target.name),
                Some("test") => found.tests.push(target.name),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Fails in words when there is no such program.
    pub(crate) fn require_program(&self, name: &str) -> anyhow::Result<()> {
        if !self.programs.iter().any(|program| program == name) {
            bail!("package `{TESTS}` has no program `{name}` (it has: {})", list(&self.programs));
        }
        Ok(())
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
