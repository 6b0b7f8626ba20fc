//! The thread's loop: it compares what is ordered with what is there.

mod announce;
mod obey;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Error, Order, Report,
    ear::{Ears, Heard},
    holding::{Holding, Local},
    rivals::{Rivals, is_foreign},
};
use crate::{
    frame::Claim,
    inject::PacketSocket,
    netlink::{self, Change, Changes, Family, Interface, Look, Netlink},
    vrrp::{clock::now, time::Time},
};

/// From the first notification to the look: one change makes several.
const SETTLE: Duration = Duration::from_millis(1);
/// Shortest pause between the beginnings of two looks, unless a VIP has gone.
const SPACING: Duration = Duration::from_millis(5);
/// Longest pause between two looks, and the pause after one that has failed.
const PERIOD: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);
/// Claims of others that wait to be looked at.
const CLAIMS: usize = 64;

/// The thread's state.
pub(super) struct Worker<F> {
    netlink: Arc<Netlink>,
    changes: Changes,
    orders: mpsc::UnboundedReceiver<Order>,
    on_report: F,
    socket: PacketSocket,
    held: BTreeMap<IpAddr, Holding>,
    ears: Ears,
    heard: mpsc::Receiver<Heard>,
    rivals: Rivals,
    seen: Look,
    looks: JoinSet<(u64, Result<Look, netlink::Error>)>,
    look_due: Time,
    looked: Time,
    /// Counts our own additions and removals: a look that began before one is out of date.
    edits: u64,
}

enum Input {
    Order(Option<Order>),
    Change(Result<Change, netlink::Error>),
    Look(u64, Result<Look, netlink::Error>),
    Claim(Heard),
    Time,
}

impl<F: Fn(Report)> Worker<F> {
    /// Opens the sockets, in the network namespace of the calling thread.
    pub(super) fn open(
        orders: mpsc::UnboundedReceiver<Order>,
        on_report: F,
    ) -> Result<Self, Error> {
        let (claims, heard) = mpsc::channel(CLAIMS);
        Ok(Self {
            netlink: Arc::new(Netlink::open()?),
            changes: Changes::open()?,
            orders,
            on_report,
            socket: PacketSocket::open().map_err(Error::PacketSocket)?,
            held: BTreeMap::new(),
            ears: Ears::new(claims),
            heard,
            rivals: Rivals::default(),
            seen: Look::default(),
            looks: JoinSet::new(),
            look_due: Time::default(),
            looked: Time::default(),
            edits: 0,
        })
    }

    /// Runs until nobody can give orders any more.
    pub(super) async fn run(mut self, keep: &[IpAddr]) {
        self.sweep(keep).await;
        loop {
            match self.next().await {
                Input::Order(None) => return,
                Input::Order(Some(order)) => self.obey(order).await,
                Input::Change(Ok(change)) => self.hear(change),
                Input::Change(Err(error)) => self.reopen(&error).await,
                Input::Look(edits, look) => self.compare(edits, look).await,
                Input::Claim((ifindex, claim)) => self.challenge(ifindex, claim),
                Input::Time => self.serve().await,
            }
        }
    }

    async fn next(&mut self) -> Input {
        // Orders first, then the clock: a storm of notifications must not hold up either.
        if let Ok(order) = self.orders.try_recv() {
            return Input::Order(Some(order));
        }
        let holdings = self.held.values().map(Holding::next).min();
        let look = if self.looks.is_empty() { self.look_due } else { Time::from_nanos(u64::MAX) };
        let pause = holdings.map_or(look, |next| next.min(look)).since(now());
        if pause.is_zero() {
            return Input::Time;
        }
        tokio::select! {
            biased;
            order = self.orders.recv() => Input::Order(order),
            Some(Ok((edits, look))) = self.looks.join_next() => Input::Look(edits, look),
            change = self.changes.next() => Input::Change(change),
            Some(heard) = self.heard.recv() => Input::Claim(heard),
            () = tokio::time::sleep(pause.min(PERIOD)) => Input::Time,
        }
    }

    /// Removes what a crash has left.
    async fn sweep(&mut self, keep: &[IpAddr]) {
        self.look().await;
        for vip in self.seen.vips.clone() {
            if keep.contains(&vip.address) {
                continue;
            }
            match self.netlink.remove_vip(&vip).await {
                Ok(_was_there) => tracing::info!(vip = %vip.address, "left-over VIP removed"),
                Err(error) => self.failed(vip.address, &error),
            }
        }
        self.look().await;
        self.report(Report::Surroundings(self.seen.interfaces.clone()));
    }

    /// Looks at once, and waits for it; for the start, when there is nothing to compare with.
    async fn look(&mut self) {
        self.looked = now();
        match self.netlink.look().await {
            Ok(look) => {
                self.seen = look;
                self.look_due = self.looked + PERIOD;
            }
            Err(error) => self.blind(&error),
        }
    }

    fn blind(&mut self, error: &netlink::Error) {
        let error: &dyn std::error::Error = error;
        tracing::warn!(error, "links and addresses cannot be looked at");
        self.look_due = now() + RETRY;
    }

