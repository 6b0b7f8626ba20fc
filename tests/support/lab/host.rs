//! A network namespace that stands for a machine.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    panic,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, bail};
use lb_common::net::MacAddr;
use nix::sched::{CloneFlags, setns};

use super::{
    process::Process,
    stub::{self, Verdict},
    topology::HostPlan,
};

/// One machine of a lab. A handle: clones name the same machine.
#[derive(Clone, Debug)]
pub struct Host {
    plan: HostPlan,
    netns: String,
    lab_dir: PathBuf,
    pin_dir: PathBuf,
}

impl Host {
    pub(super) fn new(plan: HostPlan, prefix: &str, lab_dir: &Path, lab_pins: &Path) -> Self {
        Self {
            netns: format!("{prefix}{}", plan.name),
            lab_dir: lab_dir.to_owned(),
            pin_dir: lab_pins.join(&plan.name),
            plan,
        }
    }

    /// `client`, `lb-01`, …
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Name of its network namespace, as `ip netns` shows it.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// Its place in the lab.
    pub(super) fn plan(&self) -> &HostPlan {
        &self.plan
    }

    /// IPv4 address of `eth0`.
    pub fn ipv4(&self) -> Ipv4Addr {
        let link = &self.plan.links[0];
        link.segment.ipv4(link.number)
    }

    /// IPv6 address of `eth0`.
    pub fn ipv6(&self) -> Ipv6Addr {
        let link = &self.plan.links[0];
        link.segment.ipv6(link.number)
    }

    /// Address of `eth0` in the family of `like`.
    pub fn address(&self, like: IpAddr) -> IpAddr {
        if like.is_ipv4() { self.ipv4().into() } else { self.ipv6().into() }
    }

    /// Ethernet address of `eth0`.
    pub fn mac(&self) -> MacAddr {
        self.plan.links[0].mac()
    }

    /// Whether an interface has `address`, as `ip address` shows it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn holds(&self, address: IpAddr) -> Result<bool> {
        let shown = self.run("ip", &["-o", "address", "show", "to", &address.to_string()])?;
        Ok(!shown.trim().is_empty())
    }

    /// Interfaces except `lo`: `eth0`, and `eth1` where there are two.
    pub fn interfaces(&self) -> Vec<String> {
        self.plan.links.iter().map(|link| link.device.clone()).collect()
    }

    /// A directory on a bpffs for this host alone; removed with the lab.
    pub fn pin_dir(&self) -> &Path {
        &self.pin_dir
    }

    /// Path for a file of this host in the lab's directory, e.g. `lb-01.admin.sock`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.lab_dir.join(format!("{}.{name}", self.plan.name))
    }

    /// A command that will run `program` on this host.
    ///
    /// It enters by `nsenter`: `ip netns exec` gives a private mount namespace without bpffs, and
    /// what an agent pins there vanishes with it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.netns)).arg("--").arg(program);
        command
    }

    /// Runs `program` to its end and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or exits with another code than 0: with what it wrote.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = self.command(program);
        let output = command
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to start {command:?}"))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "`{program} {}` on {} ended with {}\n{stdout}{}",
                args.join(" "),
                self.name(),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(stdout)
    }

    /// Starts a process from [`Self::command`]; its output goes to `logs/HOST.NAME.log` in the
    /// lab's directory, which the lab shows when a test panics.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        Process::start(format!("{}/{name}", self.name()), command, self.log_path(name))
    }

    /// What every process that was spawned under this name has written so far.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.lab_dir.join("logs").join(format!("{}.{name}.log", self.name()))
    }

    /// Runs `work` on a thread of its own inside this host: the sockets it opens are the host's.
    ///
    /// # Errors
    /// When the namespace cannot be entered. A panic of `work` goes through.
    pub fn in_netns<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        inside(&self.netns, work)
    }

    /// Like [`Self::in_netns`], without waiting for the end.
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> JoinHandle<Result<T>> {
        let netns = self.netns.clone();
        thread::spawn(move || enter(&netns).and_then(|()| work()))
    }

    /// Takes an interface down, as an administrator would.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn link_down(&self, device: &str) -> Result<()> {
        self.run("ip", &["link", "set", device, "down"]).map(drop)
    }

    /// Takes an interface up, and puts back what going down removed: IPv6 addresses and the
    /// default routes.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn link_up(&self, device: &str) -> Result<()> {
        self.run("ip", &["link", "set", device, "up"])?;
        super::wire::addresses(self, device)
    }

    /// Attaches an XDP program, in native mode, that gives every frame the same verdict: somebody
    /// else's program, for an agent that finds the hook taken.
    ///
    /// # Errors
    /// When another program is there.
    pub fn attach_xdp(&self, device: &str, verdict: Verdict) -> Result<()> {
        self.in_netns(|| stub::attach(verdict, &[device.to_owned()], &self.pin_dir))?
    }

    /// Undoes [`Self::attach_xdp`].
    ///
    /// # Errors
    /// When nothing was attached.
    pub fn detach_xdp(&self, device: &str) -> Result<()> {
        let pin = stub::pin(&self.pin_dir, device);
        fs::remove_file(&pin).with_context(|| format!("failed to remove `{}`", pin.display()))
    }

    /// Forgets every neighbour (ARP and NDP).
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn flush_neighbours(&self) -> Result<()> {
        self.run("ip", &["neigh", "flush", "all"]).map(drop)
    }
}

/// Runs `work` on a thread of its own inside a network namespace. A panic of `work` goes through.
pub(super) fn inside<T: Send>(netns: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        scope
            .spawn(|| enter(netns).map(|()| work()))
            .join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// Moves the calling thread, which must be one of ours, into a network namespace.
fn enter(netns: &str) -> Result<()> {
    let path = Path::new("/run/netns").join(netns);
    let file = File::open(&path).with_context(|| format!("failed to open `{}`", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("failed to enter the network namespace `{netns}`"))
}
