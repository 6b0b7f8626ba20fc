//! What the agent knows, for whoever asks.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{fmt, net::IpAddr, time::Duration};

use crate::config::Protocol;

/// How a backend stands, the operator's word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not checked to a verdict yet. Told as `down`: it gets traffic only while nothing of its
    /// service is known up.
    Unknown,
    /// Seen up.
    Up,
    /// Seen down.
    Down,
    /// Keeps its connections and gets no new ones.
    Drain,
    /// Treated as down.
    Maint,
}

impl Standing {
    /// The word of `status --json`: `up`, `down`, `drain` or `maint`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unknown | Self::Down => "down",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// For the log, where `unknown` is its own word.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Unknown { "unknown" } else { self.word() })
    }
}

/// A copy of what the agent knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// In the configuration's order.
    pub services: Vec<ServiceStatus>,
    /// Ids of removed backends whose flows have not ended.
    pub retired: Vec<u16>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its id in the maps.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// The virtual address.
    pub vip: IpAddr,
    /// The port clients connect to.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// In the configuration's order.
    pub backends: Vec<BackendStatus>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Its id in the maps.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How it stands.
    pub standing: Standing,
    /// Whether it gets new connections.
    pub in_rotation: bool,
    /// Whether the way to it is known.
    pub resolved: bool,
    /// The weight in effect.
    pub weight: u16,
    /// The last check; `None` = none yet.
    pub check: Option<CheckStatus>,
}

/// The last check of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckStatus {
    /// Its result.
    pub passed: bool,
    /// Why, in words.
    pub reason: String,
    /// From its beginning to its outcome.
    pub latency: Duration,
    /// Since the outcome was reported.
    pub age: Duration,
}
