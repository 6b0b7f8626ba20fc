//! Orders, and what they do to the kernel's addresses.

use std::net::IpAddr;

use super::{RETRY, Worker, chain, now};
use crate::{
    netlink::{self, NewVip},
    vips::{
        Order, Report, Term, Vip,
        holding::{Holding, Local},
    },
};

impl<F: Fn(Report)> Worker<F> {
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::Hold { vip, term } => self.hold(vip, term).await,
            Order::Drop { address } => self.release(address).await,
            Order::Announce { address } => {
                self.begin(address);
                self.announce_due(address, now());
            }
            // Whoever asked may have gone away.
            Order::Tell(tell) => drop(tell.send(())),
        }
    }

    async fn hold(&mut self, vip: Vip, term: Option<Term>) {
        let (address, now) = (vip.address, now());
        let before = self.held.insert(address, Holding::new(vip, term, now));
        self.put(address).await;
        // Where it was before, unless that is where it is now.
        let Some(Holding { local: Local::Ours(old), .. }) = before else { return };
        let local = self.held.get(&address).map(|holding| &holding.local);
        if !matches!(local, Some(Local::Ours(new)) if *new == old) {
            self.remove(&old).await;
        }
    }

    /// Makes a VIP local and announces it. The first round does not wait for the kernel, whose
    /// answer may take long when somebody else is changing links; the second follows it.
    pub(super) async fn put(&mut self, address: IpAddr) {
        let began = now();
        let Some(holding) = self.held.get_mut(&address) else { return };
        if !holding.is_granted(began) {
            return;
        }
        let name = holding.vip.interface.clone();
        let Some(interface) = self.seen.interfaces.iter().find(|one| one.name == name) else {
            return self.put_failed(address, format!("there is no interface `{name}`"));
        };
        if !interface.enabled {
            return self.put_failed(address, format!("interface `{name}` is down"));
        }
        let wanted = holding.wanted(interface);
        self.begin(address);
        self.announce_round(address, began);
        match self.add(&wanted).await {
            Ok((local, added)) => self.put_done(address, local, added),
            Err(error) => return self.put_failed(address, chain(&error)),
        }
        self.announce_due(address, now());
        if address.is_ipv4() && wanted.vip.prefix < 32 {
            let spared = self.netlink.promote_secondaries(wanted.vip.ifindex).await;
            if let Err(error) = spared {
                let error = chain(&error);
                tracing::warn!(vip = %address, error, "other addresses may go with the VIP");
            }
        }
        self.tune();
    }

    /// Where the address is then, and whether that is our doing.
    async fn add(&mut self, wanted: &NewVip) -> Result<(Local, bool), netlink::Error> {
        let address = wanted.vip.address;
        let theirs = |look: &netlink::Look| {
            let mut all = look.interfaces.iter().flat_map(|one| &one.addresses);
            all.any(|(other, _)| *other == address)
        };
        if theirs(&self.seen) {
            // What was seen may have gone meanwhile.
            let look = self.glance().await?;
            if theirs(&look) {
                return Ok((Local::Theirs, false));
            }
        }
        let ours = self.seen.vips.iter().filter(|vip| vip.address == address).cloned();
        for other in ours.filter(|vip| *vip != wanted.vip).collect::<Vec<_>>() {
            self.remove(&other).await;
        }
        self.edits += 1;
        if self.seen.vips.contains(&wanted.vip) {
            self.netlink.refresh_vip(wanted).await?;
            return Ok((Local::Ours(wanted.vip.clone()), false));
        }
        if self.netlink.add_vip(wanted).await? {
            self.seen.vips.push(wanted.vip.clone());
            return Ok((Local::Ours(wanted.vip.clone()), true));
        }
        self.glance().await?;
        if !self.seen.vips.iter().any(|vip| vip.address == address) {
            return Ok((Local::Theirs, false));
        }
        self.netlink.refresh_vip(wanted).await?;
        Ok((Local::Ours(wanted.vip.clone()), false))
    }

    /// What there is now. Changes of the links are left to the next look of the loop, which
    /// reports them.
    async fn glance(&mut self) -> Result<netlink::Look, netlink::Error> {
        let look = self.netlink.look().await?;
        self.seen.vips.clone_from(&look.vips);
        self.look_due = now();
        Ok(look)
    }

    fn put_done(&mut self, address: IpAddr, local: Local, added: bool) {
        let Some(holding) = self.held.get_mut(&address) else { return };
        let theirs = local == Local::Theirs;
        holding.local = local;
        holding.retry = None;
        holding.failure = None;
        let again = std::mem::replace(&mut holding.settled, true);
        let interface = holding.vip.interface.clone();
        match (again, theirs) {
            (_, true) => {
                tracing::info!(vip = %address, "the VIP is configured already, it is left alone");
                self.report(Report::AlreadyThere { address });
            }
            (false, _) => {
                tracing::info!(vip = %address, %interface, "VIP held");
                self.report(Report::Local { address });
            }
            (true, _) if added => {
                tracing::warn!(vip = %address, %interface, "the VIP was gone, it is added again");
                self.report(Report::Readded { address, interface });
            }
            _ => {}
        }
    }

    fn put_failed(&mut self, address: IpAddr, error: String) {
        let Some(holding) = self.held.get_mut(&address) else { return };
        holding.local = Local::Missing;
        holding.retry = Some(now() + RETRY);
        if holding.failure.as_ref() != Some(&error) {
            holding.failure = Some(error.clone());
            tracing::error!(vip = %address, error, "the VIP could not be added");
            self.report(Report::Failed { address, error });
        }
    }

    pub(super) async fn refresh(&mut self, address: IpAddr) {
        let Some(holding) = self.held.get(&address) else { return };
        let Some(interface) = self.interface(&holding.vip.interface) else { return };
        let wanted = holding.wanted(interface);
        if let Err(error) = self.netlink.refresh_vip(&wanted).await {
            let error = chain(&error);
            tracing::debug!(vip = %address, error, "the VIP's lifetime is not renewed");
            self.look_due = now();
        }
    }

    async fn release(&mut self, address: IpAddr) {
        let holding = self.held.remove(&address);
        self.rivals.forget(address);
        let placed = holding.map(|holding| holding.local);
        if placed == Some(Local::Theirs) {
            return self.tune();
        }
        let mut ours: Vec<_> =
            self.seen.vips.iter().filter(|vip| vip.address == address).cloned().collect();
        if let Some(Local::Ours(vip)) = placed
            && !ours.contains(&vip)
        {
            ours.push(vip);
        }
        for vip in ours {
            if self.remove(&vip).await {
                tracing::info!(vip = %address, "VIP given up");
            }
        }
        self.tune();
    }

    /// Whether it was there.
    async fn remove(&mut self, vip: &netlink::Vip) -> bool {
        self.edits += 1;
        self.seen.vips.retain(|seen| seen != vip);
        match self.netlink.remove_vip(vip).await {
            Ok(was_there) => was_there,
            Err(error) => {
                self.failed(vip.address, &error);
                false
            }
        }
    }
}
