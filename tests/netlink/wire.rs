//! What neighbours see of a VIP that is held, and what is heard of them.

use std::{
    io::ErrorKind,
    net::IpAddr,
    os::fd::AsRawFd,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use lb_agent::{
    frame::{Claim, decode_claim},
    inject::PacketSocket,
    vips::{Order, Report},
};
use lb_common::net::MacAddr;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};

use crate::{
    announce::announcements,
    holder::{Holder, address, extend, on_eth0, term},
    pair::{PATIENCE, Pair, ifindex, ip, own_mac},
};

const V4: &str = "10.1.0.50/32";
const V6: &str = "fd00:1::50/128";
const OTHER_V4: &str = "10.1.0.51/32";
const OTHER_V6: &str = "fd00:1::51/128";
const LONG: Duration = Duration::from_secs(3600);

/// Frames that reach the peer and claim something, with the moment they were read.
struct Capture(Receiver<(Instant, Vec<u8>)>);

impl Capture {
    fn start(pair: &Pair) -> Self {
        let (sender, frames) = channel();
        let socket = pair.peer(|| {
            let all = SockProtocol::EthAll;
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, all)
                .expect("a packet socket")
        });
        let patience = nix::sys::time::TimeVal::new(0, 50_000);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience).expect("a timeout");
        std::thread::spawn(move || {
            let mut frame = [0; 2048];
            loop {
                match recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                    Ok(length) => {
                        if decode_claim(&frame[..length]).is_some()
                            && sender.send((Instant::now(), frame[..length].to_vec())).is_err()
                        {
                            return;
                        }
                    }
                    Err(nix::errno::Errno::EINTR) => {}
                    Err(error) => assert_eq!(
                        std::io::Error::from(error).kind(),
                        ErrorKind::WouldBlock,
                        "the capture failed"
                    ),
                }
            }
        });
        Self(frames)
    }

    fn next(&self) -> (Instant, Vec<u8>) {
        self.0.recv_timeout(PATIENCE).expect("a frame in time")
    }

    /// The next claim of this address, by the node.
    fn claim(&self, vip: IpAddr) -> (Instant, Vec<u8>) {
        loop {
            let (at, frame) = self.next();
            if decode_claim(&frame).is_some_and(|claim| claim.address == vip) {
                return (at, frame);
            }
        }
    }

    /// Forgets what has been read and not looked at.
    fn forget(&self) {
        self.0.try_iter().for_each(drop);
    }

    /// While so many claims of `other` come, whose schedule began after the end of `vip`'s, no
    /// claim of `vip` does.
    fn nothing_of(&self, vip: IpAddr, other: IpAddr, claims: usize) {
        let mut seen = 0;
        while seen < claims {
            let claim = decode_claim(&self.next().1);
            seen += usize::from(claim.is_some_and(|claim| claim.address == other));
            // What comes before was sent before.
            let late = seen > 0 && claim.is_some_and(|claim| claim.address == vip);
            assert!(!late, "{vip} is announced after its end");
        }
    }
}

/// A host of the peer's namespace claims the VIP, once in every form.
fn claim_as(pair: &Pair, vip: IpAddr, mac: MacAddr) {
    pair.peer(|| {
        let socket = PacketSocket::open().expect("a packet socket");
        for frame in announcements(vip, mac) {
            socket.send(ifindex("eth0"), &frame).expect("sent");
        }
    });
}

#[test]
fn announced_in_every_form_by_the_schedule() {
    let Some(pair) = Pair::new() else { return };
    let mac = pair.node(own_mac);
    for vip in [V4, V6] {
        let capture = Capture::start(&pair);
        let holder = Holder::start(&pair, &[]);
        holder.hold(vip, None);
        let vip = address(vip);
        let round = announcements(vip, mac);
        let mut times = Vec::new();
        for n in 0..6 {
            for frame in &round {
                let (at, heard) = capture.claim(vip);
                assert_eq!(heard, *frame, "round {n}");
                times.push(at);
            }
        }
        let first = times[0];
        let rounds: Vec<_> = times.iter().step_by(round.len()).map(|at| *at - first).collect();
        // Not before their time; a frame is read late at worst.
        for (round, millis) in rounds.iter().zip([0, 0, 100, 1100, 2200, 5000]) {
            assert!(
                *round + Duration::from_millis(60) >= Duration::from_millis(millis),
                "{rounds:?}"
            );
        }
        // Once more on demand; and not any more when it is dropped.
        holder.order(Order::Announce { address: vip });
        assert_eq!(capture.claim(vip).1, round[0]);
        holder.release(&vip.to_string());
        let other = if vip.is_ipv4() { OTHER_V4 } else { OTHER_V6 };
        holder.hold(other, None);
        capture.nothing_of(vip, address(other), 4 * round.len());
    }
}

