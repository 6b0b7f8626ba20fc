//! One instance's connection to the world: codec, lease, addresses.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::view::{Counts, View};
use crate::{
    config::vrrp::{VirtualAddress, Vrrp},
    datapath::{error::Error, leases::Leases},
    netlink,
    vips::{Order, Orders, Term, Vip},
    vrrp::{
        machine::{Cause, Instance, Machine, Params, State},
        packet::{Codec, Settings, Unicast},
        socket::{self, Family},
        time::Time,
    },
};

/// One instance.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) config: Vrrp,
    pub(super) codec: Codec,
    pub(super) counts: Counts,
    /// The interface, while it exists.
    pub(super) interface: Option<socket::Interface>,
    /// Whether it carries packets.
    pub(super) up: bool,
    /// Where advertisements are sent from.
    pub(super) source: Option<IpAddr>,
    /// Why the state was entered.
    pub(super) cause: Option<Cause>,
    /// The lease's end, for the thread `vips`.
    deadline: Arc<AtomicU64>,
}

impl Member {
    pub(super) fn new(config: Vrrp) -> Self {
        Self {
            codec: Codec::new(settings(&config)),
            counts: Counts::default(),
            interface: None,
            up: false,
            source: None,
            cause: None,
            deadline: Arc::new(AtomicU64::new(0)),
            config,
        }
    }

    /// Takes over a new configuration of the same virtual router.
    pub(super) fn reconfigure(&mut self, config: Vrrp) {
        self.codec.reconfigure(settings(&config));
        self.config = config;
    }

    pub(super) fn instance(&self) -> Instance {
        let config = &self.config;
        Instance {
            params: Params {
                version: config.version,
                priority: config.priority,
                advert_interval: config.advert_interval,
                preempt: config.preempt,
                preempt_delay: config.preempt_delay,
            },
            group: config.sync_group.clone(),
        }
    }

    /// Family of the advertisements.
    pub(super) fn family(&self) -> Family {
        match self.config.addresses.first().map(|a| a.address) {
            Some(IpAddr::V6(_)) => Family::V6,
            // A configuration has at least one address.
            Some(IpAddr::V4(_)) | None => Family::V4,
        }
    }

    /// What makes it the same virtual router under another configuration.
    pub(super) fn identity(&self) -> (&str, Family, u8, bool) {
        let config = &self.config;
        let unicast = config.unicast.is_some();
        (&config.interface, self.family(), config.virtual_router_id, unicast)
    }

    /// The interface and the address as they are now; `all` are the machine's interfaces and
    /// `vips` the addresses of all instances.
    pub(super) fn look_around(&mut self, all: &[netlink::Interface], vips: &[IpAddr]) {
        let found = all.iter().find(|i| i.name == self.config.interface);
        self.interface = found.map(|i| socket::Interface { name: i.name.clone(), index: i.index });
        self.up = found.is_some_and(|i| i.up);
        let configured = self.config.unicast.as_ref().and_then(|u| u.source);
        self.source = match (configured, found) {
            (Some(source), _) => {
                let mut own = all.iter().flat_map(|i| &i.addresses);
                own.any(|(address, _)| *address == source).then_some(source)
            }
            (None, Some(found)) => netlink::primary_address(found, self.family(), vips),
            (None, None) => None,
        };
    }

    /// Where advertisements are sent.
    pub(super) fn destinations(&self) -> Vec<IpAddr> {
        match &self.config.unicast {
            Some(unicast) => unicast.peers.clone(),
            None => vec![self.family().group()],
        }
    }

    /// All its addresses, advertised or not.
    pub(super) fn addresses(&self) -> impl Iterator<Item = VirtualAddress> + '_ {
        self.config.held()
    }

    /// Tells the data plane and the thread `vips` until when the addresses may be claimed.
    pub(super) fn lease(&self, end: Option<Time>, leases: &mut Leases) -> Result<(), Error> {
        let end = end.unwrap_or_default();
        self.deadline.store(end.as_nanos(), Ordering::Release);
        let mut result = Ok(());
        for address in self.addresses() {
            // One that fails does not keep the others from being told.
            let set = leases.set(address.address, end, self.codec.sequence());
            result = result.and(set);
        }
        result
    }

    /// The lease that an earlier run has left, which is that of the address with the least. While it
    /// lives, AH's numbers go on from there; afterwards they begin anew, with listening.
    pub(super) fn inherit(&mut self, leases: &Leases, now: Time) -> Result<Option<Time>, Error> {
        let mut least: Option<(Time, u32)> = None;
        for address in &self.config.addresses {
            let Some(found) = leases.get(address.address)? else { return Ok(None) };
            least = Some(least.map_or(found, |least| least.min(found)));
        }
        if let Some((_, sequence)) = least.filter(|(end, _)| *end > now) {
            // The earlier run may have ended between an advertisement, one packet for each
            // destination, and the note of it.
            let unnoted = self.destinations().len() as u32;
            self.codec.advance_sequence(sequence.saturating_add(unnoted));
        }
        Ok(least.map(|(end, _)| end))
    }

    /// Makes one address local, for as long as the lease lives. Should the agent die, the kernel
    /// takes it away afterwards, in whole seconds: whoever restarts in time finds it there, and
    /// claims in between are the XDP program's to stop.
    pub(super) fn hold(&self, address: VirtualAddress, orders: &Orders) {
        let vip = Vip {
            address: address.address,
            prefix: address.prefix,
            interface: self.config.interface.clone(),
            label: self.config.label.clone(),
        };
        let term = Term {
            valid: self.config.advert_interval.saturating_mul(3),
            deadline: Arc::clone(&self.deadline),
        };
        orders.give(Order::Hold { vip, term: Some(term) });
    }

    /// For status.
    pub(super) fn view(&self, machine: &Machine, now: Time) -> View {
        let config = &self.config;
        let reason = match (machine.fault(), &self.cause) {
            (Some(fault), _) if machine.state() == State::Fault => fault.to_string(),
            (_, cause) => cause.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        View {
            name: config.name.clone(),
            interface: config.interface.clone(),
            virtual_router_id: config.virtual_router_id,
            version: config.version,
            sync_group: config.sync_group.clone(),
            state: machine.state(),
            age: now.since(machine.since()),
            reason,
            priority: config.priority,
            effective_priority: machine.effective_priority(),
            addresses: config.addresses.clone(),
            active_router: machine.active_router().map(|peer| (peer.source, peer.priority)),
            counts: self.counts.clone(),
        }
    }
}

fn settings(config: &Vrrp) -> Settings {
    Settings {
        version: config.version,
        virtual_router_id: config.virtual_router_id,
        addresses: config.addresses.iter().map(|a| a.address).collect(),
        authentication: config.authentication.clone(),
        unicast: config.unicast.as_ref().map(|unicast| Unicast {
            peers: unicast.peers.clone(),
            check_source: unicast.check_source,
        }),
        advert_interval: config.advert_interval,
    }
}
