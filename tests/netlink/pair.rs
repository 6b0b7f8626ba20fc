//! Two hosts on one wire: network namespaces without names, which end with the test.

use std::{
    fs::File,
    net::IpAddr,
    os::fd::AsRawFd,
    process::Command,
    time::{Duration, Instant},
};

use lb_common::net::MacAddr;
use nix::sched::{CloneFlags, setns, unshare};

/// Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `node` has 10.1.0.1/24 and fd00:1::1/64, `peer` 10.1.0.2, 10.1.0.3 and fd00:1::2, fd00:1::3;
/// each on its `eth0`.
pub(crate) struct Pair {
    node: File,
    peer: File,
}

impl Pair {
    /// `None`, and a word why, without the privilege.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            println!("skipped: network namespaces need root");
            return None;
        }
        let pair = Self { node: namespace(), peer: namespace() };
        let wire = format!(
            "link add eth0 type veth peer name eth0 netns /proc/{}/fd/{}",
            std::process::id(),
            pair.peer.as_raw_fd()
        );
        pair.node(|| {
            ip(&wire);
            up(&["10.1.0.1/24", "fd00:1::1/64"]);
        });
        pair.peer(|| up(&["10.1.0.2/24", "10.1.0.3/24", "fd00:1::2/64", "fd00:1::3/64"]));
        Some(pair)
    }

    pub(crate) fn node<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.node, work)
    }

    pub(crate) fn peer<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.peer, work)
    }

    /// Runs a future in the node's namespace.
    pub(crate) fn node_async<F: Future>(&self, work: impl FnOnce() -> F + Send) {
        self.node(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(work());
        });
    }

    pub(crate) fn peer_mac(&self) -> MacAddr {
        self.peer(own_mac)
    }
}

fn namespace() -> File {
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        // IPv6 neighbours are asked from the link-local address, which otherwise takes two seconds
        // to become usable.
        std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").expect("sysctl");
        File::open("/proc/thread-self/ns/net").expect("the namespace's file")
    });
    made.join().expect("the namespace's thread")
}

/// A namespace belongs to a thread: a thread of its own enters it and ends.
fn within<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("to enter the namespace");
            work()
        });
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn up(addresses: &[&str]) {
    ip("link set lo up");
    ip("link set eth0 up");
    for address in addresses {
        ip(&format!("address add {address} dev eth0 nodad"));
    }
}

/// Runs `ip` in the namespace of the calling thread.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`ip {arguments}`: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// What follows a word in the output of `ip`.
pub(crate) fn after<'a>(word: &str, output: &'a str) -> Option<&'a str> {
    output.split_whitespace().skip_while(|one| *one != word).nth(1)
}

/// The Ethernet address of `eth0` in the namespace of the calling thread.
pub(crate) fn own_mac() -> MacAddr {
    parse_mac(after("link/ether", &ip("link show eth0")).expect("an Ethernet address"))
}

/// The calling thread's namespace's idea of a neighbour.
pub(crate) fn neighbour(address: IpAddr) -> Option<MacAddr> {
    after("lladdr", &ip(&format!("neighbour show {address} dev eth0"))).map(parse_mac)
}

pub(crate) fn parse_mac(text: &str) -> MacAddr {
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect();
    MacAddr(bytes.try_into().expect("six bytes"))
}

pub(crate) fn ifindex(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).expect("an interface")
}

/// Looks again and again until there is something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
