//! `cargo xtask test fuzz`: every decoder under libFuzzer, all at the same time.
//!
//! The compiler's own coverage instrumentation serves libFuzzer as well as clang's does, on the
//! stable toolchain: `tests/fuzz/rustc.sh` asks for what `cargo fuzz` asks for, less the sanitizers,
//! which only unstable flags bring. Safe code has little use for them. Our own crates alone are
//! instrumented, so that the dependencies of the ordinary builds serve here too.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{
    artifacts,
    process::{capture, describe, say},
    setup,
    workspace::Workspace,
};

const PACKAGE: &str = "lb-fuzz";

/// A target that is running.
struct Run {
    name: String,
    log: PathBuf,
    found: PathBuf,
    child: Child,
}

/// Builds the fuzzer, and runs each target for so many seconds, from what earlier runs have found.
pub(super) fn run(workspace: &Workspace, seconds: u32) -> anyhow::Result<()> {
    setup::ensure(workspace)?;
    let program = build(workspace)?;
    let names = capture(&mut Command::new(&program))?;
    let runs = names
        .lines()
        .map(|name| start(workspace, &program, name, seconds))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if runs.is_empty() {
        bail!("{} names no target", program.display());
    }
    let mut failed = Vec::new();
    for run in runs {
        let name = run.name.clone();
        match finish(run) {
            Ok(summary) => say(format!("fuzz: {name}: {summary}")),
            Err(error) => {
                say(format!("fuzz: {name}: {error:#}"));
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed fuzz targets: {}", failed.join(", "));
    }
    Ok(())
}

fn build(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let mut cargo = workspace.cargo("build");
    cargo.args(["--package", PACKAGE, "--features", "libfuzzer"]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", workspace.root().join("tests/fuzz/rustc.sh"));
    let built = artifacts::build(&mut cargo)?;
    let program = built.program(PACKAGE).with_context(|| format!("no program `{PACKAGE}`"))?;
    Ok(program.to_owned())
}

fn start(workspace: &Workspace, program: &Path, name: &str, seconds: u32) -> anyhow::Result<Run> {
    let directory = workspace.target().join("fuzz");
    let corpus = directory.join("corpus").join(name);
    let found = directory.join("found");
    let log = directory.join(format!("{name}.log"));
    for made in [&corpus, &found] {
        fs::create_dir_all(made).with_context(|| format!("failed to make {}", made.display()))?;
    }
    let output =
        File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
    let mut command = Command::new(program);
    command.env("LB_FUZZ_TARGET", name).env("LB_FUZZ_SEEDS", &corpus).arg(&corpus);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{name}-", found.display()));
    // An input that takes ten seconds, or two gigabytes, is a finding as a panic is.
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-print_pcs=0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
    let child =
        command.spawn().with_context(|| format!("failed to start {}", describe(&command)))?;
    Ok(Run { name: name.to_owned(), log, found, child })
}

/// One line about a run that found nothing.
fn finish(mut run: Run) -> anyhow::Result<String> {
    let status = run.child.wait()?;
    let log =
        fs::read(&run.log).with_context(|| format!("failed to read {}", run.log.display()))?;
    let log = String::from_utf8_lossy(&log);
    if !status.success() {
        let cause = finding(&log).unwrap_or("see the log");
        let (found, log) = (run.found.display(), run.log.display());
        bail!("{cause}\n  log: {log}\n  input: {found}/{}-*; hint: make it a test", run.name);
    }
    summary(&log).with_context(|| format!("no coverage was measured, see {}", run.log.display()))
}

/// What libFuzzer says when its time is over: `#9 DONE cov: 3 ft: 4 corp: 2/7b …`.
fn summary(log: &str) -> Option<String> {
    let (tries, rest) = log.lines().rev().find_map(|line| line.split_once("DONE"))?;
    let mut words = rest.split_whitespace();
    let edges = words.find(|word| *word == "cov:").and_then(|_| words.next())?;
    Some(format!("{} inputs, {edges} edges", tries.trim().trim_start_matches('#')))
}

/// The message of the panic, or libFuzzer's own verdict (a timeout, too much memory).
fn finding(log: &str) -> Option<&str> {
    let mut after_panic = log.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    after_panic.next().or_else(|| log.lines().find(|line| line.contains("ERROR: libFuzzer")))
}

#[cfg(test)]
mod tests;
