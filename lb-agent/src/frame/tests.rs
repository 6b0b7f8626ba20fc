//! Whole frames byte by byte (worked out by another program and read back by a protocol analyser),
//! and checksums by arithmetic modulo 65535 instead of folding.

use proptest::prelude::*;

use super::*;

const NODE: MacAddr = MacAddr([0x02, 0x54, 0x00, 0xaa, 0xbb, 0x01]);
const PEER: MacAddr = MacAddr([0x02, 0x54, 0x00, 0xcc, 0xdd, 0x02]);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 47, 160, 50);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x47, 0, 0, 0, 0, 0x50);

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

/// A block whose checksum field is right is, read as one big number, a multiple of 65535.
fn is_whole(block: &[u8]) -> bool {
    block.iter().fold(0u64, |rest, byte| (rest * 256 + u64::from(*byte)) % 65535) == 0
        && block.iter().any(|byte| *byte != 0)
}

/// The pseudo header and what follows the IP header of a frame without IP options.
fn covered(frame: &[u8]) -> Vec<u8> {
    let (addresses, protocol, payload) = match frame[12..14] {
        [0x08, 0x00] => (&frame[26..34], frame[23], &frame[34..]),
        [0x86, 0xdd] => (&frame[22..54], frame[20], &frame[54..]),
        _ => panic!("not IP"),
    };
    let len = (payload.len() as u32).to_be_bytes();
    [addresses, &len, &[0, 0, 0, protocol], payload].concat()
}

fn end(mac: MacAddr, addr: Addr, port: u16) -> Endpoint {
    Endpoint { mac, addr, port: Be16::new(port) }
}

#[test]
fn arp_request_form() {
    let expected = hex("ff ff ff ff ff ff 02 54 00 aa bb 01 08 06 00 01
         08 00 06 04 00 01 02 54 00 aa bb 01 0a 2f a0 32
         00 00 00 00 00 00 0a 2f a0 32");
    assert_eq!(gratuitous_arp(ArpForm::Request, NODE, VIP), expected);
}

#[test]
fn arp_reply_form() {
    let expected = hex("ff ff ff ff ff ff 02 54 00 aa bb 01 08 06 00 01
         08 00 06 04 00 02 02 54 00 aa bb 01 0a 2f a0 32
         02 54 00 aa bb 01 0a 2f a0 32");
    assert_eq!(gratuitous_arp(ArpForm::Reply, NODE, VIP), expected);
}

#[test]
fn neighbor_advertisement() {
    let expected = hex("33 33 00 00 00 01 02 54 00 aa bb 01 86 dd 60 00
         00 00 00 20 3a ff 20 01 0d b8 00 47 00 00 00 00
         00 00 00 00 00 50 ff 02 00 00 00 00 00 00 00 00
         00 00 00 00 00 01 88 00 3c 00 20 00 00 00 20 01
         0d b8 00 47 00 00 00 00 00 00 00 00 00 50 02 01
         02 54 00 aa bb 01");
    let frame = unsolicited_na(NODE, VIP6);
    assert_eq!(frame, expected);
    assert!(is_whole(&covered(&frame)));
}

#[test]
fn challenge_over_ipv4() {
    let expected = hex("02 54 00 cc dd 02 02 54 00 aa bb 01 08 00 45 00
         00 28 00 00 40 00 40 06 e5 36 0a 2f a0 32 0a 2f
         a1 09 19 2b c8 22 de ad be ef 00 00 00 00 50 02
         04 00 d7 5d 00 00");
    let from = end(NODE, Addr::v4(VIP.octets()), 6443);
    let to = end(PEER, Addr::v4([10, 47, 161, 9]), 51234);
    assert_eq!(challenge_syn(&from, &to, 0xdead_beef), expected);
}

#[test]
fn challenge_over_ipv6() {
    let expected = hex("02 54 00 cc dd 02 02 54 00 aa bb 01 86 dd 60 00
         00 00 00 14 06 40 20 01 0d b8 00 47 00 00 00 00
         00 00 00 00 00 50 20 01 0d b8 00 48 00 00 00 00
         00 00 00 00 00 09 19 2b c8 22 de ad be ef 00 00
         00 00 50 02 04 00 d0 9d 00 00");
    let from = end(NODE, Addr::v6(VIP6.octets()), 6443);
    let client = Ipv6Addr::new(0x2001, 0xdb8, 0x48, 0, 0, 0, 0, 9);
    let to = end(PEER, Addr::v6(client.octets()), 51234);
    assert_eq!(challenge_syn(&from, &to, 0xdead_beef), expected);
}

proptest! {
    #[test]
    fn ipv4_checksums_are_whole(src: [u8; 4], dst: [u8; 4], ports: (u16, u16), sequence: u32) {
        let from = end(NODE, Addr::v4(src), ports.0);
        let to = end(PEER, Addr::v4(dst), ports.1);
        let frame = challenge_syn(&from, &to, sequence);
        prop_assert!(is_whole(&frame[14..34]));
        prop_assert!(is_whole(&covered(&frame)));
        prop_assert_eq!(&frame[26..30], &src);
        prop_assert_eq!(&frame[30..34], &dst);
        prop_assert_eq!(&frame[38..42], &sequence.to_be_bytes());
    }

    #[test]
    fn ipv6_checksums_are_whole(src: [u8; 16], dst: [u8; 16], ports: (u16, u16), sequence: u32) {
        prop_assume!(!Addr::v6(dst).is_v4());
        let from = end(NODE, Addr::v6(src), ports.0);
        let to = end(PEER, Addr::v6(dst), ports.1);
        let frame = challenge_syn(&from, &to, sequence);
        prop_assert!(is_whole(&covered(&frame)));
        prop_assert_eq!(&frame[54..56], &ports.0.to_be_bytes());
        prop_assert_eq!(&frame[56..58], &ports.1.to_be_bytes());
    }

    #[test]
    fn advertisement_checksums_are_whole(vip: [u8; 16], mac: [u8; 6]) {
        let frame = unsolicited_na(MacAddr(mac), vip.into());
        prop_assert!(is_whole(&covered(&frame)));
    }
}
