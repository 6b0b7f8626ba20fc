//! Network namespaces as hosts, wired as [`topology`] draws it.
//!
//! Several labs stand side by side: each has an id, and every name that it gives to something
//! outside its namespaces carries it. The machine's own interfaces are never touched: even the
//! bridges live in a namespace (`lbID-net`). Dropping a [`Lab`] removes it; one whose process was
//! killed is collected when the next is made ([`registry`]).

pub mod host;
pub mod process;
pub mod registry;
mod stub;
pub mod topology;
mod wire;

use std::{
    env, fs, mem,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub use host::Host;
use nix::sys::signal::Signal;
pub use process::Process;
pub use stub::Verdict;
use topology::LinkPlan;
pub use topology::Options;

use crate::{
    client::Client,
    pki::Pki,
    wait::{self, wait_for},
};

/// Where the backends' API servers listen, over TLS.
pub const API_PORT: u16 = 6443;
/// The same pages without TLS.
pub const HTTP_PORT: u16 = 8080;
/// The API servers' TCP line echo; `whoami` is answered by the server's name.
pub const ECHO_PORT: u16 = 7000;
/// Their UDP echo, which answers `NAME payload`.
pub const UDP_PORT: u16 = 7001;

/// A running lab. Dropping it takes it down; when that happens in a panic, what its processes
/// logged goes to standard error first.
#[derive(Debug)]
pub struct Lab {
    id: String,
    hosts: Vec<Host>,
    pki: Pki,
    standing: bool,
}

impl Lab {
    /// One client, two balancers, three backends.
    ///
    /// # Errors
    /// Without root, or when something cannot be made; nothing is left behind then.
    pub fn new() -> Result<Self> {
        Self::with(&Options::default())
    }

    /// A lab made to measure.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(options: &Options) -> Result<Self> {
        Self::build(None, options)
    }

    /// A lab whose id is chosen: there can be only one of it.
    ///
    /// # Errors
    /// As [`Self::new`], and when a lab of this id is up.
    pub fn named(id: &str, options: &Options) -> Result<Self> {
        Self::build(Some(id), options)
    }

    fn build(id: Option<&str>, options: &Options) -> Result<Self> {
        let id = registry::claim(id)?;
        let (dir, pins, prefix) = (registry::dir(&id), registry::pins(&id), registry::prefix(&id));
        let mut lab = Self { id, hosts: Vec::new(), pki: Pki::empty(&dir), standing: false };
        lab.hosts = topology::plan(options)
            .into_iter()
            .map(|plan| Host::new(plan, &prefix, &dir, &pins))
            .collect();
        // From here on an error drops `lab`, which removes what there is of it.
        lab.wire(options.mtu).with_context(|| format!("failed to build lab `{}`", lab.id))?;
        lab.pki = lab.certificates().context("failed to make the lab's certificates")?;
        Ok(lab)
    }

    fn wire(&self, mtu: u32) -> Result<()> {
        let net = self.net();
        registry::locked(|| {
            wire::ip(&["netns", "add", &net])?;
            self.hosts.iter().try_for_each(|host| wire::ip(&["netns", "add", host.netns()]))
        })?;
        self.hosts.iter().try_for_each(wire::settings)?;
        wire::connect(&net, &self.hosts, mtu)?;
        for host in &self.hosts {
            fs::create_dir_all(host.pin_dir())?;
            wire::configure(host)?;
        }
        self.stubs()?;
        for link in
            self.hosts.iter().flat_map(|host| host.plan().links.iter().map(move |l| (host, l)))
        {
            let (host, link) = link;
            wire::no_offloads(host.netns(), &link.device)?;
            // After the stub: attaching XDP turns receive offload on again.
            wire::no_offloads(&net, &link.port)?;
        }
        Ok(())
    }

    /// What a balancer's XDP program sends back must find an XDP program at the wire's other end.
    fn stubs(&self) -> Result<()> {
        let balancers = self.hosts.iter().filter(|host| host.plan().balancer);
        let ports: Vec<String> = balancers
            .flat_map(|host| host.plan().links.iter().map(|link| link.port.clone()))
            .collect();
        let pins = registry::pins(&self.id);
        host::inside(&self.net(), || stub::attach(Verdict::Pass, &ports, &pins))?
    }

    fn certificates(&self) -> Result<Pki> {
        let mut shared: Vec<IpAddr> = vec![[127, 0, 0, 1].into(), Ipv6Addr::LOCALHOST.into()];
        for n in 1..=8 {
            shared.extend([topology::vip4(n), topology::vip6(n)]);
        }
        let servers: Vec<(String, Vec<IpAddr>)> = self
            .backends()
            .map(|host| {
                let own = [host.ipv4().into(), host.ipv6().into()];
                (host.name().to_owned(), shared.iter().copied().chain(own).collect())
            })
            .collect();
        Pki::create(self.dir(), &servers)
    }

    /// The id: a number, or the name it was given.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory for logs, certificates, configurations and sockets.
    pub fn dir(&self) -> PathBuf {
        registry::dir(&self.id)
    }

    /// Its certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    fn net(&self) -> String {
        format!("{}net", registry::prefix(&self.id))
    }

    /// Every host.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// A host by its name.
    ///
    /// # Panics
    /// When there is none: the name is written in the test, next to the lab's options.
    #[track_caller]
    pub fn host(&self, name: &str) -> &Host {
        let Some(host) = self.hosts.iter().find(|host| host.name() == name) else {
            let names: Vec<_> = self.hosts.iter().map(Host::name).collect();
            panic!("the lab has no host `{name}`, only {names:?}");
        };
        host
    }

    /// `client`.
    pub fn client(&self) -> &Host {
        self.host("client")
    }

    /// `lb-0N`.
    #[track_caller]
    pub fn lb(&self, n: u8) -> &Host {
        self.host(&format!("lb-{n:02}"))
    }

    /// `cp-0N`.
    #[track_caller]
    pub fn cp(&self, n: u8) -> &Host {
        self.host(&format!("cp-{n:02}"))
    }

    /// Hosts that can hold an API server: `cp-…`, then `far-01` if there is a router.
    pub fn backends(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.name().starts_with("cp-") || host.name() == "far-01")
    }

    /// Starts the API server of a backend and waits until it answers on the host itself.
    ///
    /// # Errors
    /// When it does not, or the program `lb-apiserver` has not been built.
    pub fn start_api_server(&self, host: &Host) -> Result<Process> {
        let mut command = host.command(program_or("LB_APISERVER", "lb-apiserver")?);
        command
            .args(["--name", host.name()])
            .args(["--listen", &format!("[::]:{API_PORT}")])
            .args(["--http", &format!("[::]:{HTTP_PORT}")])
            .args(["--tcp-echo", &format!("[::]:{ECHO_PORT}")])
            .args(["--udp-echo", &format!("[::]:{UDP_PORT}")])
            .arg("--cert")
            .arg(self.pki.certificate(host.name()))
            .arg("--key")
            .arg(self.pki.key(host.name()));
        let mut process = host.spawn("apiserver", command)?;
        let client = Client::new(host, &self.pki)?;
        let address = SocketAddr::from(([127, 0, 0, 1], API_PORT));
        let answered = wait_for("the API server's first answer", wait::SOON, || {
            if !process.is_running() {
                // No answer will come; the loop's deadline need not pass before saying so.
                return Ok(false);
            }
            client.get(address, "/livez").map(|answer| answer.status == 200)
        })?;
        if !answered {
            bail!("the API server of {} ended at once; its log:\n{}", host.name(), process.log());
        }
        Ok(process)
    }

    /// [`Self::start_api_server`] on every backend.
    ///
    /// # Errors
    /// As there.
    pub fn start_api_servers(&self) -> Result<Vec<Process>> {
        self.backends().map(|host| self.start_api_server(host)).collect()
    }

    /// Makes a host unreachable without its noticing: its links stay up and lead nowhere.
    ///
    /// Its ports leave the bridge. Disabling them there would not last: a link event that is
    /// still under way enables a port again.
    ///
    /// # Errors
    /// When the bridge refuses.
    pub fn cut(&self, host: &Host) -> Result<()> {
        self.ports(host, |_| "nomaster".to_owned())
    }

    /// Undoes [`Self::cut`]; the host is not isolated then, even if it was before.
    ///
    /// # Errors
    /// When the bridge refuses.
    pub fn heal(&self, host: &Host) -> Result<()> {
        self.ports(host, |link| format!("master {}", link.segment.bridge()))
    }

    /// Hosts that are isolated reach everybody except each other: the network of a split brain.
    ///
    /// # Errors
    /// When the bridge refuses.
    pub fn isolate(&self, host: &Host, isolated: bool) -> Result<()> {
        let flag = if isolated { "on" } else { "off" };
        self.ports(host, |_| format!("type bridge_slave isolated {flag}"))
    }

    /// Pulls a host's cables (`false`): it loses carrier. Or plugs them in again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn plug(&self, host: &Host, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.ports(host, |_| state.to_owned())
    }

    fn ports(&self, host: &Host, setting: impl Fn(&LinkPlan) -> String) -> Result<()> {
        let links = &host.plan().links;
        let commands: String = links
            .iter()
            .map(|link| format!("link set {} {}\n", link.port, setting(link)))
            .collect();
        wire::batch(&self.net(), &commands)
    }

    /// What the lab's processes logged, the last `lines` of each.
    pub fn logs(&self, lines: usize) -> String {
        logs_in(&self.dir().join("logs"), lines)
    }

    /// Leaves the lab running for [`registry::demolish`]; processes must be detached by their
    /// owners.
    ///
    /// # Errors
    /// When the owner cannot be written.
    pub fn leave_standing(mut self) -> Result<()> {
        registry::leave_standing(&self.id)?;
        self.standing = true;
        Ok(())
    }
}

