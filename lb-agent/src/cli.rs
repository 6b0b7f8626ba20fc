//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Layer-4 load balancer with health checks and failover.
#[derive(Debug, Parser)]
#[command(name = "lb-agent", version)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, default_value = "/etc/lb/lb.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in the foreground; SIGHUP reloads, SIGTERM hands the VIPs over and leaves the data plane.
    Run(RunArgs),
    /// Validate the configuration; exit code 78 when it is wrong.
    Check,
    /// Show virtual routers, services, backends and their checks.
    Status(Output),
    /// Show counters, read from the pinned maps; works while no agent runs.
    Stats(Pinned),
    /// Show the flows, read from the pinned maps; works while no agent runs.
    Flows(Pinned),
    /// Change how a backend stands, until the agent ends.
    Backend {
        /// What is wanted.
        #[command(subcommand)]
        change: BackendChange,
    },
    /// Move a VIP by hand, until the agent ends.
    Vrrp {
        /// What is wanted.
        #[command(subcommand)]
        change: VrrpChange,
    },
    /// Have the agent read its configuration file again.
    Reload,
    /// Detach the program and remove every pin and VIP; established connections are cut.
    Unload(Unload),
}

/// Options of `run`.
#[derive(Clone, Copy, Debug, Args)]
pub struct RunArgs {
    /// Log every packet that the program drops (slow; for diagnosis).
    #[arg(long)]
    pub log_drops: bool,
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Where pinned maps are, and how they are printed.
#[derive(Clone, Debug, Args)]
pub struct Pinned {
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Pin directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
}

/// Options of `unload`.
#[derive(Clone, Debug, Args)]
pub struct Unload {
    /// Pin directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
}

/// What is wanted of a backend.
#[derive(Clone, Debug, Subcommand)]
pub enum BackendChange {
    /// No new connections; those it has continue.
    Drain {
        /// `SERVICE/BACKEND`.
        target: TargetName,
    },
    /// As its health says.
    Ready {
        /// `SERVICE/BACKEND`.
        target: TargetName,
    },
    /// As if down.
    Maint {
        /// `SERVICE/BACKEND`.
        target: TargetName,
    },
    /// Set its weight, 0 to 256.
    Weight {
        /// `SERVICE/BACKEND`.
        target: TargetName,
        /// The weight; left out, the configured one is taken again.
        weight: Option<u16>,
    },
}

/// What is wanted of a VRRP instance, and of those in its sync group.
#[derive(Clone, Debug, Subcommand)]
pub enum VrrpChange {
    /// Hand its addresses over to the next node, and stay out of the election.
    Release {
        /// Name of the instance.
        name: String,
    },
    /// Take part in the election again.
    Resume {
        /// Name of the instance.
        name: String,
    },
    /// Announce its addresses to the neighbours again (gratuitous ARP, unsolicited NA).
    Announce {
        /// Name of the instance.
        name: String,
    },
}

/// A backend by name: `SERVICE/BACKEND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName {
    /// Name of the service.
    pub service: String,
    /// Name of the backend.
    pub backend: String,
}

impl std::str::FromStr for TargetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((service, backend)) if !service.is_empty() && !backend.is_empty() => {
                Ok(Self { service: service.to_owned(), backend: backend.to_owned() })
            }
            _ => Err(format!("`{text}` is not of the form SERVICE/BACKEND")),
        }
    }
}
