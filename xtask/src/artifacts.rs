//! What a cargo build made, read from its messages.

use std::{
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::process::describe;

/// The outcome of a build that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Build {
    /// Programs and test executables.
    pub(crate) executables: Vec<Executable>,
    /// Warnings of the compiler (dependencies' are capped by cargo and not among them).
    pub(crate) warnings: usize,
}

/// A file that can be run.
#[derive(Debug)]
pub(crate) struct Executable {
    /// Name of its target.
    pub(crate) name: String,
    /// Whether it is a test harness rather than the program itself.
    pub(crate) is_test: bool,
    /// Directory of its package: cargo runs tests there.
    pub(crate) package: PathBuf,
    /// The source of its target, relative to its package.
    pub(crate) source: PathBuf,
    /// The file itself.
    pub(crate) file: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    spans: Vec<serde::de::IgnoredAny>,
}

/// Runs a cargo build to its end. Diagnostics and progress go to stderr as usual.
pub(crate) fn build(command: &mut Command) -> anyhow::Result<Build> {
    // Cargo colours what it prints itself; what passes through us it cannot know.
    let format =
        if std::io::stderr().is_terminal() { "json-diagnostic-rendered-ansi" } else { "json" };
    command.arg(format!("--message-format={format}")).stdout(Stdio::piped());
    let mut child =
        command.spawn().with_context(|| format!("failed to start {}", describe(command)))?;
    let mut made = Build::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line =
                line.with_context(|| format!("failed to read from {}", describe(command)))?;
            if let Some(rendered) = made.take(&line)? {
                std::io::stderr().write_all(rendered.as_bytes())?;
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed: {status}", describe(command));
    }
    Ok(made)
}

impl Build {
    /// Takes one line of cargo's output; returns a diagnostic that is to be shown.
    fn take(&mut self, line: &str) -> anyhow::Result<Option<String>> {
        // `cargo test` mixes in the output of what it runs.
        if !line.starts_with('{') {
            return Ok(None);
        }
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("failed to read cargo's message {line}"))?;
        match message.reason.as_str() {
            "compiler-message" => Ok(message.message.and_then(|diagnostic| {
                if diagnostic.level == "warning" {
                    // Without a place in the source it is the closing count, "3 warnings
                    // emitted", or a remark on a flag that was chosen with care.
                    if diagnostic.spans.is_empty() {
                        return None;
                    }
                    self.warnings += 1;
                }
                diagnostic.rendered
            })),
            "compiler-artifact" => {
                self.executables.extend(message.into_executable());
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The program `name`, not its test harness.
    pub(crate) fn program(&self, name: &str) -> Option<&Path> {
        self.executables
            .iter()
            .find(|executable| executable.name == name && !executable.is_test)
            .map(|executable| executable.file.as_path())
    }
}

impl Message {
    fn into_executable(self) -> Option<Executable> {
        let (target, file) = (self.target?, self.executable?);
        let package = self.manifest_path?.parent()?.to_owned();
        let source = target.src_path.strip_prefix(&package).unwrap_or(&target.src_path).to_owned();
        if target.kind.iter().any(|kind| kind == "custom-build") {
            return None;
        }
        let is_test = self.profile.is_some_and(|profile| profile.test);
        Some(Executable { name: target.name, is_test, package, source, file })
    }
}

#[cfg(test)]
mod tests;