impl Drop for Lab {
    #[expect(clippy::print_stderr, reason = "a destructor has nobody to return an error to")]
    fn drop(&mut self) {
        if mem::replace(&mut self.standing, true) {
            return;
        }
        if thread::panicking() {
            eprintln!("logs of lab `{}`:\n{}", self.id, self.logs(60));
        }
        if let Err(error) = registry::demolish(&self.id) {
            eprintln!("failed to take lab `{}` down: {error:#}", self.id);
        }
    }
}

fn logs_in(dir: &Path, lines: usize) -> String {
    let Ok(entries) = fs::read_dir(dir) else { return String::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let log = fs::read_to_string(&path).unwrap_or_else(|error| format!("({error})"));
        let all: Vec<&str> = log.lines().collect();
        let last = &all[all.len().saturating_sub(lines)..];
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        text += &format!("--- {name}\n{}\n", last.join("\n"));
    }
    text
}

/// A program of this workspace, built by the same cargo call as the one that runs: it lies beside
/// it, or one directory up when that is a test in `deps`.
///
/// # Errors
/// When it is in neither place.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("failed to find the running program")?;
    let found =
        own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "`{name}` is not beside `{}`\nhint: `cargo build -p lb-tests --bins`",
            own.display()
        )
    })
}

/// The program that an environment variable names, or else [`program`].
///
/// # Errors
/// As [`program`], without the variable.
pub fn program_or(variable: &str, name: &str) -> Result<PathBuf> {
    env::var_os(variable).map_or_else(|| program(name), |path| Ok(path.into()))
}

/// Stops a process as a crash would: SIGKILL, and waits for its end.
///
/// # Errors
/// When it had ended before.
pub fn crash(process: &mut Process) -> Result<()> {
    process.kill(Signal::SIGKILL)?;
    process.wait(Duration::from_secs(20)).map(drop)
}
