//! `lb-lab`: a lab left standing to play in. `cargo xtask lab` calls it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool answers on stdout and complains on stderr"
)]

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use lb_agent::{
    control::{self, Request, Response},
    view::StatusView,
};
use lb_tests::{
    agent_config::AgentConfig,
    client::Client,
    lab::{API_PORT, Host, Lab, Options, Process, registry, topology},
    wait::{SOON, wait_for},
};

/// The one lab that stands without an owner.
const ID: &str = "play";

/// A lab of network namespaces, left standing to play in
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring the lab up, with API servers, and agents on lb-01 and lb-02 that share the VIPs
    Up {
        /// Backends cp-01.., 1 to 10
        #[arg(long, default_value_t = 3)]
        backends: u8,
        /// Add a router, and behind it far-01 and far-client
        #[arg(long)]
        router: bool,
        /// The agent to start on lb-01 and lb-02; left out when there is no such file
        #[arg(long, default_value = "target/release/lb-agent")]
        agent: PathBuf,
    },
    /// Run a command on a host of the lab
    Exec {
        /// client, lb-01, cp-01, ...
        host: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Show hosts, addresses, which node is active, and processes
    Status,
    /// Take the lab down
    Down,
}

fn main() -> ExitCode {
    let done = match Args::parse().verb {
        Verb::Up { backends, router, agent } => up(backends, router, &agent),
        Verb::Exec { host, command } => exec(&host, &command),
        Verb::Status => status(),
        Verb::Down => down(),
    };
    if let Err(error) = done {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn up(backends: u8, router: bool, agent: &Path) -> Result<()> {
    let lab = Lab::named(ID, &Options { backends, router, ..Options::default() })?;
    let mut processes = lab.start_api_servers()?;
    let configs = [1, 2].map(|n| AgentConfig::pair(&lab, n).write(lab.lb(n)));
    println!("VIPs       {} and {}, port {API_PORT}", topology::vip4(1), topology::vip6(1));
    println!("CA         {}", lab.pki().ca_file().display());
    println!("logs       {}", lab.dir().join("logs").display());
    for (n, config) in (1..).zip(configs) {
        let (balancer, config) = (lab.lb(n), config?);
        println!("{:<11}config {}", balancer.name(), config.display());
        println!("{:11}pins   {}", "", balancer.pin_dir().join("lb").display());
        if agent.is_file() {
            processes.push(start_agent(balancer, agent, &config)?);
        }
    }
    if agent.is_file() {
        wait_served(&lab)?;
        println!("agents     run on lb-01 and lb-02; lb-01 is active unless it fails");
        println!("try        cargo xtask lab exec client -- {}", curl(&lab));
        let (agent, config) = (agent.display(), lab.lb(1).file("lb.toml"));
        let config = config.display();
        println!("           cargo xtask lab exec lb-01 -- {agent} --config {config} status");
    } else {
        println!("agents     not started: there is no `{}`", agent.display());
    }
    lab.leave_standing()?;
    processes.into_iter().for_each(Process::detach);
    Ok(())
}

fn curl(lab: &Lab) -> String {
    let ca = lab.pki().ca_file();
    format!("curl --cacert {} https://{}:{API_PORT}/readyz", ca.display(), topology::vip4(1))
}

fn start_agent(balancer: &Host, agent: &Path, config: &Path) -> Result<Process> {
    let mut command = balancer.command(agent);
    command.arg("run").arg("--config").arg(config);
    let mut process = balancer.spawn("agent", command)?;
    let socket = balancer.file("admin.sock");
    let answered = wait_for("the agent's first status", SOON, || {
        if !process.is_running() {
            // It will not come up any more, so there is nothing to wait for.
            return Ok(false);
        }
        ask(&socket).map(|_| true)
    });
    match answered {
        Ok(true) => Ok(process),
        Ok(false) => bail!("the agent ended at once; its log:\n{}", process.log()),
        Err(error) => Err(error.context(format!("the agent's log:\n{}", process.log()))),
    }
}

fn wait_served(lab: &Lab) -> Result<()> {
    let client = Client::new(lab.client(), lab.pki())?;
    let vip = SocketAddr::new(topology::vip4(1), API_PORT);
    wait_for("an answer through the VIP", SOON, || client.get(vip, "/readyz").map(drop))
        .with_context(|| lab.logs(40))
}

/// `lb-agent status`.
fn ask(socket: &Path) -> Result<StatusView> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(control::call(socket, &Request::Status))? {
        Response::Status(view) => Ok(*view),
        Response::Error(text) => bail!(text),
        Response::Done => bail!("the agent gave no status"),
    }
}

fn standing() -> Result<()> {
    ensure!(registry::dir(ID).exists(), "no lab is up\nhint: `cargo xtask lab up`");
    Ok(())
}

fn exec(host: &str, command: &[String]) -> Result<()> {
    standing()?;
    let netns = format!("{}{host}", registry::prefix(ID));
    let names = registry::namespaces(ID);
    let known = || {
        let hosts: Vec<&str> =
            names.iter().filter_map(|name| name.strip_prefix(&registry::prefix(ID))).collect();
        format!("the lab has no host `{host}`\nhint: one of {}", hosts.join(", "))
    };
    ensure!(names.contains(&netns), known());
    let error = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{netns}"))
        .arg("--")
        .args(command)
        .exec();
    Err(error).context("failed to start `nsenter`")
}

fn status() -> Result<()> {
    standing()?;
    for netns in registry::namespaces(ID) {
        let name = netns.trim_start_matches(&registry::prefix(ID)).to_owned();
        if name == "net" {
            continue;
        }
        let output = Command::new("ip")
            .args(["-n", &netns, "-br", "addr", "show", "scope", "global"])
            .output()
            .context("failed to start `ip`")?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            println!("{name:<11} {line}");
        }
    }
    for n in 1..=2 {
        let name = format!("lb-{n:02}");
        let socket = registry::dir(ID).join(format!("{name}.admin.sock"));
        match ask(&socket) {
            Ok(view) => view.vrrp.iter().for_each(|router| {
                println!("{name:<11} {} {}: {}", router.name, router.state, router.reason);
            }),
            Err(error) => println!("{name:<11} no agent answers: {error:#}"),
        }
    }
    for pid in registry::processes(ID) {
        if let Ok(arguments) = fs::read_to_string(format!("/proc/{pid}/cmdline")) {
            println!("{pid:<11} {}", arguments.trim_end_matches('\0').replace('\0', " "));
        }
    }
    Ok(())
}

fn down() -> Result<()> {
    standing()?;
    registry::demolish(ID)?;
    println!("lab `{ID}` is down");
    Ok(())
}
