//! `cargo xtask layers`: every room imports only what it may.
//!
//! The rules are in [`table`]; [`scan`] reads the paths that a source file names. Tests beside the
//! code (`x/tests.rs`, `x/tests/`, `#[cfg(test)]`) are free.

mod scan;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use self::table::{HOMES, Home, ROOMS, Room};
use crate::{process::say, workspace::Workspace};

/// Directories with our sources.
const SOURCES: [&str; 5] = ["lb-common/src", "lb-ebpf/src", "lb-agent/src", "tests", "xtask/src"];

/// Reads every source file and holds it against the table.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for directory in SOURCES {
        collect(&workspace.root().join(directory), &mut files)?;
    }
    let mut violations = Vec::new();
    let mut names = Vec::new();
    for file in &files {
        let name =
            file.strip_prefix(workspace.root()).unwrap_or(file).to_string_lossy().into_owned();
        let text = fs::read_to_string(file)
            .with_context(|| format!("failed to read `{}`", file.display()))?;
        violations.extend(check(&name, &text));
        names.push(name);
    }
    for pattern in unmatched(&names) {
        say(format!("layers: no file matches `{pattern}`"));
    }
    for violation in &violations {
        say(violation);
    }
    if !violations.is_empty() {
        bail!("{} imports are not in the table (xtask/src/layers/table.rs)", violations.len());
    }
    say(format!("layers: {} files keep to the table", files.len()));
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("failed to read `{}`", directory.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// One line per path that the file must not name.
fn check(file: &str, text: &str) -> Vec<String> {
    let room = ROOMS.iter().find(|room| room.has(file));
    let mut violations = Vec::new();
    for (line, path) in scan::paths(file, text) {
        let mut report = |why: &str| {
            violations.push(format!("{file}:{line}: `{path}` is not for this room: {why}"));
        };
        if let Some(home) = HOMES.iter().find(|home| home.refuses(file, &path)) {
            report(home.why);
        }
        if let Some(room) = room
            && room.refuses(&path)
        {
            report(room.why);
        }
    }
    violations
}

impl Home {
    /// Whether the path leads into the library and the file is not its home.
    fn refuses(&self, file: &str, path: &str) -> bool {
        leads_into(path, self.library)
            && file.starts_with(self.within)
            && !self.files.iter().any(|pattern| matches(pattern, file))
    }
}

impl Room {
    fn has(&self, file: &str) -> bool {
        self.files.iter().any(|pattern| matches(pattern, file))
    }

    /// The longest prefix decides: a room may be open but for one file in it.
    fn refuses(&self, path: &str) -> bool {
        let longest = |prefixes: &mut dyn Iterator<Item = &&'static str>| {
            prefixes.filter(|prefix| leads_into(path, prefix)).map(|prefix| prefix.len()).max()
        };
        longest(&mut self.never.iter().copied().flatten()) > longest(&mut self.except.iter())
    }
}

/// Whether `path` is `prefix` or below it.
fn leads_into(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a pattern names the file: itself, or with `/**` at the end everything below.
fn matches(pattern: &str, file: &str) -> bool {
    match pattern.strip_suffix("**") {
        Some(directory) => file.starts_with(directory),
        None => file == pattern,
    }
}

fn unmatched(files: &[String]) -> Vec<&'static str> {
    let rooms = ROOMS.iter().flat_map(|room| room.files);
    let homes = HOMES.iter().flat_map(|home| home.files);
    let mut patterns: Vec<_> = rooms
        .chain(homes)
        .copied()
        // A room may stay one file.
        .filter(|pattern| !pattern.ends_with("**"))
        .filter(|pattern| !files.iter().any(|file| matches(pattern, file)))
        .collect();
    patterns.sort_unstable();
    patterns.dedup();
    patterns
}

#[cfg(test)]
mod tests;
