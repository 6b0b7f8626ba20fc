//! What passed an interface: tcpdump, and a reader of its files.

pub mod packet;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
pub use packet::{Flags, Packet};

use crate::{
    lab::{Host, Process},
    wait::{self, wait_for, wait_until},
};

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Process,
    file: PathBuf,
}

impl Capture {
    /// Captures whole packets on a host's interface that match tcpdump's `filter` (empty: all).
    /// It runs when this returns.
    ///
    /// XDP comes before a capture: on a balancer it shows what XDP passed to the kernel, not what
    /// it forwarded. Capture at the client's and the backends' interfaces.
    ///
    /// # Errors
    /// When tcpdump does not start.
    pub fn start(host: &Host, device: &str, filter: &str) -> Result<Self> {
        let mut n = 1;
        let file = loop {
            let file = host.file(&format!("{device}.{n}.pcap"));
            if !file.exists() {
                break file;
            }
            n += 1;
        };
        let mut command = host.command("tcpdump");
        // -Z root: it would give its rights up and could not write here. The buffer, in KiB,
        // holds a burst of tens of thousands of small packets.
        command
            .args(["-Z", "root", "-n", "-i", device, "-U", "--immediate-mode", "-B", "65536"])
            .args(["--time-stamp-precision", "nano", "-w"])
            .arg(&file)
            .arg(filter);
        let mut tcpdump = host.spawn(&format!("tcpdump-{device}.{n}"), command)?;
        wait_until("tcpdump to listen", wait::SOON, || {
            tcpdump.log().contains("listening on") || !tcpdump.is_running()
        })?;
        ensure!(tcpdump.is_running(), "tcpdump ended at once: {}", tcpdump.log());
        Ok(Self { tcpdump, file })
    }

    /// Packets that have been captured so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn packets(&self) -> Result<Vec<Packet>> {
        let bytes = fs::read(&self.file)
            .with_context(|| format!("failed to read `{}`", self.file.display()))?;
        packet::read(&bytes).with_context(|| format!("in `{}`", self.file.display()))
    }

    /// Ends the capture once it has written every packet that the kernel had for it.
    ///
    /// # Errors
    /// When tcpdump fails, or the kernel had to drop packets: counts would be wrong.
    pub fn stop(mut self) -> Result<Vec<Packet>> {
        let mut asked = 0;
        wait_for("tcpdump to write what it received", Duration::from_secs(30), || {
            let answered = counts(&self.tcpdump.log()).len();
            if answered == asked {
                self.tcpdump.kill(Signal::SIGUSR1)?;
                asked += 1;
            }
            match counts(&self.tcpdump.log()).last() {
                Some(&(captured, received)) if answered > 0 && captured >= received => Ok(()),
                last => bail!("captured and received: {last:?}"),
            }
        })?;
        self.tcpdump.kill(Signal::SIGINT)?;
        let status = self.tcpdump.wait(wait::SOON)?;
        let log = self.tcpdump.log();
        ensure!(status.success(), "tcpdump ended with {status}: {log}");
        ensure!(log.contains("\n0 packets dropped by kernel"), "packets were lost: {log}");
        self.packets()
    }
}

/// tcpdump's answers to SIGUSR1: packets captured, packets that matched the filter.
fn counts(log: &str) -> Vec<(u64, u64)> {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
    log.lines()
        .filter_map(|line| line.strip_prefix("tcpdump: ")?.split_once(" packets captured, "))
        .filter_map(|(captured, rest)| Some((number(captured)?, number(rest)?)))
        .collect()
}
