//! Failover as the loop sees it: what is tracked goes to the VRRP thread, and what that tells is
//! logged and shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    config::{Config, vrrp},
    datapath::leases::Leases,
    netlink::Interface,
    notify::{self, Kind, Notice, Notifier},
    vips::{self, Orders},
    vrrp::{
        clock,
        machine::State,
        script::{ScriptReport, Scripts},
        thread::{self, Answer, Change, Handle, Input, Report, Tools, View},
        track::{Sum, Tracks},
    },
};

/// How long the threads may take for handing over.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long notices may take when nobody waits for more of them.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Results of scripts that may wait for the loop.
const RESULTS: usize = 64;

/// What the threads send to the loop.
pub(super) struct Told {
    pub(super) vrrp: mpsc::UnboundedReceiver<Report>,
    /// Every interface of this machine, when something of it has changed.
    pub(super) surroundings: mpsc::UnboundedReceiver<Vec<Interface>>,
}

/// The virtual routers of this node.
pub(super) struct Failover {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    routers: Vec<Watched>,
    scripts: Scripts,
    results: mpsc::Receiver<ScriptReport>,
    notifier: Notifier,
    /// Every interface of this machine, once they have been looked at.
    links: Option<Vec<Interface>>,
    /// What was last told of each sync group.
    groups: BTreeMap<String, State>,
}

/// One instance, and what is known of what it tracks.
struct Watched {
    name: String,
    tracks: Tracks,
    told: Sum,
}

impl Watched {
    /// The links of what is tracked, if they are known.
    fn links(&mut self, all: Option<&[Interface]>) {
        let Some(all) = all else { return };
        for name in self.tracks.interfaces() {
            let up = all.iter().any(|interface| interface.name == name && interface.up);
            self.tracks.interface(&name, up);
        }
    }
}

/// Starts the thread of the VIPs and that of VRRP.
pub(super) fn start(
    config: &Config,
    interfaces: &[Interface],
) -> anyhow::Result<(Failover, Orders, Told)> {
    let leases = Leases::open(&config.node.pin_dir)?;
    let held = claimable(&leases)?;
    let routed: BTreeSet<_> = vips(&config.vrrp).collect();
    let lone = config.services.iter().map(|service| service.vip);
    let keep = lone.filter(|vip| !routed.contains(vip)).chain(held.iter().copied()).collect();

    let (handle, prepared) = thread::prepare().context("failed to prepare the VRRP thread")?;
    let (tell_vrrp, vrrp) = mpsc::unbounded_channel();
    let (tell_surroundings, surroundings) = mpsc::unbounded_channel();
    let elect = handle.clone();
    let orders = vips::spawn(keep, move |report| {
        if let vips::Report::Surroundings(all) = report {
            elect.send(Input::Surroundings(all.clone()));
            // The loop ends before the thread does.
            let _ending = tell_surroundings.send(all);
        }
    })?;

    let mut routers: Vec<_> = config.vrrp.iter().map(watched).collect();
    for (watched, router) in routers.iter_mut().zip(&config.vrrp) {
        if router.addresses.iter().all(|a| held.contains(&a.address)) {
            watched.tracks.presume_well();
        }
        for interface in interfaces {
            watched.tracks.interface(&interface.name, interface.up);
        }
        watched.told = watched.tracks.sum();
    }
    let instances = config.vrrp.iter().cloned().zip(routers.iter().map(|w| w.told.clone()));
    let tools = Tools { leases, orders: orders.clone(), reports: tell_vrrp };
    let thread =
        prepared.start(instances.collect(), tools).context("failed to start the VRRP thread")?;
    let (scripts, results) = run_scripts(&config.vrrp);
    let failover = Failover {
        handle,
        thread: Some(thread),
        routers,
        scripts,
        results,
        notifier: notify::spawn(&config.notify, &config.node.name),
        links: None,
        groups: BTreeMap::new(),
    };
    Ok((failover, orders, Told { vrrp, surroundings }))
}

