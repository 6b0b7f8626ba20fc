//! One backend while it is configured.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{net::IpAddr, time::Instant};

use lb_common::{
    backend::{Backend as Record, BackendState, NextHop},
    net::Be16,
};

use crate::{
    agent::status::{BackendStatus, CheckStatus, Standing},
    config,
    health::{
        Outcome,
        tracker::{State as Health, Tracker},
    },
};

/// The operator's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admin {
    Ready,
    Drain,
    Maint,
}

/// A configured backend: what is known and what was said of it.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) id: u16,
    /// What `backends` should hold; the address and port are the backend's own.
    pub(super) record: Record,
    pub(super) tracker: Tracker,
    pub(super) last: Option<(Outcome, Instant)>,
    pub(super) admin: Admin,
    configured_weight: u16,
    /// Set by command.
    pub(super) weight_override: Option<u16>,
    pub(super) in_rotation: bool,
}

impl Backend {
    /// Not known to the maps yet.
    pub(super) fn fresh(
        id: u16,
        service: u16,
        config: &config::Backend,
        check: &config::Check,
    ) -> Self {
        let record = Record {
            address: config.address.into(),
            port: Be16::new(config.port),
            service,
            state: BackendState::Forward as u8,
            ..Record::default()
        };
        Self::revived(id, record, config, check)
    }

    /// In the maps, from before a restart or a removal. What was being reset is known to be down;
    /// of the others nothing is known.
    pub(super) fn revived(
        id: u16,
        record: Record,
        config: &config::Backend,
        check: &config::Check,
    ) -> Self {
        let health =
            if record.state == BackendState::Reset as u8 { Health::Down } else { Health::Unknown };
        Self {
            name: config.name.clone(),
            id,
            record,
            tracker: primed(check, health),
            last: None,
            admin: Admin::Ready,
            configured_weight: config.weight,
            weight_override: None,
            in_rotation: false,
        }
    }

    /// The same backend under a new configuration. Its health is kept, also when the check has
    /// changed: forgetting would send traffic to what is down.
    pub(super) fn renewed(
        &self,
        old: &config::Check,
        config: &config::Backend,
        check: &config::Check,
    ) -> Self {
        let mut new = self.clone();
        if (old.rise, old.fall) != (check.rise, check.fall) {
            new.tracker = primed(check, self.tracker.state());
        }
        if config.name != self.name {
            new.name.clone_from(&config.name);
            new.admin = Admin::Ready;
            new.weight_override = None;
        }
        if config.weight != self.configured_weight {
            new.configured_weight = config.weight;
            new.weight_override = None;
        }
        new
    }

    pub(super) fn address(&self) -> IpAddr {
        self.record.address.into()
    }

    /// The weight in effect.
    pub(super) fn weight(&self) -> u16 {
        self.weight_override.unwrap_or(self.configured_weight)
    }

    pub(super) fn standing(&self) -> Standing {
        match (self.admin, self.tracker.state()) {
            (Admin::Maint, _) => Standing::Maint,
            (Admin::Drain, _) => Standing::Drain,
            (Admin::Ready, Health::Unknown) => Standing::Unknown,
            (Admin::Ready, Health::Up) => Standing::Up,
            (Admin::Ready, Health::Down) => Standing::Down,
        }
    }

    /// Whether its connections have nobody to talk to. A draining backend may die, too.
    pub(super) fn is_dead(&self) -> bool {
        self.admin == Admin::Maint || self.tracker.state() == Health::Down
    }

    /// Whether it may get new connections, if its health allows.
    pub(super) fn is_open(&self) -> bool {
        self.admin == Admin::Ready && self.weight() > 0
    }

    /// Returns whether the health has changed.
    pub(super) fn observe(&mut self, outcome: Outcome, now: Instant) -> bool {
        let transition = self.tracker.observe(outcome.passed);
        self.last = Some((outcome, now));
        transition.is_some()
    }

    pub(super) fn status(&self, now: Instant) -> BackendStatus {
        BackendStatus {
            id: self.id,
            name: self.name.clone(),
            address: self.address(),
            port: self.record.port.get(),
            standing: self.standing(),
            in_rotation: self.in_rotation,
            resolved: way(&self.record).ifindex != 0,
            weight: self.weight(),
            check: self.last.as_ref().map(|(outcome, at)| CheckStatus {
                passed: outcome.passed,
                reason: outcome.reason.clone(),
                latency: outcome.latency,
                age: now.saturating_duration_since(*at),
            }),
        }
    }
}

/// A tracker that believes this already.
fn primed(check: &config::Check, health: Health) -> Tracker {
    let mut tracker = Tracker::new(check.rise, check.fall);
    let passed = health == Health::Up;
    // Ends: `rise` passes or `fall` failures in a row change every state.
    while tracker.state() != health {
        // What it turns into is asked for, not told.
        let _told = tracker.observe(passed);
    }
    tracker
}

/// The next hop that the record names.
pub(super) fn way(record: &Record) -> NextHop {
    record.hops[usize::from(record.hop & 1)]
}

/// Names another next hop, in the element that is not read.
pub(super) fn steer(record: &mut Record, hop: NextHop) {
    if way(record) != hop {
        record.hop = (record.hop & 1) ^ 1;
        record.hops[usize::from(record.hop)] = hop;
    }
}