#[test]
fn announced_when_the_link_comes_back() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let capture = Capture::start(&pair);
    holder.hold(V4, None);
    // All rounds up to 5 s: the next one by the schedule would be the 65th second's.
    for _ in 0..(2 * 6) {
        capture.claim(address(V4));
    }
    pair.peer(|| ip("link set eth0 down"));
    holder.report("the link", |one| match one {
        Report::Surroundings(all) => all.iter().any(|one| one.name == "eth0" && !one.up),
        _ => false,
    });
    let capture = Capture::start(&pair);
    pair.peer(|| ip("link set eth0 up"));
    let (first, _) = capture.claim(address(V4));
    let mut later = first;
    for _ in 1..(2 * 3) {
        later = capture.claim(address(V4)).0;
    }
    assert!(later - first < Duration::from_secs(50), "not the schedule from its beginning");
}

#[test]
fn without_a_living_term_nothing_is_announced() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let (lease, deadline) = term(Duration::from_secs(1), LONG);
    for vip in [V4, V6] {
        holder.order(Order::Hold { vip: on_eth0(vip), term: Some(lease.clone()) });
    }
    extend(&deadline, Duration::ZERO);
    let capture = Capture::start(&pair);
    for vip in [V4, V6] {
        holder.order(Order::Announce { address: address(vip) });
        claim_as(&pair, address(vip), MacAddr([2, 0, 0, 0, 0, 9]));
    }
    // A VIP without a term, announced after them, is seen.
    holder.hold("10.1.0.51/32", None);
    let (_, frame) = loop {
        let (at, frame) = capture.next();
        let Claim { address: claimed, mac } = decode_claim(&frame).expect("a claim");
        let ours = mac == pair.node(own_mac);
        assert!(!ours || (claimed != address(V4) && claimed != address(V6)), "{claimed}");
        if claimed == address("10.1.0.51") {
            break (at, frame);
        }
    };
    assert!(decode_claim(&frame).is_some());
}

#[test]
fn a_second_owner_is_reported_and_contradicted() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let (mac, other) = (pair.node(own_mac), MacAddr([2, 0, 0, 0, 0, 9]));
    for vip in [V4, V6] {
        let capture = Capture::start(&pair);
        holder.hold(vip, None);
        let vip = address(vip);
        // Its schedule has nothing more for a minute, which is longer than the test waits.
        for _ in 0..6 * announcements(vip, mac).len() {
            assert_eq!(decode_claim(&capture.claim(vip).1).map(|claim| claim.mac), Some(mac));
        }
        claim_as(&pair, vip, other);
        let report = holder.report("the second owner", |one| matches!(one, Report::Foreign { .. }));
        let expected =
            Report::Foreign { address: vip, mac: other, interface: "eth0".into(), claims: 1 };
        assert_eq!(report, expected);
        while decode_claim(&capture.claim(vip).1).is_none_or(|claim| claim.mac != mac) {}
    }
    // Neither somebody else's address nor our own frames are any of it.
    claim_as(&pair, address("10.1.0.77"), other);
    claim_as(&pair, address("fd00:1::77"), other);
    claim_as(&pair, address(V4), mac);
    let third = MacAddr([2, 0, 0, 0, 0, 10]);
    claim_as(&pair, address(V6), third);
    let report = holder.report("the third owner", |one| matches!(one, Report::Foreign { .. }));
    let Report::Foreign { mac, .. } = report else { panic!("{report:?}") };
    assert_eq!(mac, third);
    // Dropped, it is nobody's business; held again, it is.
    holder.release(V6);
    claim_as(&pair, address(V6), third);
    claim_as(&pair, address(V4), third);
    let is_foreign = |one: &Report| matches!(one, Report::Foreign { .. });
    let Report::Foreign { address: claimed, .. } = holder.report("V4's", is_foreign) else {
        return;
    };
    assert_eq!(claimed, address(V4));
    holder.hold(V6, None);
    claim_as(&pair, address(V6), third);
    let Report::Foreign { address: claimed, .. } = holder.report("V6's", is_foreign) else {
        return;
    };
    assert_eq!(claimed, address(V6));
}

/// Prints how soon; no test may depend on it.
#[test]
fn the_first_announcement_follows_the_order() {
    let Some(pair) = Pair::new() else { return };
    let holder = Holder::start(&pair, &[]);
    let capture = Capture::start(&pair);
    for vip in [V4, V6] {
        let mut seen = Vec::new();
        let mut local = Vec::new();
        for _ in 0..100 {
            capture.forget();
            let ordered = Instant::now();
            holder.hold(vip, None);
            local.push(ordered.elapsed());
            seen.push(capture.claim(address(vip)).0 - ordered);
            holder.release(vip);
        }
        seen.sort();
        local.sort();
        println!(
            "{vip}: first announcement at the neighbour after {:?} (median) {:?} (99 %) {:?} \
             (worst); local after {:?} (median) {:?} (99 %)",
            seen[50], seen[98], seen[99], local[50], local[98]
        );
    }
}
