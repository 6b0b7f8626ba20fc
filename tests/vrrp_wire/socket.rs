//! The sockets, with our own codec at both ends.

use std::{
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use lb_agent::{
    config::vrrp::Authentication,
    vrrp::{
        Version,
        packet::{Received, Settings, Unicast},
        socket::{BUFFER_LEN, Family, Interface, Listen, Receiver, Sender},
    },
};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};

use crate::{
    pair::{Pair, eventually, ip},
    speaker::{Speaker, eth0, own_address},
};

fn settings(vip: &str, peer: Option<&str>) -> Settings {
    let parse = |text: &str| text.parse().expect("an address");
    Settings {
        version: Version::V3,
        virtual_router_id: 51,
        addresses: vec![parse(vip)],
        authentication: Authentication::None,
        unicast: peer.map(|peer| Unicast { peers: vec![parse(peer)], check_source: true }),
        advert_interval: Duration::from_millis(100),
    }
}

const VIPS: [&str; 2] = ["10.1.0.100", "fe80::51"];

#[test]
fn the_group_is_joined_anew_after_the_link_was_down() {
    for vip in VIPS {
        let Some(pair) = Pair::new() else { return };
        let family = Family::of(vip.parse().expect("an address"));
        let listen = Listen { address: family.group(), ah: false };
        let mut receiver = pair.node(|| Receiver::open(&eth0(), listen).expect("a receiver"));
        let heard = |receiver: &mut Receiver| {
            // The peer's address needs a moment after the link came up.
            eventually("an advert", || {
                pair.peer(|| Speaker::new(settings(vip, None)).say(100, false));
                let mut buffer = [0; BUFFER_LEN];
                receiver.recv(&mut buffer).expect("to receive").map(|_| ())
            });
        };
        heard(&mut receiver);
        pair.node(|| {
            ip("link set eth0 down");
            ip("link set eth0 up");
            receiver.rejoin().expect("to join anew");
            receiver.rejoin().expect("to join when it is a member");
            let groups = ip("maddress show dev eth0");
            assert!(groups.contains(&family.group().to_string()), "{groups}");
        });
        heard(&mut receiver);
    }
}

#[test]
fn a_node_does_not_hear_itself() {
    for vip in VIPS {
        let Some(pair) = Pair::new() else { return };
        let mut own = pair.node(|| Speaker::new(settings(vip, None)));
        let mut peer = pair.peer(|| Speaker::new(settings(vip, None)));
        pair.node(|| own.say(101, false));
        let advert = eventually("our advert", || peer.hear()).expect("no fault");
        assert_eq!(advert.heard.priority, 101);
        pair.peer(|| peer.say(102, false));
        let advert = eventually("the peer's advert", || own.hear()).expect("no fault");
        // The first that it hears is the peer's.
        assert_eq!(advert.heard.priority, 102);
    }
}

/// Otherwise its buffer would fill up with what nobody reads.
#[test]
fn a_sender_hears_nothing() {
    for vip in VIPS {
        let Some(pair) = Pair::new() else { return };
        let family = Family::of(vip.parse().expect("an address"));
        let sender = pair.node(|| Sender::open(&eth0(), family).expect("a sender"));
        let mut own = pair.node(|| Speaker::new(settings(vip, None)));
        pair.peer(|| Speaker::new(settings(vip, None)).say(100, false));
        eventually("the peer's advert", || own.hear()).expect("no fault");
        let heard = recv(sender.as_fd().as_raw_fd(), &mut [0; 64], MsgFlags::MSG_DONTWAIT);
        assert_eq!(heard, Err(Errno::EAGAIN), "{vip}");
    }
}

/// What is for another address, or in another protocol, comes to another receiver.
#[test]
fn receivers_hear_only_what_is_theirs() {
    for (vip, own, other) in
        [(VIPS[0], "10.1.0.2", "10.1.0.3"), (VIPS[1], "fd00:1::2", "fd00:1::3")]
    {
        let Some(pair) = Pair::new() else { return };
        let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let group = Family::of(address(vip)).group();
        let mut receivers = pair.peer(|| {
            [group, address(own), address(other)].map(|address| {
                Receiver::open(&eth0(), Listen { address, ah: false }).expect("a receiver")
            })
        });
        let ah = Listen { address: VIPS[0].parse().expect("an address"), ah: true };
        let missing = pair.peer(|| Receiver::open(&eth0(), ah).expect_err("not a local address"));
        assert_eq!(missing.source.raw_os_error(), Some(libc::EADDRNOTAVAIL));
        // Unicast to `other`, to `own`, then multicast, told apart by their priorities.
        pair.node(|| {
            Speaker::new(settings(vip, Some(other))).say(3, false);
            Speaker::new(settings(vip, Some(own))).say(2, false);
            Speaker::new(settings(vip, None)).say(1, false);
        });
        for (receiver, priority) in receivers.iter_mut().zip([1, 2, 3]) {
            let mut buffer = [0; BUFFER_LEN];
            let first = eventually("an advert", || {
                receiver.recv(&mut buffer).expect("to receive").map(|one| priority_of(&one))
            });
            assert_eq!(first, priority);
            assert_eq!(receiver.recv(&mut buffer).expect("to receive"), None);
        }
    }
}

fn priority_of(received: &Received<'_>) -> u8 {
    match *received {
        Received::V4(bytes) => bytes[22],
        Received::V6 { message, hop_limit, .. } => {
            assert_eq!(hop_limit, 255);
            message[2]
        }
    }
}

#[test]
fn errors_name_the_interface_and_the_attempt() {
    let Some(pair) = Pair::new() else { return };
    pair.node(|| {
        let nowhere = Interface { name: "nowhere0".to_owned(), index: 4321 };
        let error = Sender::open(&nowhere, Family::V4).expect_err("no such interface");
        let wanted = "failed to bind a socket to the device on interface `nowhere0`";
        assert_eq!(error.to_string(), wanted);
        assert_eq!(error.source.raw_os_error(), Some(libc::ENODEV));

        let sender = Sender::open(&eth0(), Family::V4).expect("a sender");
        let (own, group) = (own_address(Family::V4, false), Family::V6.group());
        let mixed = sender.send(own, group, &[0; 20]).expect_err("two families");
        assert_eq!(mixed.kind(), std::io::ErrorKind::InvalidInput);
        ip("link set eth0 down");
        let sent = sender.send(own, Family::V4.group(), &[0x45; 20]);
        assert!(sent.is_err(), "the link is down");
    });
}
