//! What this machine has: toolchains, linkers, LLVM, and which of them work together.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    apt,
    choice::{self, Candidate, Compiler, Situation, Version},
};
use crate::{
    process::{capture, is_executable, say, which},
    workspace::Workspace,
};

/// Where Debian's compiler lives; rustup's never do.
const SYSTEM: &str = "/usr";

/// What builds a BPF object on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    /// The compiler, by path: a second one may come first in somebody's `PATH`.
    pub(crate) rustc: PathBuf,
    /// The cargo of the same toolchain.
    pub(crate) cargo: PathBuf,
    /// Links the bitcode of that compiler.
    pub(crate) linker: PathBuf,
    /// First line of `rustc -vV`.
    version: String,
    /// Major of the compiler's LLVM.
    llvm: u32,
}

impl Tools {
    /// For people, in one line.
    pub(crate) fn describe(&self) -> String {
        let Self { rustc, linker, version, llvm, .. } = self;
        format!("`{}`, {version}, LLVM {llvm}, linked by `{}`", rustc.display(), linker.display())
    }

    /// A file of the source that `-Z build-std=core` compiles.
    pub(super) fn core_source(&self) -> PathBuf {
        core_source(self.rustc.ancestors().nth(2).unwrap_or(&self.rustc))
    }

    /// Whether the toolchain has its clippy (Debian's has not).
    pub(crate) fn has_clippy(&self) -> bool {
        ["cargo-clippy", "clippy-driver"]
            .iter()
            .all(|name| is_executable(&self.cargo.with_file_name(name)))
    }
}

/// A toolchain with all that was found out about it.
#[derive(Debug)]
struct Toolchain {
    /// rustup's name for it; `None` = not rustup's.
    name: Option<String>,
    sysroot: PathBuf,
    version: String,
    compiler: Compiler,
    linker: Option<PathBuf>,
    source_refused: bool,
    linker_built: bool,
}

impl Toolchain {
    fn program(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }

    fn has_source(&self) -> bool {
        core_source(&self.sysroot).is_file()
    }
}

fn core_source(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml")
}

/// The state of the machine, refreshed after each step.
#[derive(Debug)]
pub(super) struct Facts {
    toolchains: Vec<Toolchain>,
    llvms: Vec<u32>,
    debian_rust: Option<Version>,
}

impl Facts {
    /// Looks at the machine for the first time.
    pub(super) fn gather(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut facts =
            Self { toolchains: Vec::new(), llvms: Vec::new(), debian_rust: apt_debian_rust() };
        facts.look_again(workspace)?;
        Ok(facts)
    }

    /// Looks again after something was installed; what was tried before is remembered.
    pub(super) fn look_again(&mut self, workspace: &Workspace) -> anyhow::Result<()> {
        for (name, sysroot) in sysroots() {
            if !self.toolchains.iter().any(|known| known.sysroot == sysroot) {
                self.toolchains.extend(inspect(name, sysroot));
            }
        }
        let linkers = linkers(workspace);
        for toolchain in &mut self.toolchains {
            toolchain.linker = working_linker(workspace, &toolchain.program("rustc"), &linkers)?;
        }
        self.llvms = choice::linker_llvms()
            .filter(|llvm| {
                llvm_is_installed(*llvm) || apt::candidate(&choice::llvm_package(*llvm)).is_some()
            })
            .collect();
        Ok(())
    }

    /// What the choice is made from.
    pub(super) fn abstracted(&self) -> Situation {
        let candidates = self.toolchains.iter().map(|toolchain| Candidate {
            compiler: toolchain.compiler,
            has_source: toolchain.has_source(),
            may_add_source: toolchain.name.is_some() && !toolchain.source_refused,
            links: toolchain.linker.is_some(),
            linker_built: toolchain.linker_built,
        });
        Situation {
            toolchains: candidates.collect(),
            llvms: self.llvms.clone(),
            debian_rust: self.debian_rust,
        }
    }

    /// The tools of the toolchain that was chosen.
    pub(super) fn tools(&self, index: usize) -> anyhow::Result<Tools> {
        let toolchain = &self.toolchains[index];
        Ok(Tools {
            rustc: toolchain.program("rustc"),
            cargo: toolchain.program("cargo"),
            linker: toolchain.linker.clone().context("the chosen toolchain has no linker")?,
            version: toolchain.version.clone(),
            llvm: toolchain.compiler.llvm,
        })
    }

    /// Asks rustup for `rust-src`. A refusal (offline, say) is remembered, not an error.
    pub(super) fn add_source(&mut self, index: usize) {
        let toolchain = &mut self.toolchains[index];
        let name = toolchain.name.clone().unwrap_or_default();
        say(format!("setup: adding rust-src to the toolchain `{name}`"));
        // rustup retries for long when a proxy swallows its packets.
        let added = capture(Command::new("timeout").args([
            "120",
            "rustup",
            "component",
            "add",
            "rust-src",
            "--toolchain",
            &name,
        ]));
        if let Err(error) = added {
            say(format!(
                "setup: rustup has no rust-src to give: {}",
                last_line(&error.to_string())
            ));
        }
        toolchain.source_refused = !toolchain.has_source();
    }

