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
    Input,
    checks::Checks,
    event::{Action, Adopted, Command, Event, Level, Transition},
    failover::{self, Failover, Told},
    start::adopted,
    state::State,
};
use crate::{
    config::{self, Config},
    control::{self, Change, Request, Response, VrrpChange},
    datapath::{
        keeper::{Seen, Wake},
        maps::Maps,
        plan::MapOp,
        presence,
        program::Attached,
        stats::Stats,
    },
    health::{self, Target},
    netlink::{self, Interface, choose_vip_interface},
    view::{StatusView, TableView, XdpView},
    vips::{Order, Orders, Vip},
    vrrp,
};

/// Pause before the maps are written again after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// What the tasks send to the loop.
pub(super) struct Inbox {
    pub(super) probes: mpsc::Receiver<health::Report>,
    pub(super) hops: mpsc::Receiver<netlink::Report>,
    pub(super) seen: mpsc::Receiver<Seen>,
    pub(super) calls: mpsc::Receiver<control::Call>,
    pub(super) told: Told,
    pub(super) looks: Interval,
}

/// What a shell is made of.
pub(super) struct ShellParts {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) maps: Maps,
    pub(super) stats: Stats,
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
    pub(super) failover: Failover,
    checks: Checks,
    seen: Seen,
    /// Interfaces without our program.
    detached: Vec<String>,
    /// Who waits for an [`Action::Answer`], in the order of their commands.
    waiting: VecDeque<oneshot::Sender<Response>>,
    retry_at: Option<tokio::time::Instant>,
}

impl Shell {
    pub(super) fn new(parts: ShellParts, failover: Failover) -> Self {
        Self {
            checks: Checks::new(parts.probes.clone()),
            parts,
            failover,
            detached: Vec::new(),
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
            Action::RemoveVip { vip } => self.release(vip).await,
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

    /// Lets go of a VIP that this node held alone. One that a virtual router has now is in the
    /// hands of the VRRP thread, which has taken it or let go of it by now.
    async fn release(&self, vip: IpAddr) {
        if !failover::vips(&self.parts.config.vrrp).any(|routed| routed == vip) {
            self.order(Order::Drop { address: vip }).await;
        }
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

    /// What happens here rather than in a task: a failed write is to be tried again, or a tracked
    /// script has run.
    pub(super) async fn next(&mut self) -> Input {
        let retry_at = self.retry_at;
        let retry = async {
            match retry_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = retry => Input::Retry,
            result = self.failover.next_result() => Input::Script(result),
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

    /// Takes in the interfaces as they are now. Returns their Ethernet addresses, when one has
    /// changed.
    pub(super) fn surroundings(&mut self, all: &[Interface]) -> Option<Vec<MacAddr>> {
        self.failover.surroundings(all);
        let names = &self.parts.config.node.interfaces;
        let ours = names.iter().filter_map(|name| all.iter().find(|i| i.name == *name));
        self.parts.interfaces = ours.cloned().collect();
        let macs: Vec<_> = self.parts.interfaces.iter().map(|i| i.mac).collect();
        let changed = macs != self.parts.macs;
        self.parts.macs.clone_from(&macs);
        changed.then_some(macs)
    }

    /// Looks whether the data plane is still in place.
    pub(super) fn look(&mut self) {
        let node = &self.parts.config.node;
        match presence::attached(&node.pin_dir, &node.interfaces) {
            Ok(places) => {
                let gone: Vec<_> =
                    places.into_iter().filter(|(_, on)| !on).map(|(name, _)| name).collect();
                if gone != self.detached {
                    if gone.is_empty() {
                        tracing::info!("the XDP program is on every interface again");
                    } else {
                        tracing::error!(interfaces = ?gone, "the XDP program was detached");
                    }
                    self.detached = gone;
                }
                self.failover.data_plane(self.detached.is_empty());
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "failed to look whether the XDP program is in place");
            }
        }
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
            Request::Status => Response::Status(Box::new(self.status(state, now).await)),
            Request::Backend { service, backend, change } => {
                self.waiting.push_back(reply);
                let target = Target { service, backend };
                return state.handle(Event::Admin { target, command: command(change) }, now);
            }
            Request::Vrrp { name, change } => {
                match self.failover.change(&name, vrrp_change(change)).await {
                    Ok(()) => Response::Done,
                    Err(error) => Response::Error(error),
                }
            }
            Request::Reload => match self.reload(state, now).await {
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
    pub(super) async fn reload(
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
        // First: an address that a virtual router gives up may be one that is held alone from now.
        self.failover.reload(&new).await;
        self.parts.config = new;
        tracing::info!(path = %self.parts.path.display(), "configuration reloaded");
        Ok(actions)
    }

    async fn status(&self, state: &State, now: Instant) -> StatusView {
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
        let routers = self.failover.view().await;
        StatusView::new(&status, &routers, xdp.collect(), table, &active, SystemTime::now())
    }

    /// Hands the VIPs over, and leaves the data plane as it is.
    pub(super) async fn leave(mut self, told: &mut Told) {
        self.failover.leave(&self.parts.vips, told).await;
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

const fn vrrp_change(change: VrrpChange) -> vrrp::thread::Change {
    match change {
        VrrpChange::Release => vrrp::thread::Change::Release,
        VrrpChange::Resume => vrrp::thread::Change::Resume,
        VrrpChange::Announce => vrrp::thread::Change::Announce,
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
