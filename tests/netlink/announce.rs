//! A VIP that moved: who has it in the neighbour table learns the new Ethernet address.

use std::net::IpAddr;

use lb_agent::{
    frame::{ArpForm, gratuitous_arp, unsolicited_na},
    inject::PacketSocket,
};
use lb_common::net::MacAddr;

use crate::pair::{Pair, eventually, ifindex, ip, neighbour, own_mac};

/// The frames by which the host with `mac` claims `address`.
pub(crate) fn announcements(address: IpAddr, mac: MacAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(vip) => {
            [ArpForm::Request, ArpForm::Reply].map(|form| gratuitous_arp(form, mac, vip)).into()
        }
        IpAddr::V6(vip) => vec![unsolicited_na(mac, vip)],
    }
}

#[test]
fn every_announcement_moves_the_vip() {
    let Some(pair) = Pair::new() else { return };
    let mac = pair.node(own_mac);
    let before = MacAddr([2, 0, 0, 0, 0, 9]);
    for vip in ["10.1.0.50", "fd00:1::50"] {
        let vip: IpAddr = vip.parse().expect("an address");
        for frame in announcements(vip, mac) {
            pair.peer(|| {
                ip(&format!("neighbour replace {vip} lladdr {before} nud stale dev eth0"));
                assert_eq!(neighbour(vip), Some(before));
            });
            pair.node(|| {
                let socket = PacketSocket::open().expect("a packet socket");
                socket.send(ifindex("eth0"), &frame).expect("sent");
            });
            pair.peer(|| {
                eventually("the neighbour table shows the new address", || {
                    neighbour(vip).filter(|now| *now == mac)
                });
            });
        }
    }
}

#[test]
fn a_frame_for_nowhere_is_an_error() {
    let Some(pair) = Pair::new() else { return };
    pair.node(|| {
        let socket = PacketSocket::open().expect("a packet socket");
        let frame = gratuitous_arp(ArpForm::Request, own_mac(), [10, 1, 0, 50].into());
        let missing = socket.send(4321, &frame).expect_err("no such interface");
        assert_eq!(missing.raw_os_error(), Some(libc::ENXIO));
        let beyond = socket.send(u32::MAX, &frame).expect_err("no such index");
        assert_eq!(beyond.kind(), std::io::ErrorKind::InvalidInput);
        let long = socket.send(ifindex("eth0"), &[0; 2000]).expect_err("longer than the MTU");
        assert_eq!(long.raw_os_error(), Some(libc::EMSGSIZE));
        ip("link set eth0 down");
        let down = socket.send(ifindex("eth0"), &frame).expect_err("down");
        assert_eq!(down.raw_os_error(), Some(libc::ENETDOWN));
    });
}
