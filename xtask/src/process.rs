//! Running other programs, and speaking to whoever runs this one.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, bail};

/// Whether stdout belongs to the program that is handed over to.
static STDOUT_IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// From now on [`say`] speaks on stderr: what follows on stdout is for a program to read.
pub(crate) fn leave_stdout() {
    STDOUT_IS_TAKEN.store(true, Ordering::Relaxed);
}

/// One line on stdout, or on stderr after [`leave_stdout`].
pub(crate) fn say(line: impl AsRef<str>) {
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "the one place where xtask talks to its user"
    )]
    if STDOUT_IS_TAKEN.load(Ordering::Relaxed) {
        eprintln!("{}", line.as_ref());
    } else {
        println!("{}", line.as_ref());
    }
}

/// Why we end, on stderr, cause by cause.
pub(crate) fn complain(error: &anyhow::Error) {
    #[expect(clippy::print_stderr, reason = "the one place where xtask tells of its failure")]
    {
        eprintln!("error: {error:#}");
    }
}

/// Runs to the end with our own stdin, stdout and stderr.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status =
        command.status().with_context(|| format!("failed to start {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", describe(command));
    }
    Ok(())
}

/// Runs to the end and returns stdout; what went to stderr becomes part of the error.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", describe(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}\n{}", describe(command), output.status, stderr.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command line as one would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    format!("`{line}`")
}

/// Where a command is: in `PATH`, or where system tools live that an ordinary `PATH` leaves out.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

/// Whether `file` is a regular file that somebody may execute.
pub(crate) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
