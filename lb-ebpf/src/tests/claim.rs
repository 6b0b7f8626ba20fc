use std::vec::Vec;

use lb_common::net::{Addr, proto};
use proptest::prelude::*;

use super::frames::{CLIENT4, CLIENT6, VIP4, VIP6, frame, ip};
use crate::{
    claim::{asked, is_solicited_node},
    cursor::Cursor,
};

const GROUP: Addr = Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x50]);

fn ask(mut frame: Vec<u8>) -> Option<Addr> {
    asked(Cursor::new(&mut frame), |_| true)
}

fn arp() -> Vec<u8> {
    let mut frame = [[0xff; 6], [2, 0, 0, 0, 0, 2]].concat();
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2]);
    frame.extend(CLIENT4.v4_octets());
    frame.extend([0; 6]);
    frame.extend(VIP4.v4_octets());
    frame
}

fn solicitation(dst: &Addr, target: &Addr) -> Vec<u8> {
    let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &target.0[..]].concat();
    let mut ip = ip(&CLIENT6, dst, proto::ICMPV6, &message);
    ip[7] = 255;
    frame(&ip)
}

#[test]
fn the_target_is_what_is_asked_for() {
    assert_eq!(ask(arp()), Some(VIP4));
    assert_eq!(ask(solicitation(&GROUP, &VIP6)), Some(VIP6));
    assert_eq!(ask(solicitation(&VIP6, &VIP6)), Some(VIP6));
    assert_eq!(ask(solicitation(&CLIENT6, &VIP6)), None);
}

#[test]
fn who_is_not_wanted_is_not_asked_for() {
    for mut frame in [arp(), solicitation(&GROUP, &VIP6)] {
        let target = ask(frame.clone()).unwrap();
        let not_it = |address: &Addr| {
            assert_eq!(*address, target);
            false
        };
        assert_eq!(asked(Cursor::new(&mut frame), not_it), None);
    }
}

#[test]
fn cut_at_every_length() {
    for whole in [arp(), solicitation(&GROUP, &VIP6)] {
        for len in 0..whole.len() {
            assert_eq!(ask(whole[..len].to_vec()), None, "{len} of {} bytes", whole.len());
        }
    }
    // Too short for a target, whatever follows in the frame.
    let mut padded = solicitation(&GROUP, &VIP6);
    padded[19] = 23;
    assert_eq!(ask(padded), None);
}

/// In the keys it would be the IPv4 VIP.
#[test]
fn nobody_solicits_a_mapped_address() {
    assert_eq!(ask(solicitation(&GROUP, &VIP6)), Some(VIP6));
    let mut frame = solicitation(&GROUP, &VIP6);
    frame[62..78].copy_from_slice(&VIP4.0);
    assert_eq!(ask(frame), None);
}

#[test]
fn solicited_node_addresses_share_104_bits() {
    for bit in 0..128 {
        let mut addr = GROUP;
        addr.0[bit / 8] ^= 0x80 >> (bit % 8);
        assert_eq!(is_solicited_node(&addr), bit >= 104, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(mut frame in proptest::collection::vec(any::<u8>(), 0..100)) {
        for ethertype in [[8, 6], [0x86, 0xdd]] {
            if let Some(at) = frame.get_mut(12..14) {
                at.copy_from_slice(&ethertype);
            }
            let _nobody = ask(frame.clone());
        }
    }
}
