//! Who asks for a VIP, and whether this node may answer.

use lb_common::net::Addr;

use super::{
    Model,
    frame::{number16, octets},
};

impl Model {
    /// Whether the frame asks for a VIP that this node may not claim.
    pub(super) fn claim_is_over(&self, frame: &[u8]) -> bool {
        asked(frame)
            .filter(|address| self.in_filter(address))
            .and_then(|address| self.leases.get(&address))
            .is_some_and(|&deadline| deadline <= self.now)
    }
}

fn asked(frame: &[u8]) -> Option<Addr> {
    match number16(frame, 12) {
        0x0806 => arp(&frame[14..]),
        0x86dd => solicitation(&frame[14..]),
        _ => None,
    }
}

fn arp(arp: &[u8]) -> Option<Addr> {
    if arp.len() < 28 {
        return None;
    }
    let (hardware, protocol, operation) = (number16(arp, 0), number16(arp, 2), number16(arp, 6));
    let (sender, target): ([u8; 4], [u8; 4]) = (octets(arp, 14), octets(arp, 24));
    let request = (hardware, protocol, arp[4], arp[5], operation) == (1, 0x0800, 6, 4, 1);
    (request && sender != target).then(|| Addr::v4(target))
}

fn solicitation(ip: &[u8]) -> Option<Addr> {
    if ip.len() < 40 + 24 || ip[0] >> 4 != 6 || (ip[6], ip[7], ip[40]) != (58, 255, 135) {
        return None;
    }
    if !(24..=ip.len() - 40).contains(&usize::from(number16(ip, 4))) {
        return None;
    }
    let (dst, target): ([u8; 16], [u8; 16]) = (octets(ip, 24), octets(ip, 48));
    let group = dst.starts_with(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
    ((group || dst == target) && !Addr::v6(target).is_v4()).then(|| Addr::v6(target))
}
