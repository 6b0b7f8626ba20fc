use proptest::prelude::*;

use super::*;
use crate::frame::{ArpForm, gratuitous_arp, unsolicited_na};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

fn v4() -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, 50)
}

fn v6() -> Ipv6Addr {
    "fd00:1::50".parse().expect("an address")
}

#[test]
fn what_we_announce_is_a_claim() {
    for form in [ArpForm::Request, ArpForm::Reply] {
        let claim = decode_claim(&gratuitous_arp(form, MAC, v4()));
        assert_eq!(claim, Some(Claim { address: v4().into(), mac: MAC }));
    }
    let claim = decode_claim(&unsolicited_na(MAC, v6()));
    assert_eq!(claim, Some(Claim { address: v6().into(), mac: MAC }));
}

#[test]
fn the_address_inside_counts_and_not_the_sender_of_the_frame() {
    let mut arp = gratuitous_arp(ArpForm::Reply, MAC, v4());
    arp[6..12].copy_from_slice(&OTHER.0);
    assert_eq!(decode_claim(&arp).expect("a claim").mac, MAC);
    let mut na = unsolicited_na(MAC, v6());
    na[6..12].copy_from_slice(&OTHER.0);
    assert_eq!(decode_claim(&na).expect("a claim").mac, MAC);
}

/// Without its option, with the lengths and the checksum put right.
fn without_option() -> Vec<u8> {
    let mut na = unsolicited_na(MAC, v6());
    na.truncate(na.len() - 8);
    na[19] -= 8;
    na[56..58].fill(0);
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum()
    };
    let sum = checksum(words(&na[22..54]) + 58 + 24 + words(&na[54..]));
    na[56..58].copy_from_slice(&sum.to_be_bytes());
    na
}

#[test]
fn an_advertisement_without_its_option_means_the_frames_sender() {
    let mut na = without_option();
    na[6..12].copy_from_slice(&OTHER.0);
    let claim = decode_claim(&na).expect("a claim");
    assert_eq!(claim, Claim { address: v6().into(), mac: OTHER });
}

#[test]
fn what_neighbours_ignore_is_no_claim() {
    let arp = gratuitous_arp(ArpForm::Request, MAC, v4());
    let na = unsolicited_na(MAC, v6());
    let spoilt = |frame: &[u8], at: usize, byte: u8| {
        let mut frame = frame.to_vec();
        assert_ne!(frame[at], byte);
        frame[at] = byte;
        decode_claim(&frame)
    };
    // Ethertype; hardware type; protocol; lengths; operation.
    for (at, byte) in [(13, 0), (15, 6), (16, 0x86), (18, 8), (19, 16), (21, 3)] {
        assert_eq!(spoilt(&arp, at, byte), None, "ARP, byte {at}");
    }
    // Next header; hop limit; type; code; checksum; target; an option of length zero.
    for (at, byte) in [(20, 6), (21, 64), (54, 135), (55, 1), (57, 0), (62, 1), (79, 0)] {
        assert_eq!(spoilt(&na, at, byte), None, "NA, byte {at}");
    }
    let mut probe = arp.clone();
    probe[28..32].fill(0);
    assert_eq!(decode_claim(&probe), None);
    for frame in [&arp, &na] {
        for length in 0..frame.len() {
            assert_eq!(decode_claim(&frame[..length]), None, "{length} bytes");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_to_the_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_claim(&bytes);
    }

    /// Mutations reach further in than noise does.
    #[test]
    fn damaged_claims_are_read_to_the_end(
        v6_frame in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frame = match v6_frame {
            true => unsolicited_na(MAC, v6()),
            false => gratuitous_arp(ArpForm::Reply, MAC, v4()),
        };
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        let cut = cut.index(frame.len() + 1);
        decode_claim(&frame[..cut]);
        decode_claim(&frame);
    }
}
