use std::vec::Vec;

use lb_common::net::Addr;

use super::frames::{CLIENT4, CLIENT6, VIP4, VIP6, right, tcp};
use crate::{
    cursor::Cursor,
    header::tcp_flags::{ACK, FIN, RST, SYN},
    parse::{Packet, parse},
    reset::{answer, turn_around},
};

fn reset(mut frame: Vec<u8>) -> Vec<u8> {
    let mut packet = Packet::default();
    parse(Cursor::new(&mut frame), |_: &Addr| true, &mut packet).unwrap();
    let len = turn_around(Cursor::new(&mut frame), &packet).unwrap();
    frame.truncate(len);
    frame
}

#[test]
fn rfc_9293_section_3_10_7_1() {
    let packet =
        |flags, seg_len| Packet { seq: u32::MAX, ack: 77, flags, seg_len, ..Packet::default() };
    assert_eq!(answer(&packet(SYN, 1)), (0, 0, RST | ACK));
    assert_eq!(answer(&packet(SYN, 11)), (0, 10, RST | ACK));
    assert_eq!(answer(&packet(ACK, 5)), (77, 0, RST));
    assert_eq!(answer(&packet(FIN | ACK, 1)), (77, 0, RST));
    assert_eq!(answer(&packet(SYN | ACK, 1)), (77, 0, RST));
}

#[test]
fn a_syn_is_refused_byte_for_byte() {
    let got = reset(tcp(&CLIENT4, &VIP4, (40_000, 6443), SYN, b"fast open"));
    let mut wanted = Vec::from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    wanted.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, got[24], got[25]]);
    wanted.extend([198, 51, 100, 50, 192, 0, 2, 10]);
    wanted.extend([0x19, 0x2b, 0x9c, 0x40, 0, 0, 0, 0, 0, 0, 3, 0xf2]);
    wanted.extend([0x50, RST | ACK, 0, 0, got[50], got[51], 0, 0]);
    assert_eq!(got, wanted);
    assert!(right(&got));
}

#[test]
fn a_segment_is_reset_at_its_acknowledgement() {
    for (src, dst, header) in [(CLIENT4, VIP4, 20), (CLIENT6, VIP6, 40)] {
        let got = reset(tcp(&src, &dst, (40_000, 6443), ACK, &[1; 200]));
        let l4 = &got[14 + header..];
        assert_eq!(got.len(), 14 + header + 20);
        assert_eq!(l4[..4], [0x19, 0x2b, 0x9c, 0x40]);
        assert_eq!(l4[4..12], [0, 0, 7, 0xd0, 0, 0, 0, 0]);
        assert_eq!(l4[13], RST);
        assert!(right(&got));
    }
}
