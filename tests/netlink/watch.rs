//! The ways to backends through changes.

use std::net::IpAddr;

use lb_agent::{
    inject::PacketSocket,
    netlink::{self, Report},
};
use lb_common::{backend::NextHop, net::MacAddr};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Duration, timeout},
};

use crate::{
    announce::announcements,
    pair::{PATIENCE, Pair, eventually, ifindex, ip, own_mac},
};

struct Watcher {
    backends: watch::Sender<Vec<IpAddr>>,
    reports: mpsc::Receiver<Report>,
    task: JoinHandle<Result<(), netlink::Error>>,
}

impl Watcher {
    fn of(addresses: &[&str]) -> Self {
        let (backends, receiver) = watch::channel(parse(addresses));
        let (sender, reports) = mpsc::channel(4);
        let task = tokio::spawn(netlink::watch(receiver, sender));
        Self { backends, reports, task }
    }

    async fn next(&mut self) -> (String, Result<NextHop, String>) {
        let report = timeout(PATIENCE, self.reports.recv()).await.expect("a report in time");
        let report = report.expect("the watcher lives");
        (report.address.to_string(), report.hop)
    }

    /// Waits for the way to an address. A busy neighbour may have been told silent before.
    async fn found(&mut self, address: &str, way: &Result<NextHop, String>) {
        loop {
            let (about, told) = self.next().await;
            assert_eq!(about, address);
            if told.is_ok() {
                return assert_eq!(told, *way);
            }
        }
    }

    fn set(&self, addresses: &[&str]) {
        self.backends.send(parse(addresses)).expect("the watcher lives");
    }
}

fn parse(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|text| text.parse().expect("an address")).collect()
}

fn hop(peer: MacAddr) -> Result<NextHop, String> {
    Ok(NextHop { ifindex: ifindex("eth0"), destination: peer, source: own_mac() })
}

#[test]
fn a_changed_address_of_a_neighbour_is_reported() {
    let Some(pair) = Pair::new() else { return };
    let before = pair.peer_mac();
    let after = MacAddr([2, 0, 0, 0, 0, 9]);
    pair.node_async(|| async {
        let mut watcher = Watcher::of(&[]);
        watcher.set(&["10.1.0.2"]);
        watcher.found("10.1.0.2", &hop(before)).await;
        watcher.set(&["10.1.0.2", "fd00:1::2"]);
        watcher.found("fd00:1::2", &hop(before)).await;

        pair.peer(|| ip(&format!("link set eth0 address {after}")));
        for address in ["10.1.0.2", "fd00:1::2"] {
            let report = loop {
                pair.peer(|| {
                    let socket = PacketSocket::open().expect("a packet socket");
                    for frame in announcements(address.parse().expect("an address"), after) {
                        socket.send(ifindex("eth0"), &frame).expect("sent");
                    }
                });
                // A change of address may lose the first announcement, never every one.
                if let Ok(report) = timeout(Duration::from_millis(500), watcher.next()).await {
                    break report;
                }
            };
            assert_eq!(report, (address.to_owned(), hop(after)));
        }
    });
}

#[test]
fn routes_come_change_and_go() {
    let Some(pair) = Pair::new() else { return };
    let gateway = pair.peer_mac();
    let other = MacAddr([2, 0, 0, 0, 0, 9]);
    pair.node_async(|| async {
        let backend = "198.51.100.7".to_owned();
        let none = (backend.clone(), Err("no route to `198.51.100.7`".to_owned()));
        let mut watcher = Watcher::of(&[&backend]);
        assert_eq!(watcher.next().await, none);
        ip("route add 198.51.100.0/24 via 10.1.0.2");
        assert_eq!(watcher.next().await, (backend.clone(), hop(gateway)));
        ip(&format!("neighbour add 10.1.0.9 lladdr {other} nud permanent dev eth0"));
        ip("route replace 198.51.100.0/24 via 10.1.0.9");
        assert_eq!(watcher.next().await, (backend.clone(), hop(other)));
        ip("route del 198.51.100.0/24");
        assert_eq!(watcher.next().await, none);
    });
}

#[test]
fn a_changed_address_of_our_own_is_reported() {
    let Some(pair) = Pair::new() else { return };
    let peer = pair.peer_mac();
    pair.node_async(|| async {
        let mut watcher = Watcher::of(&["10.1.0.2"]);
        assert_eq!(watcher.next().await, ("10.1.0.2".to_owned(), hop(peer)));
        let before = own_mac();
        ip("link set eth0 address 02:00:00:00:00:07");
        assert_ne!(own_mac(), before);
        assert_eq!(watcher.next().await, ("10.1.0.2".to_owned(), hop(peer)));
    });
}

#[test]
fn a_neighbour_that_falls_silent_is_not_reported() {
    let Some(pair) = Pair::new() else { return };
    let peer = pair.peer_mac();
    pair.node_async(|| async {
        let other = MacAddr([2, 0, 0, 0, 0, 9]);
        ip(&format!("neighbour add 10.1.0.9 lladdr {other} nud permanent dev eth0"));
        let mut watcher = Watcher::of(&["10.1.0.2"]);
        assert_eq!(watcher.next().await, ("10.1.0.2".to_owned(), hop(peer)));

        pair.peer(|| ip("link set eth0 arp off"));
        ip("neighbour replace 10.1.0.2 nud failed dev eth0");
        // Yields to the watcher, which must ask the silent neighbour again.
        let asked = async {
            while !ip("neighbour show 10.1.0.2").contains("INCOMPLETE") {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, asked).await.expect("the neighbour is asked again");
        // The next report is about another backend: none was made about the silent one.
        watcher.set(&["10.1.0.2", "10.1.0.9"]);
        assert_eq!(watcher.next().await, ("10.1.0.9".to_owned(), hop(other)));
        assert!(watcher.reports.is_empty());

        // One that was never heard of is told, when it has had its time.
        watcher.set(&["10.1.0.2", "10.1.0.9", "10.1.0.66"]);
        let (address, silent) = watcher.next().await;
        assert_eq!(address, "10.1.0.66");
        assert!(silent.expect_err("silence").contains("does not answer on `eth0`"));
    });
}

#[test]
fn the_watcher_ends_with_its_channels() {
    let Some(pair) = Pair::new() else { return };
    pair.node_async(|| async {
        let Watcher { backends, reports, task } = Watcher::of(&[]);
        drop(backends);
        let ended = timeout(PATIENCE, task).await.expect("ended").expect("no panic");
        ended.expect("no error");
        drop(reports);

        let Watcher { backends, reports, task } = Watcher::of(&[]);
        drop(reports);
        let ended = timeout(PATIENCE, task).await.expect("ended").expect("no panic");
        ended.expect("no error");
        drop(backends);
    });
    eventually("the node is still there", || pair.node(|| ifindex("eth0").into()));
}
