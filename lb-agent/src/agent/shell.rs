//! Everything the loop can touch: the other side of [`Action`].

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use lb_common::net::MacAddr;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Interval,
};

use super::{
    checks::Checks,
    event::{Action, Adopted, Command, Event, Level, Transition},
    start::adopted,
    state::State,
};
use crate::{
    config::{self, Config},
    control::{self, Change, Request, Response},
    datapath::{
        keeper::{Seen, Wake},
        maps::Maps,
        plan::MapOp,
        program::Attached,
        stats::Stats,
    },
    health::{self, Target},
    netlink::{self, Interface, Netlink, choose_vip_interface},
    view::{StatusView, TableView, XdpView},
    vips::{Order, Orders, Vip},
};

/// Pause before the maps are written again after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// What the tasks send to the loop.
pub(super) struct Inbox {
    pub(super) probes: mpsc::Receiver<health::Report>,
    pub(super) hops: mpsc::Receiver<netlink::Report>,
    pub(super) seen: mpsc::Receiver<Seen>,
    pub(super) calls: mpsc::Receiver<control::Call>,
    pub(super) interfaces: Interval,
}

/// What a shell is made of.
pub(super) struct ShellParts {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) maps: Maps,
    pub(super) stats: Stats,
    pub(super) netlink: Netlink,
    pub(super) interfaces: Vec<Interface>,
    pub(super) macs: Vec<MacAddr>,
    pub(super) attached: Vec<Attached>,
    pub(super) max_connections: u32,
    pub(super) probes: mpsc::Sender<health::Report>,
    pub(super) watch: watch::Sender<Vec<IpAddr>>,
    pub(super) vips: Orders,
    pub(super) wake: std::sync::mpsc::Sender<Wake>,
}

/// The loop's hands.
pub(super) struct Shell {
    parts: ShellParts,
    checks: Checks,
    seen: Seen,
    /// Who waits for an [`Action::Answer`], in the order of their commands.
    waiting: VecDeque<oneshot::Sender<Response>>,
    retry_at: Option<tokio::time::Instant>,
}

impl Shell {
    pub(super) fn new(parts: ShellParts) -> Self {
        Self {
            checks: Checks::new(parts.probes.clone()),
            parts,
            seen: Seen::default(),
            waiting: VecDeque::new(),
            retry_at: None,
        }
    }

