//! The thread that holds VIPs, and what it has told.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use lb_agent::vips::{Order, Orders, Report, Term, Vip, spawn};
use nix::time::{ClockId, clock_gettime};

use crate::pair::{PATIENCE, Pair, ip};

pub(crate) struct Holder {
    pub(crate) orders: Orders,
    reports: Receiver<Report>,
}

impl Holder {
    /// Starts the thread on the node; `keep` as for [`spawn`].
    pub(crate) fn start(pair: &Pair, keep: &[&str]) -> Self {
        let keep = keep.iter().map(|text| address(text)).collect();
        let (sender, reports) = channel();
        let orders = pair.node(|| {
            let tell = move |report| drop(sender.send(report));
            spawn(keep, tell).expect("the thread starts")
        });
        Self { orders, reports }
    }

    /// Holds a VIP on `eth0`, and waits until that is done.
    pub(crate) fn hold(&self, vip: &str, term: Option<Term>) {
        self.order(Order::Hold { vip: on_eth0(vip), term });
    }

    pub(crate) fn release(&self, vip: &str) {
        self.order(Order::Drop { address: address(vip) });
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.give(order);
        self.orders.done().blocking_recv().expect("the thread lives");
    }

    /// Waits for a report that fits; those before it are lost.
    pub(crate) fn report(&self, what: &str, fits: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = self.reports.recv_timeout(PATIENCE);
            let report = report.unwrap_or_else(|_| panic!("never reported: {what}"));
            if fits(&report) {
                return report;
            }
        }
    }

    /// What has been reported and not been waited for.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.reports.try_iter().filter(|one| !matches!(one, Report::Surroundings(_))).collect()
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.split('/').next().expect("a part").parse().expect("an address")
}

/// A VIP like `10.1.0.50/24`.
pub(crate) fn on_eth0(vip: &str) -> Vip {
    let (_, prefix) = vip.split_once('/').expect("a prefix");
    Vip {
        address: address(vip),
        prefix: prefix.parse().expect("a length"),
        interface: "eth0".into(),
        label: None,
    }
}

/// A term that ends after `lasts`; its end can be moved on.
pub(crate) fn term(valid: Duration, lasts: Duration) -> (Term, Arc<AtomicU64>) {
    let deadline = Arc::new(AtomicU64::new(0));
    extend(&deadline, lasts);
    (Term { valid, deadline: Arc::clone(&deadline) }, deadline)
}

/// Moves the end of a term to `lasts` from now.
pub(crate) fn extend(deadline: &AtomicU64, lasts: Duration) {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock"));
    deadline.store(u64::try_from((now + lasts).as_nanos()).expect("fits"), Ordering::Release);
}

/// What `ip` shows of an address on the node; empty when it is not there.
pub(crate) fn shown(pair: &Pair, vip: &str) -> String {
    pair.node(|| ip(&format!("address show to {}", address(vip))))
}
