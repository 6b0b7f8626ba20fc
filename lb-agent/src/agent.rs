//! The agent: one loop that turns what happens into what is done.
//!
//! This loop owns all state. Tasks around it (checks, netlink, the admin socket, the keeper of
//! flows) send their own room's type; it is wrapped into an [`Event`] here, and the [`State`]'s
//! [`Action`]s are carried out here.

pub mod event;
pub mod state;
pub mod status;

mod checks;
mod failover;
mod shell;
mod start;

use std::{path::Path, time::Instant};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use self::{
    event::{Action, Event},
    shell::{Inbox, Shell},
    state::State,
};
use crate::{config::Config, control, datapath::keeper, health, netlink, vrrp};

/// Room for what tasks send while the loop swaps a table (some 10 ms each): a report from every
/// backend at once.
const DEPTH: usize = 1024;

/// Something reached the loop.
enum Input {
    Probe(health::Report),
    Hop(netlink::Report),
    Seen(keeper::Seen),
    Call(control::Call),
    Surroundings(Vec<netlink::Interface>),
    Vrrp(vrrp::thread::Report),
    Script(vrrp::script::ScriptReport),
    Look,
    Retry,
    Reload,
    End(&'static str),
}

/// Runs until SIGTERM or SIGINT. The data plane stays and goes on forwarding.
pub async fn run(config: Config, path: &Path, log_drops: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("failed to listen for signals")?;
    log_warnings(&config);
    let (mut shell, mut inbox, mut state, actions) = start::start(config, path, log_drops).await?;
    shell.execute(actions).await;
    start::ready();
    loop {
        let input = next(&mut inbox, &mut signals, &mut shell).await;
        if let Input::End(signal) = input {
            tracing::info!(signal, "the agent ends; the data plane stays and goes on forwarding");
            shell.leave(&mut inbox.told).await;
            return Ok(());
        }
        let actions = digest(input, &mut state, &mut shell).await;
        shell.execute(actions).await;
        shell.failover.served(|service| state.served(service));
    }
}

/// What `lb-agent check` prints, for those who do not call it.
fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(line = warning.line(), hint = warning.hint(), "{}", warning.what());
    }
}

async fn next(inbox: &mut Inbox, signals: &mut Signals, shell: &mut Shell) -> Input {
    tokio::select! {
        biased;
        _ = signals.terminate.recv() => Input::End("SIGTERM"),
        _ = signals.interrupt.recv() => Input::End("SIGINT"),
        _ = signals.hangup.recv() => Input::Reload,
        Some(call) = inbox.calls.recv() => Input::Call(call),
        Some(report) = inbox.probes.recv() => Input::Probe(report),
        Some(report) = inbox.hops.recv() => Input::Hop(report),
        Some(seen) = inbox.seen.recv() => Input::Seen(seen),
        Some(report) = inbox.told.vrrp.recv() => Input::Vrrp(report),
        Some(all) = inbox.told.surroundings.recv() => Input::Surroundings(all),
        input = shell.next() => input,
        _ = inbox.looks.tick() => Input::Look,
    }
}

/// Wraps what a task has sent into the agent's own vocabulary.
async fn digest(input: Input, state: &mut State, shell: &mut Shell) -> Vec<Action> {
    let now = Instant::now();
    let event = match input {
        Input::Probe(report) => Event::Probe(report),
        Input::Hop(report) => Event::NextHop { address: report.address, hop: report.hop },
        Input::Seen(seen) => {
            let backends = seen.backends.clone();
            shell.saw(seen);
            Event::FlowsSeen(backends)
        }
        Input::Call((request, reply)) => return shell.call(request, reply, state, now).await,
        Input::Surroundings(all) => match shell.surroundings(&all) {
            Some(macs) => Event::OwnMacs(macs),
            None => return Vec::new(),
        },
        Input::Vrrp(report) => {
            shell.failover.hear(&report);
            return Vec::new();
        }
        Input::Script(result) => {
            shell.failover.script(&result);
            return Vec::new();
        }
        Input::Look => {
            shell.look();
            return Vec::new();
        }
        Input::Retry => match shell.resync() {
            Some(held) => Event::Resync(held),
            None => return Vec::new(),
        },
        Input::Reload => {
            return shell.reload(state, now).await.unwrap_or_else(|error| {
                tracing::error!(
                    "the configuration was not reloaded, nothing has changed:\n{error}"
                );
                Vec::new()
            });
        }
        Input::End(_) => return Vec::new(),
    };
    state.handle(event, now)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// A channel of the depth that every task's reports get.
fn channel<T>() -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
    mpsc::channel(DEPTH)
}
