//! VIPs as addresses of this machine, and what the neighbours are told of them.
//!
//! One thread, `vips`, does all of it. It is told by [`Orders`], which never block, and tells by
//! [`Report`]s. What it was ordered to hold stays true: an address that somebody removes, or that
//! goes with its link or its interface, is added again.

mod ear;
mod holding;
mod limit;
mod rivals;
mod schedule;
mod worker;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use lb_common::net::MacAddr;
use tokio::sync::{mpsc, oneshot};

use self::worker::Worker;
use crate::{
    netlink::{self, Interface},
    vrrp::time::Time,
};

/// Above what else runs on this machine, below the thread that elects.
const NICENESS: i32 = -10;

/// A VIP, and how this machine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix in bits, 1..=32 or 1..=128. A shorter prefix than all bits becomes a
    /// route, unless the interface has an address in it.
    pub prefix: u8,
    /// Name of the interface. It need not exist: the VIP is added when it appears.
    pub interface: String,
    /// Label (IPv4 only), at most 15 bytes, beginning with the interface's name.
    pub label: Option<String>,
}

/// Until when a VIP may be held. Both ends look at it at any time.
#[derive(Clone, Debug)]
pub struct Term {
    /// How long the kernel keeps the address when nobody refreshes it; whole seconds, at least
    /// one, rounded up. It is refreshed every third of this, at least every 500 ms.
    pub valid: Duration,
    /// The end in nanoseconds of `CLOCK_MONOTONIC`, which the holder moves on before it comes.
    /// From then on the address is neither refreshed nor announced nor added again, until the end
    /// lies ahead once more. It must lie ahead when the order is given.
    pub deadline: Arc<AtomicU64>,
}

impl Term {
    fn end(&self) -> Time {
        Time::from_nanos(self.deadline.load(Ordering::Acquire))
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Order {
    /// Make it a local address and announce it: at once twice, after 0.1, 1.1, 2.2 and 5 s, then
    /// every 60 s. For one that is held already, the VIP and the term replace the former ones and
    /// the announcements begin anew.
    Hold {
        /// Which.
        vip: Vip,
        /// `None` = until it is dropped, and after the agent has ended.
        term: Option<Term>,
    },
    /// Announce it no more and remove it, unless it was there before (see
    /// [`Report::AlreadyThere`]). One that is not held is removed when it carries our tag.
    Drop {
        /// Which.
        address: IpAddr,
    },
    /// Announce it anew, beginning now, if it is held.
    Announce {
        /// Which.
        address: IpAddr,
    },
    /// Tell when all orders before this one are carried out.
    Tell(oneshot::Sender<()>),
}

/// What has happened. All but [`Self::Surroundings`] and [`Self::Local`] has been logged, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Every interface of this machine, without addresses that carry our tag: at the start, and
    /// when something of it has changed.
    Surroundings(Vec<Interface>),
    /// An order to hold has been carried out: it is a local address and has been announced.
    Local {
        /// The VIP.
        address: IpAddr,
    },
    /// An address that is to be held was there before, without our tag: it is announced, and left
    /// when it is dropped.
    AlreadyThere {
        /// The VIP.
        address: IpAddr,
    },
    /// Somebody had removed it; it was added again.
    Readded {
        /// The VIP.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// It could not be added or removed. An addition is tried again every second and at every
    /// change of the links; the same failure is reported once.
    Failed {
        /// The VIP.
        address: IpAddr,
        /// The error with its causes.
        error: String,
    },
    /// Somebody else claims it. It has been announced anew, at most once a second. A rival is
    /// reported at once, then at most every 10 s.
    Foreign {
        /// The VIP.
        address: IpAddr,
        /// Where neighbours shall find it instead.
        mac: MacAddr,
        /// The interface it was heard on.
        interface: String,
        /// Claims since the last report.
        claims: u64,
    },
}

/// Why the thread did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No thread.
    #[error("failed to start the thread `vips`")]
    Thread(#[source] io::Error),
    /// No runtime in it.
    #[error("failed to start the runtime of the thread `vips`")]
    Runtime(#[source] io::Error),
    /// No netlink socket.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// No packet socket.
    #[error("failed to open a packet socket")]
    PacketSocket(#[source] io::Error),
}

/// The way to the thread, which ends with the last of these and leaves the VIPs as they are.
#[derive(Clone, Debug)]
pub struct Orders(mpsc::UnboundedSender<Order>);

impl Orders {
    /// Gives an order. Never blocks, so that it can be called from a thread of real-time priority
    /// and outside of any runtime. Orders are carried out in the order given.
    pub fn give(&self, order: Order) {
        if self.0.send(order).is_err() {
            tracing::error!("the thread `vips` has ended");
        }
    }

    /// Resolves when everything ordered until now is done; can be awaited or, outside of a
    /// runtime, waited for with `blocking_recv`. An error: the thread has ended.
    pub fn done(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.give(Order::Tell(tell));
        told
    }
}

/// Starts the thread in the network namespace of the caller.
///
/// Addresses with our tag that are not in `keep` are what a crash has left, and are removed; those
/// in `keep` stay until an order says otherwise. `on_report` is called by the thread, and must not
/// block.
///
/// # Errors
/// When a socket cannot be opened. Needs `CAP_NET_ADMIN` and `CAP_NET_RAW`.
pub fn spawn(
    keep: Vec<IpAddr>,
    on_report: impl Fn(Report) + Send + 'static,
) -> Result<Orders, Error> {
    let (sender, orders) = mpsc::unbounded_channel();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(Error::Runtime(error)))),
        };
        runtime.block_on(async move {
            match Worker::open(orders, on_report) {
                Ok(worker) => {
                    drop(tell.send(Ok(())));
                    hurry();
                    worker.run(&keep).await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
    };
    thread::Builder::new().name("vips".to_owned()).spawn(work).map_err(Error::Thread)?;
    let started = told.recv().unwrap_or_else(|ended| Err(Error::Thread(io::Error::other(ended))));
    started.map(|()| Orders(sender))
}

/// An order is served soon on a busy machine, too. Real-time priority would let a storm of
/// notifications take the processor from everybody.
fn hurry() {
    // SAFETY: the call takes numbers only. On Linux, 0 means the calling thread.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0;
    if refused {
        let error = io::Error::last_os_error();
        tracing::debug!(%error, "the thread `vips` keeps its niceness");
    }
}
