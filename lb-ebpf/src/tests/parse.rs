use std::vec::Vec;

use lb_common::{
    net::{Be16, proto},
    reason::Reason,
};
use proptest::prelude::*;

use super::frames::{CLIENT4, CLIENT6, VIP4, VIP6, syn, tcp, udp};
use crate::{
    cursor::Cursor,
    header::tcp_flags::{ACK, FIN, RST, SYN},
    parse::{Packet, parse},
};

fn read(mut frame: Vec<u8>) -> Result<Packet, Reason> {
    let mut packet = Packet::default();
    parse(Cursor::new(&mut frame), |dst| *dst == VIP4 || *dst == VIP6, &mut packet)?;
    Ok(packet)
}

#[test]
fn every_field_of_a_segment() {
    for (v4, src, dst, header) in [(true, CLIENT4, VIP4, 20), (false, CLIENT6, VIP6, 40)] {
        let packet = read(tcp(&src, &dst, (40_000, 6443), SYN | 0xc0, b"data")).unwrap();
        assert_eq!((packet.key.src, packet.key.dst), (src, dst));
        assert_eq!((packet.key.sport, packet.key.dport), (Be16::new(40_000), Be16::new(6443)));
        assert_eq!((packet.key.proto, packet.v4), (proto::TCP, v4));
        assert_eq!((packet.seq, packet.ack), (1000, 2000));
        assert_eq!((packet.flags, packet.seg_len), (SYN | 0xc0, 5));
        assert_eq!((packet.ip_len, packet.ttl), (header + 24, 64));
        assert_eq!(packet.eth_dst.to_le_bytes(), [2, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(packet.eth_src.to_le_bytes(), [2, 0, 0, 0, 0, 2, 0, 0]);
        assert!(!packet.tagged && packet.opens() && packet.is_tcp());
    }
}

#[test]
fn every_field_of_a_datagram() {
    let packet = read(udp(&CLIENT6, &VIP6, (40_000, 53), b"data")).unwrap();
    assert_eq!((packet.key.sport, packet.key.dport), (Be16::new(40_000), Be16::new(53)));
    assert_eq!((packet.key.proto, packet.flags, packet.seg_len), (proto::UDP, 0, 0));
    assert_eq!(packet.ip_len, 52);
    assert!(!packet.is_tcp());
}

#[test]
fn tags_are_skipped_and_noted() {
    let tagged = |tags: &[u8]| {
        let mut frame = syn(true);
        frame.splice(12..12, tags.iter().copied());
        read(frame)
    };
    assert!(tagged(&[0x81, 0, 0, 1]).unwrap().tagged);
    assert!(tagged(&[0x88, 0xa8, 0, 1]).unwrap().tagged);
    assert!(tagged(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]).unwrap().tagged);
    assert!(tagged(&[0x81, 0, 0, 1, 0x81, 0, 0, 2]).unwrap().tagged);
    let three = [0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3];
    assert_eq!(tagged(&three).unwrap_err(), Reason::NotIp);
}

#[test]
fn flags_that_no_stack_sends() {
    let exclusive = |flags: u8| [SYN, FIN, RST].iter().filter(|&f| flags & f != 0).count() > 1;
    for flags in 0..=255 {
        let got = read(tcp(&CLIENT4, &VIP4, (1, 2), flags, &[])).map(|p| p.flags);
        let bad = exclusive(flags) || flags & (SYN | RST | ACK) == 0;
        assert_eq!(got, if bad { Err(Reason::BadTcpFlags) } else { Ok(flags) }, "{flags:#04x}");
    }
}

#[test]
fn an_ipv6_packet_to_a_mapped_address_is_not_for_the_ipv4_vip() {
    let mut frame = syn(false);
    frame[38..54].copy_from_slice(&VIP4.0);
    assert_eq!(read(frame).unwrap_err(), Reason::NotVip);
}

#[test]
fn cut_at_every_length() {
    for v4 in [true, false] {
        let (whole, l4) = (syn(v4), if v4 { 34 } else { 54 });
        for len in 0..whole.len() {
            let wanted = if len < l4 { Reason::Truncated } else { Reason::BadTotalLength };
            assert_eq!(read(whole[..len].to_vec()).unwrap_err(), wanted, "{len} bytes");
        }
        assert!(read(whole).is_ok());
    }
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(frame in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _unread = read(frame);
    }

    /// What is accepted is consistent with the frame.
    #[test]
    fn damage_is_rejected_or_harmless(
        v4: bool,
        data in proptest::collection::vec(any::<u8>(), 0..32),
        at in any::<prop::sample::Index>(),
        value: u8,
    ) {
        let (src, dst) = if v4 { (CLIENT4, VIP4) } else { (CLIENT6, VIP6) };
        let mut frame = tcp(&src, &dst, (1, 2), ACK, &data);
        let at = at.index(frame.len());
        frame[at] = value;
        let len = frame.len();
        if let Ok(packet) = read(frame) {
            prop_assert!(usize::from(packet.ip_len) + 14 <= len);
            prop_assert!(packet.seg_len <= packet.ip_len - 38 || !packet.is_tcp());
        }
    }
}
