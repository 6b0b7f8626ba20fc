//! Which toolchain and linker build the BPF object: the choice alone, from facts handed in.

/// Oldest Rust that builds the workspace, `rust-version` in its `Cargo.toml`.
pub(super) const OLDEST_RUST: Version = Version { major: 1, minor: 90 };

/// LLVM releases for which bpf-linker 0.13 has a feature `llvm-NN`, from the one on that can be
/// told that BPF takes misaligned loads: without, the program outgrows the kernel's stack.
const LINKER_LLVMS: [u32; 2] = [22, 23];

/// Debian's matching set: compiler, cargo, and the source of `core`.
pub(super) const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// apt's package with LLVM's headers and shared library.
pub(super) fn llvm_package(llvm: u32) -> String {
    format!("llvm-{llvm}-dev")
}

/// A Rust release; the patch level never matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// From `1.95.0`, `1.97.0-nightly`, `1.96.0+dfsg1-1~deb12u2`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

/// What `rustc -vV` says that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    /// `release:`.
    pub(super) release: Version,
    /// Major of `LLVM version:`.
    pub(super) llvm: u32,
}

impl Compiler {
    /// Reads the output of `rustc -vV`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            release: Version::parse(field("release: ")?)?,
            llvm: field("LLVM version: ")?.split('.').next()?.parse().ok()?,
        })
    }
}

/// Whether the output of `bpf-linker --version` is a release that is known to work.
pub(super) fn linker_is_accepted(text: &str) -> bool {
    text.trim().strip_prefix("bpf-linker ").is_some_and(|version| version.starts_with("0.13."))
}

/// One toolchain on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// What its compiler says.
    pub(super) compiler: Compiler,
    /// Whether it carries the source of `core`.
    pub(super) has_source: bool,
    /// Whether rustup may be asked to add the source (not its own, or asked in vain: no).
    pub(super) may_add_source: bool,
    /// Whether a linker was found that links what it compiles.
    pub(super) links: bool,
    /// Whether a linker was built for it already; one that still does not link will never.
    pub(super) linker_built: bool,
}

/// Everything that the choice depends on.
#[derive(Debug)]
pub(super) struct Situation {
    /// In order of preference.
    pub(super) toolchains: Vec<Candidate>,
    /// LLVM majors that are installed with headers, or that apt has.
    pub(super) llvms: Vec<u32>,
    /// The release of `rustc-web` that apt has and that is not installed yet.
    pub(super) debian_rust: Option<Version>,
}

/// The next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing to do: this one builds and links.
    Use { toolchain: usize },
    /// Build bpf-linker for this one.
    InstallLinker { toolchain: usize, llvm: u32 },
    /// Have rustup add `rust-src` to this one.
    AddSource { toolchain: usize },
    /// Have apt install [`DEBIAN_RUST`].
    InstallDebianRust,
    /// No way holds; the reason, with a cure.
    Stuck(String),
}

/// Prefers, in this order, what changes the machine least: a pair that works; a linker for a
/// toolchain that has the source; the source for a toolchain that rustup manages; Debian's set.
pub(super) fn choose(situation: &Situation) -> Plan {
    let fitting = || {
        let all = situation.toolchains.iter().enumerate();
        all.filter(|(_, candidate)| {
            candidate.compiler.release >= OLDEST_RUST && candidate.compiler.llvm >= LINKER_LLVMS[0]
        })
    };
    let can_have_linker = |candidate: &Candidate| {
        let llvm = candidate.compiler.llvm;
        candidate.links
            || !candidate.linker_built
                && LINKER_LLVMS.contains(&llvm)
                && situation.llvms.contains(&llvm)
    };
    if let Some((toolchain, _)) = fitting().find(|(_, one)| one.has_source && one.links) {
        return Plan::Use { toolchain };
    }
    if let Some((toolchain, one)) =
        fitting().find(|(_, one)| one.has_source && can_have_linker(one))
    {
        return Plan::InstallLinker { toolchain, llvm: one.compiler.llvm };
    }
    if let Some((toolchain, _)) =
        fitting().find(|(_, one)| !one.has_source && one.may_add_source && can_have_linker(one))
    {
        return Plan::AddSource { toolchain };
    }
    if situation.debian_rust.is_some_and(|release| release >= OLDEST_RUST) {
        return Plan::InstallDebianRust;
    }
    Plan::Stuck(stuck(situation))
}

fn stuck(situation: &Situation) -> String {
    let seen: Vec<String> = situation
        .toolchains
        .iter()
        .map(|one| {
            let Compiler { release: Version { major, minor }, llvm } = one.compiler;
            let source = if one.has_source { "with" } else { "without" };
            format!("Rust {major}.{minor} (LLVM {llvm}) {source} rust-src")
        })
        .collect();
    let seen = if seen.is_empty() { "no Rust at all".to_owned() } else { seen.join(", ") };
    format!(
        "found no way to build for BPF: it takes a Rust toolchain with its rust-src and a bpf-linker 0.13 \
         for the same LLVM (22 or 23); this machine has {seen}, apt has LLVM {:?}\n\
         hint: `rustup toolchain install nightly --component rust-src`, put a bpf-linker 0.13 built for \
         its LLVM into PATH, and run `cargo xtask setup` again",
        situation.llvms
    )
}

/// LLVM majors worth asking apt about.
pub(super) fn linker_llvms() -> impl Iterator<Item = u32> {
    LINKER_LLVMS.into_iter()
}

#[cfg(test)]
mod tests;
