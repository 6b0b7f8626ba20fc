//! The observer's questions, and what it understands of other frames. No IO.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::net::MacAddr;

use crate::{
    lab::topology::Segment,
    packet::{checksum, pseudo},
    vrrp::advert::Advert,
};

/// Sender addresses that questions carry by turns.
pub const SENDERS: u8 = 16;
/// The first of them: 10.47.160.224 or fd47:160::224.
const FIRST: u8 = 224;

/// Who has `vip`?
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// What is asked for.
    pub vip: IpAddr,
    /// Who asks.
    pub mac: MacAddr,
}

/// What the observer takes notice of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Somebody answered the question that carried this sender.
    Answer(u8, MacAddr),
    /// A gratuitous ARP or an unsolicited neighbour advertisement for the VIP.
    Announcement(MacAddr),
    /// A VRRP advertisement.
    Advert(Advert),
}

impl Question {
    /// The question as a frame, with sender number `turn`.
    pub fn frame(&self, turn: u8) -> Vec<u8> {
        match self.vip {
            IpAddr::V4(vip) => self.arp(vip, Segment::Front.ipv4(FIRST + turn)),
            IpAddr::V6(vip) => self.solicitation(vip, Segment::Front.ipv6(FIRST + turn)),
        }
    }

    /// RFC 826.
    fn arp(&self, vip: Ipv4Addr, sender: Ipv4Addr) -> Vec<u8> {
        let mut frame = [[0xff; 6], self.mac.0].concat();
        frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
        frame.extend(self.mac.0);
        frame.extend(sender.octets());
        frame.extend([0; 6]);
        frame.extend(vip.octets());
        frame
    }

    /// RFC 4861 §4.3, to the VIP's solicited-node group (RFC 4291 §2.7.1).
    fn solicitation(&self, vip: Ipv6Addr, sender: Ipv6Addr) -> Vec<u8> {
        let [.., a, b, c] = vip.octets();
        let group: Ipv6Addr = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c].into();
        let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
        body.extend(vip.octets());
        body.extend([1, 1]);
        body.extend(self.mac.0);
        let sum = checksum(&[&pseudo(sender.into(), group.into(), 58, body.len()), &body]);
        body[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = [[0x33, 0x33, 0xff, a, b, c], self.mac.0].concat();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
        frame.extend(sender.octets());
        frame.extend(group.octets());
        frame.extend(body);
        frame
    }
}

impl Sight {
    /// Reads a frame that came by while `question` was asked.
    pub fn read(frame: &[u8], question: Question) -> Option<Self> {
        let from = MacAddr(frame.get(6..12)?.try_into().ok()?);
        if from == question.mac {
            return None;
        }
        match frame.get(12..14)? {
            [0x08, 0x06] => arp(frame.get(14..42)?, question),
            [0x86, 0xdd] if *frame.get(20)? == 58 => neighbour(frame, from, question),
            _ => Advert::read(frame).map(Self::Advert),
        }
    }
}

/// Request or reply: the sender's fields make the claim.
fn arp(arp: &[u8], question: Question) -> Option<Sight> {
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(arp.get(at..at + 4)?).ok()?));
    let mac = MacAddr(arp.get(8..14)?.try_into().ok()?);
    if IpAddr::V4(address(14)?) != question.vip {
        return None;
    }
    let target = address(24)?;
    if IpAddr::V4(target) == question.vip {
        return Some(Sight::Announcement(mac));
    }
    let turn = (0..SENDERS).find(|turn| Segment::Front.ipv4(FIRST + turn) == target)?;
    Some(Sight::Answer(turn, mac))
}

/// Neighbour advertisement (RFC 4861 §4.4): solicited ones answer, others announce.
fn neighbour(frame: &[u8], from: MacAddr, question: Question) -> Option<Sight> {
    let address =
        |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?));
    if *frame.get(54)? != 136 || IpAddr::V6(address(62)?) != question.vip {
        return None;
    }
    let to = address(38)?;
    if to.is_multicast() {
        return Some(Sight::Announcement(from));
    }
    let turn = (0..SENDERS).find(|turn| Segment::Front.ipv6(FIRST + turn) == to)?;
    Some(Sight::Answer(turn, from))
}

#[cfg(test)]
mod tests;
