//! `cargo xtask ci`: everything that must hold, and a verdict for each in one line.

use std::{
    fmt::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{
    build_ebpf, layers,
    process::{run as run_command, say},
    setup,
    test::{self, Group},
    workspace::Workspace,
};

/// One thing that must hold.
type Check = fn(&Workspace) -> anyhow::Result<()>;

/// Cheapest first, so that a slip is told early.
const STEPS: [(&str, Check); 12] = [
    ("setup", |workspace| setup::ensure(workspace).map(drop)),
    ("format", format),
    ("layers", layers::run),
    ("lints, eBPF", lint_ebpf),
    ("lints, host", lint_host),
    ("documentation", document),
    ("dependencies", dependencies),
    ("tests, unit", |workspace| run_tests(workspace, Group::Unit)),
    ("tests, fuzz", |workspace| run_tests(workspace, Group::Fuzz)),
    ("tests, datapath", |workspace| run_tests(workspace, Group::Datapath)),
    ("tests, netns", |workspace| run_tests(workspace, Group::Netns)),
    ("tests, kernels", |workspace| run_tests(workspace, Group::Kernels)),
];

/// Runs all steps, also after a failure: one run tells everything that is wrong.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut verdicts = String::new();
    let mut failed = Vec::new();
    for (name, check) in STEPS {
        say(format!("== {name}"));
        let started = Instant::now();
        let outcome = check(workspace);
        if let Err(error) = &outcome {
            say(format!("{error:#}"));
            failed.push(name);
        }
        let verdict = verdict(name, outcome.is_ok(), started.elapsed());
        say(&verdict);
        writeln!(verdicts, "{verdict}")?;
        if name == "setup" && outcome.is_err() {
            break;
        }
    }
    say(format!("== verdicts\n{}", verdicts.trim_end()));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    Ok(())
}

fn run_tests(workspace: &Workspace, group: Group) -> anyhow::Result<()> {
    test::run(workspace, Some(group), test::FUZZ_SECONDS)
}

fn verdict(name: &str, passed: bool, took: Duration) -> String {
    let word = if passed { "ok" } else { "FAILED" };
    format!("{word:>6}  {name:<16} {:>7.1} s", took.as_secs_f64())
}

fn format(workspace: &Workspace) -> anyhow::Result<()> {
    run_command(workspace.cargo("fmt").args(["--all", "--check"]))
}

/// Everything but the kernel side; its library is linted apart, without the default features.
fn on_host(workspace: &Workspace, verb: &str) -> [Command; 2] {
    let mut all = workspace.cargo(verb);
    all.args(["--workspace", "--exclude", build_ebpf::PACKAGE]);
    let mut library = workspace.cargo(verb);
    library.args(["--package", build_ebpf::PACKAGE, "--no-default-features", "--lib"]);
    [all, library]
}

fn lint_host(workspace: &Workspace) -> anyhow::Result<()> {
    let [mut all, mut library] = on_host(workspace, "clippy");
    run_command(all.args(["--all-targets", "--", "-Dwarnings"]))?;
    run_command(library.args(["--tests", "--", "-Dwarnings"]))?;
    // The variant that ships; it embeds the object that the step before has built.
    let mut shipped = workspace.cargo("clippy");
    shipped.env("LB_EBPF_OBJECT", workspace.object());
    run_command(shipped.args(["--package", "lb-agent", "--features", "embed", "--", "-Dwarnings"]))
}

/// The kernel side: what its compiler warns of, then clippy.
///
/// A toolchain without clippy (Debian's) leaves clippy to the host's: it reads the same code, for
/// a host that aborts on panic as the kernel's programs do.
fn lint_ebpf(workspace: &Workspace) -> anyhow::Result<()> {
    let tools = setup::ensure(workspace)?;
    let built = build_ebpf::build(workspace)?;
    if built.warnings > 0 {
        bail!("the compiler gave {} warnings for eBPF", built.warnings);
    }
    let mut clippy = if tools.has_clippy() {
        build_ebpf::cargo(workspace, &tools, "clippy")
    } else {
        say("lints, eBPF: its toolchain has no clippy; the host's reads the programs instead");
        let mut clippy = workspace.cargo("clippy");
        clippy.args(["--package", build_ebpf::PACKAGE, "--bins"]);
        clippy.env("CARGO_PROFILE_DEV_PANIC", "abort");
        clippy
    };
    run_command(clippy.args(["--", "-Dwarnings"]))
}

fn document(workspace: &Workspace) -> anyhow::Result<()> {
    for mut cargo in on_host(workspace, "doc") {
        run_command(cargo.arg("--no-deps").env("RUSTDOCFLAGS", "-Dwarnings"))?;
    }
    Ok(())
}

/// Licences, duplicates and sources. Advisories are left out: their database is a git repository
/// of its own, and an advisory published over night must not fail yesterday's commit.
fn dependencies(workspace: &Workspace) -> anyhow::Result<()> {
    let deny = setup::ensure_cargo_deny(workspace)?;
    let mut command = Command::new(deny);
    command.current_dir(workspace.root());
    run_command(command.args(["--workspace", "check", "licenses", "bans", "sources"]))
}
