//! What happens to a VRRP instance, and what it wants done.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{net::IpAddr, time::Duration};

use crate::vrrp::{Heard, Version, time::Time};

/// What an instance is configured to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The protocol's version.
    pub version: Version,
    /// Base priority, 1..=255; 255 = owner of the addresses.
    pub priority: u8,
    /// Advertisement interval; whole seconds in version 2, 10 ms..=40.95 s in steps of 10 ms in
    /// version 3.
    pub advert_interval: Duration,
    /// Whether a higher priority takes over from a lower one (RFC 9568 §6.1 `Preempt_Mode`).
    pub preempt: bool,
    /// How long a lower one must have been heard before it is taken over from; zero = at once.
    pub preempt_delay: Duration,
}

/// The states of RFC 9568 §6.4, and keepalived's `FAULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Initialize: not started, released by command, or shut down.
    Init,
    /// Another router is active, or nobody is yet.
    Backup,
    /// This node answers for the addresses.
    Active,
    /// It could not: link down, no primary address, or a tracked failure of weight 0.
    Fault,
}

impl State {
    /// The word of `status --json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Backup => "backup",
            Self::Active => "active",
            Self::Fault => "fault",
        }
    }
}

/// Something happened to one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// RFC 9568 §6.4.1 `Startup`. `lease` is what an earlier run of the agent has left in the
    /// data plane: while it lasts, no peer can have taken over, so the instance goes on as active.
    Start {
        /// When the earlier run's lease ends; `None` = there is none.
        lease: Option<Time>,
    },
    /// An advertisement for this instance.
    Heard(Heard),
    /// The interface is up and running, or is not.
    Link(bool),
    /// The primary address that advertisements are sent from; `None` = there is none.
    Source(Option<IpAddr>),
    /// What is tracked, summed up.
    Track {
        /// Sum of the weights in effect.
        weight: i32,
        /// Something of weight 0 fails (in words); `None` = nothing does.
        failed: Option<String>,
    },
    /// `lb-agent vrrp release`: hand over and stay out until [`Event::Resume`].
    Release,
    /// `lb-agent vrrp resume`.
    Resume,
    /// RFC 9568 §6.4.2 and §6.4.3 `Shutdown`: hand over for good.
    Shutdown,
    /// A new configuration; the role is kept.
    Reconfigure(Params),
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advertisement.
    Send(Send),
    /// This node may claim the addresses until then, and no longer; `None` = not any more. Comes
    /// before anything that lets a peer take over, and after what keeps it from doing so.
    Lease(Option<Time>),
    /// Make the addresses local and announce them.
    Hold,
    /// Make them local no more.
    Drop,
    /// Announce them anew: somebody else has claimed them.
    Announce,
    /// The state has changed.
    Changed(Transition),
}

/// An advertisement to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// 0 = giving up.
    pub priority: u8,
    /// The interval to advertise.
    pub interval: Duration,
    /// See [`Heard::hand_over`].
    pub hand_over: bool,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub old: State,
    /// After.
    pub new: State,
    /// Why.
    pub cause: Cause,
}

/// Why a state has changed; prints as a phrase for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The agent has started.
    #[error("started")]
    Started,
    /// It has started before the lease of its earlier run ended.
    #[error("resumed before the lease had ended")]
    Resumed,
    /// Priority 255.
    #[error("owner of the addresses")]
    Owner,
    /// No advertisement within Active_Down_Interval.
    #[error("no advertisement heard for {} ms", .0.as_millis())]
    ActiveDown(Duration),
    /// The active router has given up.
    #[error("`{0}` has given up")]
    GivenUp(IpAddr),
    /// A router of higher priority, or of the same and a higher address, is active.
    #[error("`{router}` is active with priority {priority}")]
    Outranked {
        /// The other router.
        router: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// A tracked failure has put us below a router that is known.
    #[error("priority {own} is below `{router}`'s {priority}")]
    Demoted {
        /// Our effective priority.
        own: u8,
        /// The other router.
        router: IpAddr,
        /// Its priority when it was last heard.
        priority: u8,
    },
    /// Our own advertisements came too late: a peer may have taken over.
    #[error("stalled: the lease ended {} ms ago", .0.as_millis())]
    Late(Duration),
    /// The interface is down.
    #[error("the interface is down")]
    LinkDown,
    /// The interface has no address to send from.
    #[error("the interface has no primary address")]
    NoSource,
    /// Something of weight 0 fails.
    #[error("{0}")]
    Tracked(String),
    /// What was wrong is right again.
    #[error("recovered")]
    Recovered,
    /// Another member of the sync group has changed.
    #[error("with its sync group")]
    SyncGroup,
    /// `lb-agent vrrp release`.
    #[error("released by command")]
    Released,
    /// `lb-agent vrrp resume`.
    #[error("resumed by command")]
    ResumedByCommand,
    /// The agent ends.
    #[error("the agent ends")]
    Shutdown,
}
