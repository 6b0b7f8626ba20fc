//! The agent's table of contents: everything that can happen, and everything it can do.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{
    abi::{MAX_BACKENDS, MAX_SERVICES},
    backend::{Backend, NextHop},
    config::Config as MapConfig,
    net::MacAddr,
    service::{Service, ServiceKey},
};

use super::status::Standing;
use crate::{
    config::{Check, Config},
    datapath::plan::MapOp,
    health::{Report, Target},
};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A check has come to its outcome.
    Probe(Report),
    /// The way to a watched address was found, has changed, or cannot be found (why, in words).
    NextHop {
        /// An address of the last [`Action::Watch`].
        address: IpAddr,
        /// The frame's next station.
        hop: Result<NextHop, String>,
    },
    /// Ethernet addresses of the interfaces that XDP is attached to.
    OwnMacs(Vec<MacAddr>),
    /// A command from the admin socket; one [`Action::Answer`] follows.
    Admin {
        /// Whom it is about.
        target: Target,
        /// What is wanted.
        command: Command,
    },
    /// A validated configuration to change to.
    Config(Box<Config>),
    /// A whole walk over the flows (established and half-open) has ended: the backends it met.
    FlowsSeen(BTreeSet<u16>),
    /// Writing the maps has failed half-way, and this is what they hold. Send it after a pause:
    /// the answer is another attempt.
    Resync(Adopted),
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// No new connections; those it has continue.
    Drain,
    /// As its health says.
    Ready,
    /// As if down: no new connections, and those it has end as `on_backend_down` says.
    Maint,
    /// This weight (0..=256) until a reload changes the configured one; `None` = the configured
    /// one.
    Weight(Option<u16>),
}

/// What the pinned maps hold.
#[derive(Clone, Debug, Default)]
pub struct Adopted {
    /// `config`, unless it is not known.
    pub config: Option<Box<MapConfig>>,
    /// Everything in `services`.
    pub services: Vec<(ServiceKey, Service)>,
    /// `backends` by id; unused records may be left out or not.
    pub backends: Vec<(u16, Backend)>,
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the maps, one after the other; on an error stop and report with [`Event::Resync`].
    Map(Vec<MapOp>),
    /// Begin to check a backend.
    StartCheck(Box<StartCheck>),
    /// Stop checking a backend; a report that is already under way does no harm.
    StopCheck {
        /// Whose check.
        target: Target,
    },
    /// Keep the ways to these addresses resolved, and to no others; report each with
    /// [`Event::NextHop`] at first and when it changes. Sorted.
    Watch(Vec<IpAddr>),
    /// A backend's flows are being reset: provoke a packet from idle clients.
    ResetFlows {
        /// The backend's id.
        backend: u16,
    },
    /// Make the VIP a local address (unless VRRP does); it may be one already.
    AddVip {
        /// The address.
        vip: IpAddr,
    },
    /// Remove the VIP from this machine; it may be gone already.
    RemoveVip {
        /// The address.
        vip: IpAddr,
    },
    /// Tell that a backend's standing has changed.
    Transition(Transition),
    /// Tell something else.
    Log {
        /// How bad it is.
        level: Level,
        /// A sentence in the form of error texts.
        text: String,
    },
    /// The answer to an [`Event::Admin`].
    Answer(Result<(), AdminError>),
    /// The configuration was not taken over; nothing has changed.
    ConfigRefused(Refused),
}

/// What a check task needs to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartCheck {
    /// Who is checked.
    pub target: Target,
    /// How.
    pub check: Check,
    /// The backend's address.
    pub address: IpAddr,
    /// The port to check, the check's own or the backend's.
    pub port: u16,
}

/// A backend's standing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub target: Target,
    /// What it was.
    pub old: Standing,
    /// What it is.
    pub new: Standing,
    /// Why, in words: a check's reason or `by command`.
    pub reason: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Service goes on, but somebody should look.
    Warn,
    /// Somebody is not served.
    Error,
}

/// Why a command was not obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No service of this name.
    #[error("there is no service `{service}`, only {}", list(.known))]
    UnknownService {
        /// The name given.
        service: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The service has no backend of this name.
    #[error("service `{service}` has no backend `{backend}`, only {}", list(.known))]
    UnknownBackend {
        /// The service, which exists.
        service: String,
        /// The name given.
        backend: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Out of range.
    #[error("weight `{weight}` is out of range: 0 to 256")]
    Weight {
        /// The value given.
        weight: u16,
    },
}

/// Why a configuration cannot follow the present one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Removed backends keep their ids until their flows have ended.
    #[error(
        "no id is left for backend `{service}/{backend}`: all {} are taken, {retired} of them by \
         removed backends whose connections have not ended; reload again when they have",
        MAX_BACKENDS - 1
    )]
    BackendIds {
        /// The service.
        service: String,
        /// The backend that is one too many.
        backend: String,
        /// Ids held by backends that are not configured any more.
        retired: usize,
    },
    /// The same for services.
    #[error(
        "no id is left for service `{service}`: all {} are taken, also by removed services whose \
         connections have not ended; reload again when they have",
        MAX_SERVICES - 1
    )]
    ServiceIds {
        /// The service that is one too many.
        service: String,
    },
}

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