/// The VIPs whose leases live, left by an earlier run that has not ended long ago.
fn claimable(leases: &Leases) -> anyhow::Result<BTreeSet<IpAddr>> {
    let now = clock::now();
    let all = leases.all()?;
    Ok(all.into_iter().filter(|(_, end)| *end > now).map(|(vip, _)| vip).collect())
}

/// The leases of VIPs that no virtual router holds any more end.
pub(super) fn forget(pin_dir: &Path, routers: &[vrrp::Vrrp]) -> anyhow::Result<()> {
    let mut leases = Leases::open(pin_dir)?;
    let routed: BTreeSet<_> = vips(routers).collect();
    for (vip, _) in leases.all()?.into_iter().filter(|(vip, _)| !routed.contains(vip)) {
        leases.remove(vip)?;
    }
    Ok(())
}

/// The addresses that virtual routers hold.
pub(super) fn vips(routers: &[vrrp::Vrrp]) -> impl Iterator<Item = IpAddr> {
    routers.iter().flat_map(vrrp::Vrrp::held).map(|held| held.address)
}

/// On a channel of their own: a result of the last configuration's scripts might be taken for one
/// of the new.
fn run_scripts(routers: &[vrrp::Vrrp]) -> (Scripts, mpsc::Receiver<ScriptReport>) {
    let (report, results) = mpsc::channel(RESULTS);
    (Scripts::start(routers, &report), results)
}

fn watched(router: &vrrp::Vrrp) -> Watched {
    let tracks = Tracks::new(&router.tracks);
    Watched { name: router.name.clone(), tracks, told: Sum::default() }
}

