//! One boot: qemu from start to power-off, and what its console said.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// A boot takes seconds and the fixtures a minute; emulation on a busy machine several times that.
pub(super) const DEADLINE: Duration = Duration::from_secs(300);

/// How often to look whether qemu has ended.
const POLL: Duration = Duration::from_millis(50);

/// What init prints before each fact; also written in [`super::initramfs`].
pub(super) const MARK: &str = "LB-GUEST";

/// A machine to boot.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    /// Kernel image.
    pub(super) kernel: &'a Path,
    /// Its only file system.
    pub(super) initramfs: &'a Path,
    /// Where the console is recorded.
    pub(super) log: &'a Path,
}

/// What came of a boot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// `release`, `btf`, `jit`.
    pub(super) facts: BTreeMap<String, String>,
    /// Exit code of each test executable that ended.
    pub(super) exits: BTreeMap<String, i32>,
    /// The console without our marks.
    pub(super) output: String,
    /// From start to power-off.
    pub(super) took: Duration,
    /// Whether qemu had to be killed.
    pub(super) timed_out: bool,
}

impl Guest<'_> {
    /// Boots and waits for power-off.
    pub(super) fn run(&self) -> anyhow::Result<Report> {
        let console = File::create(self.log)
            .with_context(|| format!("failed to create `{}`", self.log.display()))?;
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-serial", "stdio", "-append", "console=ttyS0 quiet loglevel=4 panic=-1"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console);
        let started = Instant::now();
        let mut child = qemu.spawn().context("failed to start `qemu-system-x86_64`")?;
        let timed_out = !wait(&mut child, started + DEADLINE)?;
        let took = started.elapsed();
        let text = fs::read(self.log)
            .with_context(|| format!("failed to read `{}`", self.log.display()))?;
        Ok(Report { took, timed_out, ..Report::parse(&String::from_utf8_lossy(&text)) })
    }
}

/// Whether the child ended by itself; one that did not is killed.
fn wait(child: &mut Child, deadline: Instant) -> anyhow::Result<bool> {
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(POLL);
    }
    Ok(true)
}

impl Report {
    /// Reads a console: `LB-GUEST fact NAME VALUE`, `LB-GUEST exit NAME CODE`, and the rest.
    pub(super) fn parse(console: &str) -> Self {
        let mut report = Self::default();
        for line in console.lines().map(|line| line.trim_end_matches('\r')) {
            // A test that ends in the middle of a line leaves it before our mark.
            let (before, marked) = match line.split_once(MARK) {
                Some((before, marked)) => (before, marked),
                None => (line, ""),
            };
            if marked.is_empty() || !before.is_empty() {
                report.output.push_str(before);
                report.output.push('\n');
            }
            let words: Vec<&str> = marked.split_whitespace().collect();
            match words[..] {
                ["fact", name, value] => {
                    report.facts.insert(name.to_owned(), value.to_owned());
                }
                ["exit", name, code] => {
                    // A torn number counts as a failure of its own.
                    report.exits.insert(name.to_owned(), code.parse().unwrap_or(-1));
                }
                _ => {}
            }
        }
        report
    }
}
