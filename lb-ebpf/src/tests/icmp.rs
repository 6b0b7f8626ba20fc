use std::{vec, vec::Vec};

use lb_common::{
    flow::{FORWARD, Flow, FlowKey},
    net::{Addr, Be16, proto},
    reason::Reason,
};

use super::frames::{
    BACKEND4, BACKEND6, CLIENT4, CLIENT6, VIP4, VIP6, checksum, frame, ip, right, seal, tcp,
};
use crate::{
    cursor::Cursor,
    header::tcp_flags::ACK,
    icmp::{is_error, quoted, translate},
    parse::{Packet, parse},
    rewrite::{Rewrite, mirror, set_deltas},
};

const NAT: u16 = 20_000;
const ROUTER4: Addr = Addr::v4([203, 0, 113, 1]);
const ROUTER6: Addr = Addr([0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Too big, from a router to the VIP.
fn error(v4: bool, quote: &[u8]) -> Vec<u8> {
    let (router, vip) = if v4 { (ROUTER4, VIP4) } else { (ROUTER6, VIP6) };
    let mut message = vec![if v4 { 3 } else { 2 }, if v4 { 4 } else { 0 }, 0, 0, 0, 0, 5, 0x14];
    message.extend(quote);
    if v4 {
        let check = checksum(&message);
        message[2..4].copy_from_slice(&check.to_be_bytes());
        frame(&ip(&router, &vip, proto::ICMP, &message))
    } else {
        seal(&router, &vip, proto::ICMPV6, 2, &mut message);
        frame(&ip(&router, &vip, proto::ICMPV6, &message))
    }
}

fn read(frame: &[u8]) -> Packet {
    let mut packet = Packet::default();
    parse(Cursor::new(&mut frame.to_vec()), |_: &Addr| true, &mut packet).unwrap();
    packet
}

fn key_of(frame: &[u8]) -> Result<FlowKey, Reason> {
    let mut key = FlowKey::default();
    quoted(Cursor::new(&mut frame.to_vec()), &read(frame), &mut key)?;
    Ok(key)
}

#[test]
fn the_types_that_quote_a_packet() {
    let errors = |v4| (0..=255).filter(|&kind| is_error(v4, kind)).collect::<Vec<u8>>();
    assert_eq!(errors(true), [3, 4, 11, 12]);
    assert_eq!(errors(false), [1, 2, 3, 4]);
}

#[test]
fn an_error_towards_the_client() {
    for (v4, client, vip, backend) in
        [(true, CLIENT4, VIP4, BACKEND4), (false, CLIENT6, VIP6, BACKEND6)]
    {
        let inside = tcp(&vip, &backend, (NAT, 6443), ACK, b"data");
        let mut frame = error(v4, &inside[14..]);
        let key = key_of(&frame).unwrap();
        assert_eq!((key.src, key.dst, key.proto), (backend, vip, proto::TCP));
        assert_eq!((key.sport, key.dport), (Be16::new(6443), Be16::new(NAT)));

        let to = reverse(client, vip, backend);
        let packet = read(&frame);
        translate(Cursor::new(&mut frame), &packet, key.proto, &to).unwrap();
        assert!(right(&frame), "outer checksums");
        let now = read(&frame);
        assert_eq!((now.key.src, now.key.dst, now.ttl), (vip, client, 63));
        let at = if v4 { 42 } else { 62 };
        let original = tcp(&client, &vip, (40_000, 443), ACK, b"data");
        assert_eq!(frame[at..], original[14..], "the quoted packet as the client sent it");
    }
}

/// Where packets of the flow's reverse key go.
fn reverse(client: Addr, vip: Addr, backend: Addr) -> Rewrite {
    let (sport, dport) = (Be16::new(40_000), Be16::new(443));
    let key =
        FlowKey { src: client, dst: vip, sport, dport, proto: proto::TCP, pad: 0, pad_end: 0 };
    let (new_sport, new_dport) = (Be16::new(NAT), Be16::new(6443));
    let mut forward =
        Flow { peer: backend, new_sport, new_dport, direction: FORWARD, ..Flow::default() };
    set_deltas(&key, &mut forward);
    let (mut other, mut flow) = (FlowKey::default(), Flow::default());
    mirror(&key, &forward, &mut other, &mut flow);
    Rewrite {
        peer: flow.peer,
        sport: flow.new_sport,
        dport: flow.new_dport,
        l3_delta: flow.l3_delta,
        l4_delta: flow.l4_delta,
        ..Rewrite::default()
    }
}

#[test]
fn quotations_that_name_no_flow() {
    for (v4, vip, backend, header) in [(true, VIP4, BACKEND4, 20), (false, VIP6, BACKEND6, 40)] {
        let inside = tcp(&vip, &backend, (NAT, 6443), ACK, &[]);
        for len in 0..header + 8 {
            let short = error(v4, &inside[14..14 + len]);
            assert_eq!(key_of(&short), Err(Reason::IcmpUnrelated), "{len} bytes");
            // The rest of it in the padding.
            let padded = [&short[..], &inside[14 + len..]].concat();
            assert_eq!(key_of(&padded), Err(Reason::IcmpUnrelated), "{len} bytes and padding");
        }
        assert!(key_of(&error(v4, &inside[14..14 + header + 8])).is_ok());
        let mut echo = error(v4, &inside[14..]);
        echo[14 + header] = if v4 { 8 } else { 128 };
        assert_eq!(key_of(&echo), Err(Reason::OtherProtocol));
    }
}
