use super::*;
use crate::packet::verify;

const OBSERVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const NODE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn question(vip: &str) -> Question {
    Question { vip: vip.parse().unwrap(), mac: OBSERVER }
}

/// The answer to an ARP request, or with `target` = VIP an announcement.
fn arp_reply(vip: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = [OBSERVER.0, NODE.0].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]);
    frame.extend(NODE.0);
    frame.extend(vip);
    frame.extend(OBSERVER.0);
    frame.extend(target);
    frame
}

fn advertisement(vip: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let mut frame = [OBSERVER.0, NODE.0].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend(vip.octets());
    frame.extend(to.octets());
    frame.extend([136, 0, 0, 0, 0x60, 0, 0, 0]);
    frame.extend(vip.octets());
    frame.extend([2, 1]);
    frame.extend(NODE.0);
    frame
}

#[test]
fn an_arp_answer_names_its_question() {
    let asked = question("10.47.160.50");
    let frame = asked.frame(3);
    assert_eq!((&frame[28..32], &frame[38..42]), (&[10, 47, 160, 227][..], &[10, 47, 160, 50][..]));
    let read = |frame: Vec<u8>| Sight::read(&frame, asked);
    let vip = [10, 47, 160, 50];
    assert_eq!(read(arp_reply(vip, [10, 47, 160, 227])), Some(Sight::Answer(3, NODE)));
    assert_eq!(read(arp_reply(vip, vip)), Some(Sight::Announcement(NODE)));
    assert_eq!(read(arp_reply(vip, [10, 47, 160, 101])), None);
    assert_eq!(read(arp_reply([10, 47, 160, 51], [10, 47, 160, 227])), None);
    assert_eq!(read(frame), None, "our own");
}

#[test]
fn a_neighbour_advertisement_names_its_question() {
    let asked = question("fd47:160::50");
    let frame = asked.frame(15);
    verify(&frame).unwrap();
    let vip: Ipv6Addr = "fd47:160::50".parse().unwrap();
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0, 0, 0x50]);
    let read = |frame: Vec<u8>| Sight::read(&frame, asked);
    let sender = "fd47:160::239".parse().unwrap();
    assert_eq!(read(advertisement(vip, sender)), Some(Sight::Answer(15, NODE)));
    let all = "ff02::1".parse().unwrap();
    assert_eq!(read(advertisement(vip, all)), Some(Sight::Announcement(NODE)));
    assert_eq!(read(advertisement(sender, sender)), None);
    // The option after 78 bytes is not read.
    for length in 0..78 {
        assert_eq!(read(advertisement(vip, all)[..length].to_vec()), None, "{length}");
    }
}
