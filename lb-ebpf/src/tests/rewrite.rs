use std::vec::Vec;

use lb_common::{
    flow::{FORWARD, Flow, FlowKey, REVERSE, flow_flags},
    net::{Addr, Be16, MacAddr, proto},
};
use proptest::prelude::*;

use super::frames::{BACKEND4, BACKEND6, CLIENT4, CLIENT6, VIP4, VIP6, right, tcp, udp};
use crate::{
    cursor::Cursor,
    header::tcp_flags::ACK,
    rewrite::{Rewrite, apply, mirror, set_deltas, udp_check},
};

const EGRESS: MacAddr = MacAddr([2, 0, 0, 0, 9, 1]);
const NEXT: MacAddr = MacAddr([2, 0, 0, 0, 9, 2]);

fn key(src: Addr, dst: Addr, proto: u8, sport: u16, dport: u16) -> FlowKey {
    let (sport, dport) = (Be16::new(sport), Be16::new(dport));
    FlowKey { src, dst, sport, dport, proto, pad: 0, pad_end: 0 }
}

fn flow(key: &FlowKey, peer: Addr, new_sport: u16, new_dport: u16) -> Flow {
    let mut flow = Flow {
        peer,
        new_sport: Be16::new(new_sport),
        new_dport: Be16::new(new_dport),
        direction: FORWARD,
        ..Flow::default()
    };
    set_deltas(key, &mut flow);
    flow
}

fn target(flow: &Flow) -> Rewrite {
    Rewrite {
        peer: flow.peer,
        ifindex: 7,
        sport: flow.new_sport,
        dport: flow.new_dport,
        eth_dst: NEXT.to_u64(),
        eth_src: EGRESS.to_u64(),
        l3_delta: flow.l3_delta,
        l4_delta: flow.l4_delta,
    }
}

/// A frame of the client's, and the same as the backend should get it.
fn pair(v4: bool, proto: u8, ports: [u16; 4], data: &[u8]) -> (Vec<u8>, Vec<u8>, Flow) {
    let (client, vip, backend) =
        if v4 { (CLIENT4, VIP4, BACKEND4) } else { (CLIENT6, VIP6, BACKEND6) };
    let [sport, dport, new_sport, new_dport] = ports;
    let build = |src: &Addr, dst: &Addr, ports| match proto {
        proto::TCP => tcp(src, dst, ports, ACK, data),
        _ => udp(src, dst, ports, data),
    };
    let there = build(&client, &vip, (sport, dport));
    let mut out = build(&vip, &backend, (new_sport, new_dport));
    out[..6].copy_from_slice(&NEXT.0);
    out[6..12].copy_from_slice(&EGRESS.0);
    let at = if v4 { 22 } else { 21 };
    out[at] -= 1;
    if v4 {
        out[24..26].fill(0);
        let check = super::frames::checksum(&out[14..34]);
        out[24..26].copy_from_slice(&check.to_be_bytes());
    }
    let flow = flow(&key(client, vip, proto, sport, dport), backend, new_sport, new_dport);
    (there, out, flow)
}

proptest! {
    #[test]
    fn every_rewrite_equals_a_packet_built_anew(
        v4: bool,
        is_tcp: bool,
        ports: [u16; 4],
        data in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let proto = if is_tcp { proto::TCP } else { proto::UDP };
        let (mut frame, wanted, flow) = pair(v4, proto, ports, &data);
        apply(Cursor::new(&mut frame), v4, proto, &target(&flow)).unwrap();
        prop_assert_eq!(&frame, &wanted);
        prop_assert!(right(&frame));
    }

    #[test]
    fn mirrored_twice_is_the_same(ports: [u16; 4], v4: bool, closed: bool) {
        let (client, vip, backend) =
            if v4 { (CLIENT4, VIP4, BACKEND4) } else { (CLIENT6, VIP6, BACKEND6) };
        let there = key(client, vip, proto::TCP, ports[0], ports[1]);
        let mut forward = flow(&there, backend, ports[2], ports[3]);
        forward.flags = if closed { flow_flags::CLOSED } else { 0 };
        (forward.backend, forward.service, forward.client_ifindex) = (3, 4, 5);
        (forward.client_mac, forward.own_mac) = (6, 7);
        (forward.last_seen, forward.created) = (8, 9);
        let (mut back, mut reverse) = (FlowKey::default(), Flow::default());
        mirror(&there, &forward, &mut back, &mut reverse);
        prop_assert_eq!(back, key(backend, vip, proto::TCP, ports[3], ports[2]));
        prop_assert_eq!((reverse.peer, reverse.direction), (client, REVERSE));
        let (mut again, mut same) = (FlowKey::default(), Flow::default());
        mirror(&back, &reverse, &mut again, &mut same);
        prop_assert_eq!((again, same), (there, forward));
    }

    #[test]
    fn a_datagram_without_checksum_gets_none(delta: u16) {
        prop_assert_eq!(udp_check([0, 0], delta), [0, 0]);
    }

    #[test]
    fn a_checksum_is_never_sent_as_zero(check: [u8; 2], delta: u16) {
        prop_assume!(check != [0, 0]);
        prop_assert_ne!(udp_check(check, delta), [0, 0]);
    }
}

#[test]
fn only_the_expected_flags_are_mirrored() {
    let there = key(CLIENT4, VIP4, proto::TCP, 1, 2);
    let mut forward = flow(&there, BACKEND4, 3, 4);
    forward.flags = flow_flags::FIN | flow_flags::REPLIED | flow_flags::MIDSTREAM;
    forward.expect_ack = 5;
    let (mut back, mut reverse) = (FlowKey::default(), Flow::default());
    mirror(&there, &forward, &mut back, &mut reverse);
    assert_eq!((reverse.flags, reverse.expect_ack), (0, 0));
}

#[test]
fn a_frame_that_is_too_short_is_left_as_it_is() {
    for (v4, proto, l4) in [(true, proto::TCP, 20), (false, proto::TCP, 20), (true, proto::UDP, 8)]
    {
        let (frame, _, flow) = pair(v4, proto, [1, 2, 3, 4], &[]);
        for len in 0..14 + l4 + if v4 { 20 } else { 40 } {
            let mut cut = frame[..len].to_vec();
            assert_eq!(apply(Cursor::new(&mut cut), v4, proto, &target(&flow)), None);
            assert_eq!(cut, frame[..len], "{len} bytes");
        }
    }
}
