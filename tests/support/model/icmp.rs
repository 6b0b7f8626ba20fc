//! ICMP errors about flows.

use lb_common::{
    flow::FlowKey,
    net::{Addr, Be16, proto},
    reason::Reason,
};

use super::{
    Decision, Model, Step,
    frame::{View, number16, octets},
    rewrite::{self, Target, addresses, put, transport_check, update, wire},
};

impl Model {
    /// An error about a flow is translated; any other message is the kernel's.
    pub(super) fn icmp(&self, frame: &[u8], view: &View) -> Result<Step, Reason> {
        if view.tagged || view.v4 != (view.key.proto == proto::ICMP) {
            return Err(Reason::OtherProtocol);
        }
        let errors: &[u8] = if view.v4 { &[3, 4, 11, 12] } else { &[1, 2, 3, 4] };
        if frame.len() < view.l4() + 8 || !errors.contains(&frame[view.l4()]) {
            return Err(Reason::OtherProtocol);
        }
        let key = quoted(frame, view).ok_or(Reason::IcmpUnrelated)?;
        let entry = self.conns.get(&key).or_else(|| self.embryo.get(&key));
        let entry = entry.filter(|_| key.dst == view.key.dst).ok_or(Reason::IcmpUnrelated)?;
        let (reason, route) = match self.along(entry) {
            Decision::Forward(Reason::ToBackend, route) => (Reason::IcmpToBackend, route),
            Decision::Forward(_, route) => (Reason::IcmpToClient, route),
            Decision::Other(reason) => return Err(reason),
        };
        if view.ttl <= 1 {
            return Err(Reason::TtlExpired);
        }
        let out = translate(frame, view, &key, &route.to);
        self.send(reason, out, route.to.ifindex)
    }
}

/// Where the quoted packet begins in the frame.
fn quote(view: &View) -> usize {
    view.l4() + 8
}

fn header_len(v4: bool) -> usize {
    if v4 { 20 } else { 40 }
}

/// The key under which the answer to the quoted packet would be found.
fn quoted(frame: &[u8], view: &View) -> Option<FlowKey> {
    let end = 14 + usize::from(view.ip_len);
    let ip = &frame[quote(view).min(end)..end];
    let l4 = header_len(view.v4);
    if ip.len() < l4 + 8 {
        return None;
    }
    let mut key = FlowKey::default();
    if view.v4 {
        if ip[0] != 0x45 || number16(ip, 6) & 0x1fff != 0 {
            return None;
        }
        (key.src, key.dst) = (Addr::v4(octets(ip, 16)), Addr::v4(octets(ip, 12)));
        key.proto = ip[9];
    } else {
        (key.src, key.dst) = (Addr::v6(octets(ip, 24)), Addr::v6(octets(ip, 8)));
        key.proto = ip[6];
    }
    key.sport = Be16::from_wire(octets(ip, l4 + 2));
    key.dport = Be16::from_wire(octets(ip, l4));
    [proto::TCP, proto::UDP].contains(&key.proto).then_some(key)
}

/// Outside from the VIP to the peer; inside the packet as the peer sent it: from the peer to the
/// VIP, with the ports it used.
fn translate(frame: &[u8], view: &View, key: &FlowKey, to: &Target) -> Vec<u8> {
    let v4 = view.v4;
    let (icmp, inner) = (view.l4(), quote(view));
    let l4 = inner + header_len(v4);
    let end = 14 + usize::from(view.ip_len);
    let mut out = frame.to_vec();
    rewrite::ip_header(&mut out, 14, v4, &to.peer);

    let (at, len) = addresses(v4);
    put(&mut out, inner + at, &wire(&to.peer, v4));
    put(&mut out, inner + at + len, &wire(&key.dst, v4));
    let changed = |frame: &[u8]| frame[inner + at..inner + at + 2 * len].to_vec();
    let (old, new) = (changed(frame), changed(&out));
    if v4 {
        let check = update(number16(frame, inner + 10), &old, &new);
        put(&mut out, inner + 10, &check.to_be_bytes());
    }
    put(&mut out, l4, &to.dport.to_be_bytes());
    put(&mut out, l4 + 2, &to.sport.to_be_bytes());
    let udp = key.proto == proto::UDP;
    let check_at = l4 + if udp { 6 } else { 16 };
    if check_at + 2 <= end {
        let old = [old, frame[l4..l4 + 4].to_vec()].concat();
        let new = [new, out[l4..l4 + 4].to_vec()].concat();
        let check = transport_check(udp, number16(frame, check_at), &old, &new);
        put(&mut out, check_at, &check.to_be_bytes());
    }
    let mut check = update(number16(frame, icmp + 2), &frame[icmp + 4..end], &out[icmp + 4..end]);
    if !v4 {
        let pseudo = 14 + at..14 + at + 2 * len;
        check = update(check, &frame[pseudo.clone()], &out[pseudo]);
    }
    put(&mut out, icmp + 2, &check.to_be_bytes());
    put(&mut out, 0, &to.eth_dst.0);
    put(&mut out, 6, &to.eth_src.0);
    out
}
