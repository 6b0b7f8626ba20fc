//! What is allowed and probably not meant.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Something in a valid file that will surprise somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    line: usize,
    caution: Caution,
}

impl Warning {
    pub(super) const fn new(line: usize, caution: Caution) -> Self {
        Self { line, caution }
    }

    /// Line in the file, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// What will come of it.
    pub fn what(&self) -> String {
        self.caution.to_string()
    }

    /// What to write instead.
    pub fn hint(&self) -> String {
        self.caution.hint()
    }

    /// `FILE:LINE: warning: what`, and a second line `hint: the cure`.
    pub fn printed(&self, file: &Path) -> String {
        format!("{}:{}: warning: {}\nhint: {}", file.display(), self.line, self.what(), self.hint())
    }
}

/// See [`Warning`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Caution {
    #[error("`{path}` holds {size} bytes; VRRP has room for 8, the others are not used")]
    LongSecret { path: PathBuf, size: usize },
    #[error("a track with a weight changes nothing at priority 255, the owner's")]
    OwnerWithWeights,
    #[error("VIP `{vip}` of service `{service}` is in no `[[vrrp]]`: this node alone claims it")]
    VipWithoutRouter { vip: IpAddr, service: String },
    #[error("`{interface}` is not among `interfaces` of `[node]`, yet holds the VIP `{vip}`")]
    NoXdp { interface: String, vip: IpAddr },
    #[error("sync group `{group}` has one member")]
    LonelyGroup { group: String },
}

impl Caution {
    fn hint(&self) -> String {
        match self {
            Self::LongSecret { .. } => {
                "keepalived cuts its `auth_pass` likewise, so the neighbours agree; write the \
                 first 8 alone to say what is meant"
                    .into()
            }
            Self::OwnerWithWeights => {
                "write a `priority` of at most 254, or `weight = 0` to give the addresses up".into()
            }
            Self::VipWithoutRouter { vip, .. } => {
                format!("add `{vip}` to `addresses`, unless no other node serves it")
            }
            Self::NoXdp { interface, .. } => format!(
                "add `{interface}` to `interfaces`, unless it is a bond or bridge whose members \
                 are there: clients that come in elsewhere are refused by this host"
            ),
            Self::LonelyGroup { group } => {
                format!(
                    "write `sync_group = \"{group}\"` in another `[[vrrp]]` too, or take it out"
                )
            }
        }
    }
}