    /// Keeps a linker that still does not link from being built for ever.
    pub(super) fn linker_was_installed_for(&mut self, index: usize) {
        self.toolchains[index].linker_built = true;
    }

    /// Keeps apt from being asked for ever.
    pub(super) fn debian_rust_was_installed(&mut self) {
        self.debian_rust = None;
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// `rustc-web` in apt, unless the whole set is installed already.
fn apt_debian_rust() -> Option<Version> {
    let inspected = inspect(None, PathBuf::from(SYSTEM));
    if inspected.is_some_and(|toolchain| toolchain.has_source()) {
        return None;
    }
    Version::parse(&apt::candidate("rustc-web")?)
}

/// Sysroots of all toolchains: the one that runs us first, then rustup's others, then Debian's.
fn sysroots() -> Vec<(Option<String>, PathBuf)> {
    let rustup = |arguments: &[&str]| capture(Command::new("rustup").args(arguments)).ok();
    let mut names: Vec<String> = rustup(&["toolchain", "list"])
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    let ours = env::var("RUSTUP_TOOLCHAIN").unwrap_or_default();
    names.sort_by_key(|name| *name != ours);
    let managed = names.into_iter().filter_map(|name| {
        let rustc = rustup(&["which", "--toolchain", &name, "rustc"])?;
        let sysroot = Path::new(rustc.trim()).parent()?.parent()?.to_owned();
        Some((Some(name), sysroot))
    });
    managed.chain([(None, PathBuf::from(SYSTEM))]).collect()
}

/// A sysroot is a toolchain when its own compiler says so.
fn inspect(name: Option<String>, sysroot: PathBuf) -> Option<Toolchain> {
    let rustc = sysroot.join("bin/rustc");
    if !is_executable(&rustc) || !is_executable(&sysroot.join("bin/cargo")) {
        return None;
    }
    let text = capture(Command::new(&rustc).arg("-vV").env_remove("LD_LIBRARY_PATH")).ok()?;
    Some(Toolchain {
        name,
        sysroot,
        version: text.lines().next().unwrap_or_default().to_owned(),
        compiler: Compiler::parse(&text)?,
        linker: None,
        source_refused: false,
        linker_built: false,
    })
}

/// Linkers of an accepted release: ours, then those in `PATH` and in cargo's own directory.
fn linkers(workspace: &Workspace) -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    [
        Some(workspace.tools().join("bin/bpf-linker")),
        which("bpf-linker"),
        home.map(|home| home.join("bin/bpf-linker")),
    ]
    .into_iter()
    .flatten()
    .filter(|linker| is_executable(linker))
    .filter(|linker| {
        capture(Command::new(linker).arg("--version"))
            .is_ok_and(|text| choice::linker_is_accepted(&text))
    })
    .collect()
}

/// The first linker that turns this compiler's bitcode into a BPF object. Tried for real: a linker
/// does not tell its LLVM, and one older than the compiler's fails only on reading.
fn working_linker(
    workspace: &Workspace,
    rustc: &Path,
    linkers: &[PathBuf],
) -> anyhow::Result<Option<PathBuf>> {
    if linkers.is_empty() {
        return Ok(None);
    }
    let directory = workspace.target().join("tools/probe");
    fs::create_dir_all(&directory)
        .with_context(|| format!("failed to create `{}`", directory.display()))?;
    let [source, bitcode, object] =
        ["probe.rs", "probe.bc", "probe.o"].map(|name| directory.join(name));
    fs::write(
        &source,
        "#![no_std]\n#[unsafe(no_mangle)]\npub extern \"C\" fn probe(x: u32) -> u32 { x }\n",
    )
    .with_context(|| format!("failed to write `{}`", source.display()))?;
    let mut compile = Command::new(rustc);
    compile
        .args(["--crate-type=lib", "--emit=llvm-bc", "-Copt-level=1", "-Cpanic=abort", "-o"])
        .args([&bitcode, &source])
        .env_remove("LD_LIBRARY_PATH");
    if !succeeds(&mut compile) {
        return Ok(None);
    }
    let works = |linker: &&PathBuf| {
        let mut link = Command::new(linker);
        link.args(["--target=bpfel-unknown-none", "--export=probe", "-o"])
            .args([&object, &bitcode]);
        succeeds(&mut link)
    };
    Ok(linkers.iter().find(works).cloned())
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where Debian (and LLVM's own apt archive) puts a release.
pub(super) fn llvm_prefix(llvm: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{llvm}"))
}

/// With headers and `llvm-config`, as bpf-linker's build needs.
pub(super) fn llvm_is_installed(llvm: u32) -> bool {
    let prefix = llvm_prefix(llvm);
    is_executable(&prefix.join("bin/llvm-config")) && prefix.join("include/llvm-c").exists()
}
