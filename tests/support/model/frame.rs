//! Reading a frame, field by field.

use lb_common::{
    flow::FlowKey,
    net::{Addr, Be16, MacAddr, proto},
    reason::Reason,
};

use crate::packet::{ACK, FIN, RST, SYN};

/// What a frame says.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) eth_dst: MacAddr,
    pub(super) eth_src: MacAddr,
    pub(super) tagged: bool,
    pub(super) v4: bool,
    pub(super) ip_len: u16,
    pub(super) ttl: u8,
    pub(super) key: FlowKey,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// Sequence space the segment takes.
    pub(super) seg_len: u32,
}

impl View {
    pub(super) fn is_tcp(&self) -> bool {
        self.key.proto == proto::TCP
    }

    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    pub(super) fn opens(&self) -> bool {
        self.has(SYN) && !self.has(ACK)
    }

    /// Offset of the transport header in an untagged frame.
    pub(super) fn l4(&self) -> usize {
        if self.v4 { 34 } else { 54 }
    }
}

/// Why a frame cannot be read further.
pub(super) struct Bad {
    pub(super) reason: Reason,
    /// Station and address it is for, when the reason holds only for a VIP.
    pub(super) about: Option<(MacAddr, Addr)>,
}

pub(super) fn octets<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

pub(super) fn number16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(octets(bytes, at))
}

pub(super) fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets(bytes, at))
}

/// Reads a frame for an address that is `wanted`.
pub(super) fn parse(frame: &[u8], wanted: impl Fn(&Addr) -> bool) -> Result<View, Bad> {
    let anyway = |reason| Bad { reason, about: None };
    let mut at = 12;
    let mut tags = 0;
    loop {
        if frame.len() < at + 2 {
            return Err(anyway(Reason::Truncated));
        }
        match number16(frame, at) {
            0x8100 if tags < 2 => {}
            0x88a8 if tags < 1 => {}
            _ => break,
        }
        tags += 1;
        at += 4;
    }
    let ip = &frame[at + 2..];
    let v4 = match number16(frame, at) {
        0x0800 => true,
        0x86dd => false,
        _ => return Err(anyway(Reason::NotIp)),
    };
    if ip.len() < if v4 { 20 } else { 40 } {
        return Err(anyway(Reason::Truncated));
    }
    let dst = if v4 { Addr::v4(octets(ip, 16)) } else { Addr::v6(octets(ip, 24)) };
    if (!v4 && dst.is_v4()) || !wanted(&dst) {
        return Err(anyway(Reason::NotVip));
    }
    let mut view = View {
        eth_dst: MacAddr(octets(frame, 0)),
        eth_src: MacAddr(octets(frame, 6)),
        tagged: tags > 0,
        v4,
        ip_len: 0,
        ttl: ip[if v4 { 8 } else { 7 }],
        key: FlowKey { dst, ..FlowKey::default() },
        seq: 0,
        ack: 0,
        flags: 0,
        seg_len: 0,
    };
    let read = if v4 { ipv4(ip, &mut view) } else { ipv6(ip, &mut view) };
    let about = Some((view.eth_dst, dst));
    read.map_err(|reason| Bad { reason, about })?;
    Ok(view)
}

fn ipv4(ip: &[u8], view: &mut View) -> Result<(), Reason> {
    view.key.src = Addr::v4(octets(ip, 12));
    view.key.proto = ip[9];
    view.ip_len = number16(ip, 2);
    match (ip[0] >> 4, ip[0] & 15) {
        (4, 5) => {}
        (4, 6..) => return Err(Reason::IpOptions),
        _ => return Err(Reason::BadIpHeader),
    }
    if !(20..=ip.len()).contains(&usize::from(view.ip_len)) {
        return Err(Reason::BadTotalLength);
    }
    let (more, offset) = (ip[6] & 0x20 != 0, number16(ip, 6) & 0x1fff);
    if more || offset != 0 {
        return Err(Reason::Fragment);
    }
    transport(&ip[20..usize::from(view.ip_len)], view)
}

fn ipv6(ip: &[u8], view: &mut View) -> Result<(), Reason> {
    view.key.src = Addr::v6(octets(ip, 8));
    view.key.proto = ip[6];
    let payload = usize::from(number16(ip, 4));
    view.ip_len = (payload + 40).min(65_535) as u16;
    if ip[0] >> 4 != 6 {
        return Err(Reason::BadIpHeader);
    }
    if payload > ip.len() - 40 {
        return Err(Reason::BadTotalLength);
    }
    match ip[6] {
        44 => return Err(Reason::Fragment),
        0 | 43 | 51 | 60 => return Err(Reason::Ipv6Extension),
        _ => {}
    }
    transport(&ip[40..40 + payload], view)
}

fn transport(l4: &[u8], view: &mut View) -> Result<(), Reason> {
    match view.key.proto {
        proto::TCP => {
            if l4.len() < 20 {
                return Err(Reason::BadTcpHeader);
            }
            let header = usize::from(l4[12] >> 4) * 4;
            if !(20..=l4.len()).contains(&header) {
                return Err(Reason::BadTcpHeader);
            }
            view.seq = number32(l4, 4);
            view.ack = number32(l4, 8);
            view.flags = l4[13];
            view.seg_len =
                (l4.len() - header) as u32 + u32::from(view.has(SYN)) + u32::from(view.has(FIN));
            let exclusive = [SYN, FIN, RST].into_iter().filter(|&f| view.has(f)).count();
            if exclusive > 1 || !(view.has(SYN) || view.has(RST) || view.has(ACK)) {
                return Err(Reason::BadTcpFlags);
            }
        }
        proto::UDP => {
            if l4.len() < 8 || !(8..=l4.len()).contains(&usize::from(number16(l4, 4))) {
                return Err(Reason::BadUdpLength);
            }
        }
        _ => return Ok(()),
    }
    view.key.sport = Be16::from_wire(octets(l4, 0));
    view.key.dport = Be16::from_wire(octets(l4, 2));
    Ok(())
}
