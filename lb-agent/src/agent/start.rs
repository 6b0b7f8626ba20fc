//! From a configuration to a running shell: nothing is attached before everything is checked.

use std::{path::Path, thread, time::Duration};

use anyhow::Context as _;
use tokio::{
    net::UnixListener,
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    channel,
    event::{Action, Adopted},
    failover,
    shell::{Inbox, Shell, ShellParts},
    state::State,
};
use crate::{
    config::Config,
    control,
    datapath::{
        capabilities, diagnostics,
        flows::Flows,
        keeper::Keeper,
        maps::{Contents, Maps},
        object,
        pins::Pins,
        program::{self, Datapath, Interface, Settings},
        reaper::Reaper,
        stats::Stats,
    },
    inject::PacketSocket,
    netlink::{self, Netlink},
};

/// How often it is looked whether the program is still on its interfaces.
const LOOK: Duration = Duration::from_secs(1);

/// A shell, what reaches it, the state and its first actions.
type Started = (Shell, Inbox, State, Vec<Action>);

/// Loads the data plane, adopts what is pinned, and starts the tasks. A failed start leaves no
/// socket at which nobody answers.
pub(super) async fn start(config: Config, path: &Path, log_drops: bool) -> anyhow::Result<Started> {
    capabilities::check()?;
    let socket = config.node.admin_socket.clone();
    let listener = control::listen(&socket).await?;
    let started = begin(config, path, log_drops, listener).await;
    if started.is_err()
        && let Err(error) = std::fs::remove_file(&socket)
    {
        tracing::debug!(%error, "the admin socket could not be removed");
    }
    started
}

async fn begin(
    config: Config,
    path: &Path,
    log_drops: bool,
    listener: UnixListener,
) -> anyhow::Result<Started> {
    let netlink = Netlink::open()?;
    let interfaces = netlink.interfaces(&config.node.interfaces).await?;
    let datapath = load(&config, &interfaces, log_drops)?;
    for attached in &datapath.attached {
        let mode = if attached.native { "native" } else { "generic" };
        tracing::info!(interface = %attached.interface, mode, "XDP attached");
    }
    let held = adopted(datapath.maps.contents()?);
    let macs: Vec<_> = interfaces.iter().map(|i| i.mac).collect();
    let (state, actions) = State::new(&config, held, macs.clone())?;

    let (probe_tx, probes) = channel();
    let (hop_tx, hops) = channel();
    let (seen_tx, seen) = channel();
    let (call_tx, calls) = channel();
    let (watch_tx, watch_rx) = watch::channel(Vec::new());
    let (wake_tx, wake_rx) = std::sync::mpsc::channel();
    tokio::spawn(control::serve(listener, call_tx));
    tokio::spawn(watch_hops(watch_rx, hop_tx));
    let keeper = keeper(&config.node.pin_dir)?;
    // The thread ends when the loop drops its ends of the channels.
    thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || keeper.run(&wake_rx, &seen_tx))
        .context("failed to start the keeper's thread")?;

    let Datapath { maps, attached, max_connections, mut object, .. } = datapath;
    if log_drops {
        diagnostics::spawn(&mut object);
    }
    if max_connections != config.node.max_connections {
        tracing::warn!(
            kept = max_connections,
            configured = config.node.max_connections,
            "the pinned table of flows keeps its capacity; `lb-agent unload` would remove it"
        );
    }
    failover::forget(&config.node.pin_dir, &config.vrrp)?;
    let (failover, vips, told) = failover::start(&config, &interfaces)?;
    let parts = ShellParts {
        stats: Stats::open(&config.node.pin_dir)?,
        path: path.to_path_buf(),
        config,
        maps,
        interfaces,
        macs,
        attached,
        max_connections,
        probes: probe_tx,
        watch: watch_tx,
        wake: wake_tx,
        vips,
    };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let inbox = Inbox { probes, hops, seen, calls, told, looks };
    Ok((Shell::new(parts, failover), inbox, state, actions))
}

fn load(
    config: &Config,
    interfaces: &[netlink::Interface],
    log_drops: bool,
) -> anyhow::Result<Datapath> {
    let bytes = object::bytes()?;
    let settings = Settings {
        object: &bytes,
        pin_dir: &config.node.pin_dir,
        mode: config.node.xdp_mode,
        max_connections: config.node.max_connections,
        log_drops,
    };
    let places: Vec<_> = interfaces
        .iter()
        .map(|i| Interface { name: i.name.clone(), index: i.index, occupant: i.xdp_program })
        .collect();
    Ok(program::start(&settings, &places)?)
}

fn keeper(pin_dir: &Path) -> anyhow::Result<Keeper> {
    Ok(Keeper {
        flows: Flows::open(pin_dir)?,
        maps: Maps::open(pin_dir)?,
        reaper: Reaper::open(&Pins::at(pin_dir))?,
        socket: PacketSocket::open().context("failed to open a packet socket")?,
    })
}

/// What the maps hold, as the state takes it over.
pub(super) fn adopted(contents: Contents) -> Adopted {
    Adopted {
        config: Some(Box::new(contents.config)),
        services: contents.services,
        backends: contents.backends,
    }
}

/// The watcher ends when netlink drops its notifications (a full socket buffer); it then looks at
/// everything anew.
async fn watch_hops(
    addresses: watch::Receiver<Vec<std::net::IpAddr>>,
    reports: tokio::sync::mpsc::Sender<netlink::Report>,
) {
    while let Err(error) = netlink::watch(addresses.clone(), reports.clone()).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "watching routes and neighbours begins anew"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Tells systemd, where there is one.
pub(super) fn ready() {
    if let Err(error) = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]) {
        tracing::debug!(%error, "no readiness was told");
    }
    tracing::info!("ready");
}
