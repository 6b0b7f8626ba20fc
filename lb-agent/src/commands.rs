//! Every command of `lb-agent`, from arguments to exit code.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use crate::{
    agent,
    cli::{BackendChange, Cli, Command, Pinned, VrrpChange},
    config::{self, Config},
    control::{self, Change, Request, Response},
    datapath::{flows::Flows, maps::Maps, pins::Pins, reaper::Reaper, stats::Stats},
    netlink::Netlink,
    view::{self, stats::StatsView},
};

/// Bad configuration (`EX_CONFIG` of sysexits.h).
const CONFIG: u8 = 78;

/// Runs the command.
pub async fn dispatch(cli: &Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Run(args) => match read(&cli.config) {
            Ok(config) => agent::run(config, &cli.config, args.log_drops).await,
            Err(code) => return code,
        },
        Command::Check => return check(&cli.config),
        Command::Status(output) => status(&cli.config, output.json).await,
        Command::Stats(args) => stats(&cli.config, args),
        Command::Flows(args) => flows(&cli.config, args),
        Command::Backend { change } => act(&cli.config, &backend(change)).await,
        Command::Vrrp { change } => act(&cli.config, &vrrp(change)).await,
        Command::Reload => act(&cli.config, &Request::Reload).await,
        Command::Unload(args) => unload(&cli.config, args.pin_dir.as_ref()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// `error: what`, then the causes.
fn complain(error: &anyhow::Error) {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  caused by: {cause}\n"));
    }
    to_stderr(&text);
}

fn to_stderr(text: &str) {
    // Nothing can be done when stderr is closed.
    let _unprinted = std::io::stderr().write_all(text.as_bytes());
}

fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `lb-agent flows | head`
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("failed to write to stdout"),
    }
}

fn read(path: &Path) -> Result<Config, ExitCode> {
    config::load(path).map_err(|errors| {
        to_stderr(&format!("{errors}\n"));
        ExitCode::from(CONFIG)
    })
}

fn check(path: &Path) -> ExitCode {
    match read(path) {
        Ok(config) => {
            for warning in &config.warnings {
                to_stderr(&format!("{}\n", warning.printed(path)));
            }
            let backends: usize = config.services.iter().map(|s| s.backends.len()).sum();
            let routers = match config.vrrp.len() {
                0 => String::new(),
                number => format!(", {number} virtual routers"),
            };
            let told = print(&format!(
                "{}: {} services, {backends} backends{routers}: all right\n",
                path.display(),
                config.services.len()
            ));
            if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(code) => code,
    }
}

async fn status(path: &Path, json: bool) -> anyhow::Result<()> {
    match control::call(&admin_socket(path), &Request::Status).await? {
        Response::Status(view) if json => print_json(&view),
        Response::Status(view) => print(&view.text()),
        Response::Error(text) => anyhow::bail!(text),
        Response::Done => anyhow::bail!("the agent gave no status"),
    }
}

fn stats(path: &Path, args: &Pinned) -> anyhow::Result<()> {
    let dir = pin_dir(path, args.pin_dir.as_ref());
    let config = config::load(path).ok();
    let view = StatsView::read(&Maps::open(&dir)?, &Stats::open(&dir)?, config.as_ref())?;
    if args.json { print_json(&view) } else { print(&view.text()) }
}

fn flows(path: &Path, args: &Pinned) -> anyhow::Result<()> {
    let dir = pin_dir(path, args.pin_dir.as_ref());
    let flows = Flows::open(&dir)?;
    let mut reaper = Reaper::open(&Pins::at(&dir))?;
    let views = view::flows::read(&flows, &mut reaper)?;
    if args.json { print_json(&views) } else { print(&view::flows::text(&views)) }
}

async fn act(path: &Path, request: &Request) -> anyhow::Result<()> {
    match control::call(&admin_socket(path), request).await? {
        Response::Done => Ok(()),
        Response::Error(text) => anyhow::bail!(text),
        Response::Status(_) => anyhow::bail!("the agent answered something else"),
    }
}

fn backend(change: &BackendChange) -> Request {
    let (target, change) = match change {
        BackendChange::Drain { target } => (target, Change::Drain),
        BackendChange::Ready { target } => (target, Change::Ready),
        BackendChange::Maint { target } => (target, Change::Maint),
        BackendChange::Weight { target, weight } => (target, Change::Weight(*weight)),
    };
    Request::Backend { service: target.service.clone(), backend: target.backend.clone(), change }
}

fn vrrp(change: &VrrpChange) -> Request {
    let (name, change) = match change {
        VrrpChange::Release { name } => (name, control::VrrpChange::Release),
        VrrpChange::Resume { name } => (name, control::VrrpChange::Resume),
        VrrpChange::Announce { name } => (name, control::VrrpChange::Announce),
    };
    Request::Vrrp { name: name.clone(), change }
}

/// An agent that runs on would believe that it still serves.
async fn unload(path: &Path, given: Option<&PathBuf>) -> anyhow::Result<()> {
    let place = config::whereabouts(path);
    let dir = given.unwrap_or(&place.pin_dir);
    if *dir == place.pin_dir && control::answers(&place.admin_socket).await {
        anyhow::bail!(
            "an agent is running at `{}`, nothing was removed\n  hint: stop it first",
            place.admin_socket.display()
        );
    }
    let removed = if dir.try_exists().unwrap_or(false) { Pins::at(dir).remove_all()? } else { 0 };
    let netlink = Netlink::open()?;
    let mut vips = Vec::new();
    for vip in netlink.vips().await? {
        netlink.remove_vip(&vip).await?;
        vips.push(vip.address.to_string());
    }
    let vips =
        if vips.is_empty() { "no VIP".to_owned() } else { format!("VIP {}", vips.join(", ")) };
    print(&format!("removed {removed} pins from {} and {vips}\n", dir.display()))
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("failed to write JSON")?;
    text.push('\n');
    print(&text)
}

/// Commands that read pinned maps must work whatever has become of the configuration.
fn pin_dir(path: &Path, given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| config::whereabouts(path).pin_dir)
}

fn admin_socket(path: &Path) -> PathBuf {
    config::whereabouts(path).admin_socket
}