    /// Carries out what the state has decided, in order.
    pub(super) async fn execute(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.act(action).await;
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Map(ops) => self.write(&ops),
            Action::StartCheck(start) => self.checks.start(*start),
            Action::StopCheck { target } => self.checks.stop(&target),
            Action::Watch(addresses) => {
                self.parts.watch.send_replace(addresses);
            }
            Action::ResetFlows { backend } => {
                tracing::info!(backend, "resetting the connections of a backend");
                if self.parts.wake.send(Wake).is_err() {
                    tracing::error!("the keeper of flows has ended");
                }
            }
            Action::AddVip { vip } => self.hold(vip).await,
            Action::RemoveVip { vip } => self.order(Order::Drop { address: vip }).await,
            Action::Transition(transition) => tell(&transition),
            Action::Log { level, text } => log(level, &text),
            Action::Answer(result) => {
                let response =
                    result.map_or_else(|e| Response::Error(e.to_string()), |()| Response::Done);
                self.answer(response);
            }
            // `reload` has told whoever asked.
            Action::ConfigRefused(refused) => tracing::debug!(%refused, "configuration refused"),
        }
    }

    /// Holds a VIP that no other node may hold, for ever.
    async fn hold(&self, vip: IpAddr) {
        let Some(interface) = choose_vip_interface(vip, &self.parts.interfaces) else {
            tracing::error!(%vip, "there is no interface for the VIP");
            return;
        };
        let interface = interface.name.clone();
        let prefix = if vip.is_ipv4() { 32 } else { 128 };
        let vip = Vip { address: vip, prefix, interface, label: None };
        self.order(Order::Hold { vip, term: None }).await;
    }

    /// Gives an order and waits until it is carried out: what comes next may rely on it.
    async fn order(&self, order: Order) {
        self.parts.vips.give(order);
        if self.parts.vips.done().await.is_err() {
            tracing::error!("the thread of the VIPs has ended");
        }
    }

    fn write(&mut self, ops: &[MapOp]) {
        if let Err(error) = self.parts.maps.apply(ops) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "writing the maps failed; trying again"
            );
            self.retry_at = Some(tokio::time::Instant::now() + RETRY);
        }
    }

    fn answer(&mut self, response: Response) {
        if let Some(reply) = self.waiting.pop_front() {
            // The client may have gone away.
            let _gone = reply.send(response);
        }
    }

    /// Ends when a failed write is to be tried again; never, when none has failed.
    pub(super) async fn retry_due(&self) {
        match self.retry_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// What the maps hold after a failed write.
    pub(super) fn resync(&mut self) -> Option<Adopted> {
        self.retry_at = None;
        match self.parts.maps.contents() {
            Ok(contents) => Some(adopted(contents)),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "reading the maps failed; trying again"
                );
                self.retry_at = Some(tokio::time::Instant::now() + RETRY);
                None
            }
        }
    }

    /// Keeps what the last walk over the flows has met.
    pub(super) fn saw(&mut self, seen: Seen) {
        if seen.removed != 0 || seen.provoked != 0 {
            tracing::debug!(removed = seen.removed, provoked = seen.provoked, "flows kept");
        }
        self.seen = seen;
    }

    /// The interfaces' Ethernet addresses, when one has changed.
    pub(super) async fn changed_macs(&mut self) -> Option<Vec<MacAddr>> {
        let names = &self.parts.config.node.interfaces;
        let interfaces = match self.parts.netlink.interfaces(names).await {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an interface cannot be looked at"
                );
                return None;
            }
        };
        let macs: Vec<_> = interfaces.iter().map(|i| i.mac).collect();
        self.parts.interfaces = interfaces;
        let changed = macs != self.parts.macs;
        self.parts.macs.clone_from(&macs);
        changed.then_some(macs)
    }

    /// Serves the admin socket.
    pub(super) async fn call(
        &mut self,
        request: Request,
        reply: oneshot::Sender<Response>,
        state: &mut State,
        now: Instant,
    ) -> Vec<Action> {
        let response = match request {
            Request::Status => Response::Status(Box::new(self.status(state, now))),
            Request::Backend { service, backend, change } => {
                self.waiting.push_back(reply);
                let target = Target { service, backend };
                return state.handle(Event::Admin { target, command: command(change) }, now);
            }
            Request::Reload => match self.reload(state, now) {
                Ok(actions) => {
                    self.execute(actions).await;
                    Response::Done
                }
                Err(error) => Response::Error(error),
            },
        };
        // The client may have gone away.
        let _gone = reply.send(response);
        Vec::new()
    }

    /// Reads the configuration file again. What cannot change while the agent runs is refused.
    pub(super) fn reload(
        &mut self,
        state: &mut State,
        now: Instant,
    ) -> Result<Vec<Action>, String> {
        let new = config::load(&self.parts.path).map_err(|errors| errors.to_string())?;
        if new.node != self.parts.config.node {
            return Err(format!(
                "{}: `[node]` has changed, which takes a restart of the agent (no connection is \
                 lost by one)",
                self.parts.path.display()
            ));
        }
        let actions = state.handle(Event::Config(Box::new(new.clone())), now);
        let refused = actions.iter().find_map(|action| match action {
            Action::ConfigRefused(refused) => Some(refused.to_string()),
            _ => None,
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        super::log_warnings(&new);
        self.parts.config = new;
        tracing::info!(path = %self.parts.path.display(), "configuration reloaded");
        Ok(actions)
    }

    fn status(&self, state: &State, now: Instant) -> StatusView {
        let xdp = self.parts.attached.iter().map(|a| XdpView {
            interface: a.interface.clone(),
            mode: if a.native { "native" } else { "generic" }.to_owned(),
        });
        let table = TableView {
            connections: self.seen.established,
            capacity: self.parts.max_connections as usize,
            half_open: self.seen.half_open,
        };
        let status = state.snapshot(now);
        let ids = status.services.iter().flat_map(|s| s.backends.iter().map(|b| b.id));
        let active: BTreeMap<u16, u64> = ids
            .filter_map(|id| Some((id, self.parts.stats.backend(id).ok()?.connections_active)))
            .collect();
        StatusView::new(&status, xdp.collect(), table, &active, SystemTime::now())
    }

    /// Leaves the data plane as it is.
    pub(super) fn leave(&mut self) {
        self.checks.stop_all();
        if let Err(error) = std::fs::remove_file(&self.parts.config.node.admin_socket) {
            tracing::debug!(%error, "the admin socket could not be removed");
        }
    }
}

const fn command(change: Change) -> Command {
    match change {
        Change::Drain => Command::Drain,
        Change::Ready => Command::Ready,
        Change::Maint => Command::Maint,
        Change::Weight(weight) => Command::Weight(weight),
    }
}

fn tell(t: &Transition) {
    let (service, backend) = (&t.target.service, &t.target.backend);
    tracing::info!(%service, %backend, old = %t.old, new = %t.new, reason = %t.reason, "backend");
}

fn log(level: Level, text: &str) {
    match level {
        Level::Info => tracing::info!("{text}"),
        Level::Warn => tracing::warn!("{text}"),
        Level::Error => tracing::error!("{text}"),
    }
}
