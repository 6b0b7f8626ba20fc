//! The VRRP thread: sockets, timers and leases of all instances, and nothing that could delay an
//! advertisement. It is told by a [`Handle`] and tells by [`Report`]s; addresses are the thread
//! `vips`' business.

mod inlet;
mod limiter;
mod member;
mod ports;
mod reload;
mod runner;
mod view;

use std::{io, thread};

use tokio::sync::{mpsc::UnboundedSender, oneshot};

pub use self::view::{Counts, View};
use self::{
    inlet::{Inlet, Outlet},
    runner::Runner,
};
use super::{machine::Transition, track::Sum};
use crate::{config::vrrp::Vrrp, datapath::leases::Leases, netlink::Interface, vips::Orders};

/// What the thread is told.
#[derive(Debug)]
pub enum Input {
    /// Every interface of this machine, without the VIPs. The first makes the instances start.
    Surroundings(Vec<Interface>),
    /// What is tracked has changed.
    Track {
        /// Name of the instance.
        name: String,
        /// The new sum.
        tracked: Sum,
    },
    /// The operator wants something.
    Change {
        /// Name of the instance.
        name: String,
        /// What.
        change: Change,
        /// What has become of it.
        reply: oneshot::Sender<Answer>,
    },
    /// A new configuration, with what is tracked for each instance.
    Reconfigure(Vec<(Vrrp, Sum)>),
    /// Show all instances.
    View(oneshot::Sender<Vec<View>>),
    /// Hand over and end.
    Shutdown,
}

/// What the operator wants of an instance and its sync group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Hand over, and stay out of the election.
    Release,
    /// Take part in the election again.
    Resume,
    /// Announce the addresses again.
    Announce,
}

/// What has become of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, or was so already.
    Done,
    /// There is no instance of this name.
    Unknown,
    /// Only an active instance has addresses to announce.
    NotActive,
}

/// What the thread tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// An instance has changed its state.
    Changed {
        /// Its name.
        instance: String,
        /// Its sync group.
        group: Option<String>,
        /// The change.
        transition: Transition,
        /// Its effective priority.
        priority: u8,
    },
    /// A packet was refused or doubted: told at once, then once a minute for each instance, sender
    /// and reason.
    Objected {
        /// Name of the instance.
        instance: String,
        /// What and why, in words.
        text: String,
        /// How often since it was last told.
        times: u64,
    },
    /// Something does not work: told like the former.
    Trouble {
        /// What, with its causes.
        text: String,
        /// How often since it was last told.
        times: u64,
    },
}

/// The way into the thread; never blocks.
#[derive(Clone, Debug)]
pub struct Handle(Inlet<Input>);

impl Handle {
    /// Whether the thread is there to take it.
    pub fn send(&self, input: Input) -> bool {
        self.0.send(input)
    }
}

/// A thread to be.
#[derive(Debug)]
pub struct Prepared {
    outlet: Outlet<Input>,
}

/// What the thread works with.
#[derive(Debug)]
pub struct Tools {
    /// The data plane's map.
    pub leases: Leases,
    /// To the thread `vips`.
    pub orders: Orders,
    /// To the agent's loop.
    pub reports: UnboundedSender<Report>,
}

/// The way into a thread that is not running yet: what is sent waits for it.
///
/// # Errors
/// When there is no file descriptor left.
pub fn prepare() -> io::Result<(Handle, Prepared)> {
    let (inlet, outlet) = inlet::open()?;
    Ok((Handle(inlet), Prepared { outlet }))
}

impl Prepared {
    /// Starts the thread in the network namespace of the caller. It ends by [`Input::Shutdown`], or
    /// when every [`Handle`] is gone, without handing over.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        self,
        instances: Vec<(Vrrp, Sum)>,
        tools: Tools,
    ) -> io::Result<thread::JoinHandle<()>> {
        let runner = Runner::new(instances, tools, self.outlet);
        thread::Builder::new().name("vrrp".to_owned()).spawn(move || runner.run())
    }
}