    fn hear(&mut self, change: Change) {
        let now = now();
        let urgent = matches!(change, Change::Gone(address) if self.held.contains_key(&address));
        let due = if urgent { now } else { (now + SETTLE).max(self.looked + SPACING) };
        self.look_due = self.look_due.min(due);
    }

    /// The notifications have ended; everything is looked at anew.
    async fn reopen(&mut self, error: &netlink::Error) {
        tracing::warn!(%error, "listening to the kernel begins anew");
        tokio::time::sleep(RETRY).await;
        match Changes::open() {
            Ok(changes) => self.changes = changes,
            Err(error) => self.blind(&error),
        }
        self.look_due = now();
    }

    /// What is due by the clock.
    async fn serve(&mut self) {
        let now = now();
        if self.looks.is_empty() && now >= self.look_due {
            self.looked = now;
            self.look_due = now + PERIOD;
            let (netlink, edits) = (Arc::clone(&self.netlink), self.edits);
            self.looks.spawn(async move { (edits, netlink.look().await) });
        }
        let addresses: Vec<_> = self.held.keys().copied().collect();
        for address in addresses {
            self.attend(address, now).await;
        }
    }

    async fn attend(&mut self, address: IpAddr, now: Time) {
        let Some(holding) = self.held.get_mut(&address) else { return };
        let granted = holding.is_granted(now);
        let retry = holding.retry.is_some_and(|at| now >= at);
        let refresh = holding.take_refresh(now);
        if retry {
            holding.retry = None;
        }
        match &holding.local {
            Local::Missing if granted && (retry || refresh) => self.put(address).await,
            Local::Ours(_) if granted && refresh => self.refresh(address).await,
            _ => {}
        }
        self.announce_due(address, now);
    }

    /// Compares what a look has found with what was known and what is ordered.
    async fn compare(&mut self, edits: u64, look: Result<Look, netlink::Error>) {
        let look = match look {
            Ok(look) if edits == self.edits => look,
            Ok(_out_of_date) => return self.look_due = now(),
            Err(error) => return self.blind(&error),
        };
        let before = std::mem::replace(&mut self.seen, look);
        if before.interfaces != self.seen.interfaces {
            self.report(Report::Surroundings(self.seen.interfaces.clone()));
        }
        let addresses: Vec<_> = self.held.keys().copied().collect();
        for address in addresses {
            self.settle(address, &before).await;
        }
        self.tune();
    }

    async fn settle(&mut self, address: IpAddr, before: &Look) {
        let now = now();
        let Some(holding) = self.held.get_mut(&address) else { return };
        let found = holding.find(&self.seen);
        let was = std::mem::replace(&mut holding.local, found);
        let place = |look: &Look| {
            let one = look.interfaces.iter().find(|one| one.name == holding.vip.interface);
            one.map(|one| (one.index, one.mac, one.enabled, one.up))
        };
        let (then, this) = (place(before), place(&self.seen));
        let missing = holding.local == Local::Missing;
        if missing && holding.is_granted(now) {
            let removed = was != Local::Missing;
            // With its link or its interface it goes and comes as often as they do.
            if then != this || (removed && holding.take_readdition(now)) {
                self.put(address).await;
            }
        } else if !missing && then != this && this.is_some_and(|(.., up)| up) {
            self.begin(address);
            self.announce_due(address, now);
        }
    }

    /// Somebody has claimed an address.
    fn challenge(&mut self, ifindex: u32, claim: Claim) {
        let now = now();
        let own = self.seen.interfaces.iter().map(|one| one.mac);
        let Some(holding) = self.held.get_mut(&claim.address) else { return };
        if !holding.is_granted(now) || !is_foreign(claim, own) {
            return;
        }
        let (address, mac) = (claim.address, claim.mac);
        let response = self.rivals.hear(claim, now);
        if response.contradict {
            self.begin(address);
            self.announce_due(address, now);
        }
        if let Some(claims) = response.report {
            let interface = self.seen.interfaces.iter().find(|one| one.index == ifindex);
            let interface = interface.map(|one| one.name.clone()).unwrap_or_default();
            tracing::warn!(vip = %address, %mac, %interface, claims, "the VIP has a second owner");
            self.report(Report::Foreign { address, mac, interface, claims });
        }
    }

    /// Listens where VIPs are held.
    fn tune(&mut self) {
        let mut wanted: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (address, holding) in &self.held {
            if holding.local != Local::Missing
                && let Some(interface) = self.interface(&holding.vip.interface)
            {
                wanted.entry((interface.index, Family::of(*address))).or_default().push(*address);
            }
        }
        let interfaces = &self.seen.interfaces;
        self.ears.tune(wanted, |index| interfaces.iter().any(|one| one.index == index));
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.seen.interfaces.iter().find(|one| one.name == name)
    }

    fn report(&self, report: Report) {
        (self.on_report)(report);
    }

    fn failed(&self, address: IpAddr, error: &netlink::Error) {
        let error = chain(error);
        tracing::error!(vip = %address, error, "the VIP could not be added or removed");
        self.report(Report::Failed { address, error });
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text = format!("{text}: {one}");
        cause = one.source();
    }
    text
}
