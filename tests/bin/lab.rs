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
use lb_tests::{
    agent_config::{AgentConfig, ServiceConfig},
    client::Client,
    lab::{API_PORT, Host, Lab, Options, Process, registry, topology},
    wait::wait_for,
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
    /// Bring the lab up, with API servers, and an agent on lb-01
    Up {
        /// Backends cp-01.., 1 to 10
        #[arg(long, default_value_t = 3)]
        backends: u8,
        /// Add a router, and behind it far-01 and far-client
        #[arg(long)]
        router: bool,
        /// The agent to start on lb-01; left out when there is no such file
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
    /// Show hosts, addresses and processes
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
    let balancer = lab.lb(1);
    let config = write_config(&lab, balancer)?;
    println!("VIPs       {} and {}, port {API_PORT}", topology::vip4(1), topology::vip6(1));
    println!("CA         {}", lab.pki().ca_file().display());
    println!("config     {}", config.display());
    println!("logs       {}", lab.dir().join("logs").display());
    println!("pins       {}", balancer.pin_dir().join("lb").display());
    if agent.is_file() {
        processes.push(start_agent(&lab, balancer, agent, &config)?);
        println!("agent      runs on lb-01");
        println!("try        cargo xtask lab exec client -- {}", curl(&lab));
    } else {
        println!("agent      not started: there is no `{}`", agent.display());
    }
    lab.leave_standing()?;
    processes.into_iter().for_each(Process::detach);
    Ok(())
}

fn curl(lab: &Lab) -> String {
    let ca = lab.pki().ca_file();
    format!("curl --cacert {} https://{}:{API_PORT}/readyz", ca.display(), topology::vip4(1))
}

fn write_config(lab: &Lab, balancer: &Host) -> Result<PathBuf> {
    let backends: Vec<&Host> = lab.backends().collect();
    AgentConfig::new(balancer)
        .service(ServiceConfig::api(lab, topology::vip4(1), &backends))
        .service(ServiceConfig::api(lab, topology::vip6(1), &backends))
        .write(balancer)
}

fn start_agent(lab: &Lab, balancer: &Host, agent: &Path, config: &Path) -> Result<Process> {
    let mut command = balancer.command(agent);
    command.arg("run").arg("--config").arg(config);
    let mut process = balancer.spawn("agent", command)?;
    let client = Client::new(lab.client(), lab.pki())?;
    let vip = SocketAddr::new(topology::vip4(1), API_PORT);
    let served = wait_for("an answer through the VIP", lb_tests::wait::SOON, || {
        if !process.is_running() {
            // It will not come up any more, so there is nothing to wait for.
            return Ok(false);
        }
        client.get(vip, "/readyz").map(|_| true)
    });
    match served {
        Ok(true) => Ok(process),
        Ok(false) => bail!("the agent ended at once; its log:\n{}", process.log()),
        Err(error) => Err(error.context(format!("the agent's log:\n{}", process.log()))),
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