impl Failover {
    /// Takes over a new configuration; done when the threads have been told everything that
    /// follows from it.
    pub(super) async fn reload(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.routers);
        for router in &config.vrrp {
            let known = before.iter().position(|watched| watched.name == router.name);
            let mut watched = known.map_or_else(|| watched(router), |at| before.swap_remove(at));
            watched.tracks.reload(&router.tracks);
            // They are told of when something changes, which may never be.
            watched.links(self.links.as_deref());
            watched.told = watched.tracks.sum();
            self.routers.push(watched);
        }
        let told = self.routers.iter().map(|w| w.told.clone());
        self.handle.send(Input::Reconfigure(config.vrrp.iter().cloned().zip(told).collect()));
        (self.scripts, self.results) = run_scripts(&config.vrrp);
        let notifier = notify::spawn(&config.notify, &config.node.name);
        // What waits is told beside the loop, which does not wait for it.
        tokio::spawn(std::mem::replace(&mut self.notifier, notifier).finish(LAST_WORDS));
        // Inputs are taken in order: once it shows itself, it has reconfigured.
        self.view().await;
    }

    /// The next result of a tracked script; never, when none runs.
    pub(super) async fn next_result(&mut self) -> ScriptReport {
        match self.results.recv().await {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }

    /// A tracked script has run.
    pub(super) fn script(&mut self, result: &ScriptReport) {
        let ScriptReport { instance, track, passed, reason } = result;
        if let Some(watched) = self.routers.iter_mut().find(|w| w.name == *instance) {
            watched.tracks.script(*track, *passed, reason);
        }
        self.tell();
    }

    /// The links of what is tracked.
    pub(super) fn surroundings(&mut self, all: &[Interface]) {
        for watched in &mut self.routers {
            watched.links(Some(all));
        }
        self.links = Some(all.to_vec());
        self.tell();
    }

    /// Whether a tracked service has a backend that was seen up; `None` = not known yet.
    pub(super) fn served(&mut self, served: impl Fn(&str) -> Option<bool>) {
        for watched in &mut self.routers {
            for name in watched.tracks.services() {
                if let Some(served) = served(&name) {
                    watched.tracks.service(&name, served);
                }
            }
        }
        self.tell();
    }

    /// The interfaces that the XDP program has been detached from.
    pub(super) fn data_plane(&mut self, attached: bool) {
        for watched in &mut self.routers {
            watched.tracks.data_plane(attached);
        }
        self.tell();
    }

    /// Tells the thread what has changed.
    fn tell(&mut self) {
        for watched in &mut self.routers {
            let tracked = watched.tracks.sum();
            if tracked != watched.told {
                watched.told = tracked.clone();
                self.handle.send(Input::Track { name: watched.name.clone(), tracked });
            }
        }
    }

    /// Logs what the thread has told, and passes on who has changed.
    pub(super) fn hear(&mut self, report: &Report) {
        match report {
            Report::Changed { instance, group, transition, priority } => {
                let (old, new) = (transition.old, transition.new);
                let reason = transition.cause.to_string();
                tracing::info!(
                    instance,
                    priority,
                    old = old.word(),
                    new = new.word(),
                    reason,
                    "virtual router"
                );
                let at = SystemTime::now();
                let notice = Notice {
                    kind: Kind::Instance,
                    name: instance.clone(),
                    old,
                    new,
                    priority: *priority,
                    reason,
                    at,
                };
                if let Some(group) = group {
                    self.tell_group(group, &notice);
                }
                self.notifier.tell(notice);
            }
            Report::Objected { instance, text, times } => {
                tracing::warn!(instance, times, "{text}");
            }
            Report::Trouble { text, times } => tracing::warn!(times, "{text}"),
        }
    }

    /// The members of a group change one after the other; the first stands for it.
    fn tell_group(&mut self, group: &str, member: &Notice) {
        let old = self.groups.insert(group.to_owned(), member.new).unwrap_or(State::Init);
        if old != member.new {
            let (kind, name) = (Kind::Group, group.to_owned());
            self.notifier.tell(Notice { kind, name, old, priority: 0, ..member.clone() });
        }
    }

    /// Moves an instance by hand.
    pub(super) async fn change(&self, name: &str, change: Change) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        self.handle.send(Input::Change { name: name.to_owned(), change, reply });
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Answer::Done)) => Ok(()),
            Ok(Ok(Answer::NotActive)) => {
                Err(format!("virtual router `{name}` is not active: it has nothing to announce"))
            }
            Ok(Ok(Answer::Unknown)) => {
                let names: Vec<_> = self.routers.iter().map(|w| format!("`{}`", w.name)).collect();
                let known = match names.as_slice() {
                    [] => "the configuration has none".to_owned(),
                    names => format!("only {}", names.join(", ")),
                };
                Err(format!("there is no virtual router `{name}`: {known}"))
            }
            Ok(Err(_)) | Err(_) => Err("the VRRP thread does not answer".to_owned()),
        }
    }

    /// All instances; none when the thread does not answer.
    pub(super) async fn view(&self) -> Vec<View> {
        let (reply, answer) = oneshot::channel();
        self.handle.send(Input::View(reply));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(views)) => views,
            Ok(Err(_)) | Err(_) => {
                tracing::error!("the VRRP thread does not answer");
                Vec::new()
            }
        }
    }

    /// Hands every VIP over, waits until the neighbours know, and passes on what was told.
    pub(super) async fn leave(mut self, orders: &Orders, told: &mut Told) {
        self.handle.send(Input::Shutdown);
        if let Some(thread) = self.thread.take() {
            let ended = timeout(PATIENCE, spawn_blocking(move || thread.join())).await;
            if !matches!(ended, Ok(Ok(Ok(())))) {
                tracing::error!("the VRRP thread did not end as it should");
            }
        }
        if !matches!(timeout(PATIENCE, orders.done()).await, Ok(Ok(()))) {
            tracing::error!("the VIPs could not be removed");
        }
        while let Ok(report) = told.vrrp.try_recv() {
            self.hear(&report);
        }
        self.notifier.finish(LAST_WORDS).await;
    }
}
