//! The packets that are sent, and what must become of them.

use anyhow::{Context as _, ensure};
use lb_common::{
    abi::{EMBRYO_ENTRIES, NAT_PROBES},
    bench::target,
    flow::FlowKey,
    net::{Be16, proto},
    reason::{Reason, Verdict},
};
use lb_ebpf::select::FlowHash;

use crate::{
    bed::{
        BACKEND_MAC, Bed, CLIENT_MAC, EMPTY_PORT, Family, OWN_MAC, Outcome, PORT, Pace, Walk,
        counted,
    },
    frame::{Frame, flags},
};

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// Flow zero's NAT port in a filled table, and its client's port.
const NAT_PORT: u16 = lb_common::abi::NAT_PORT_FIRST;
const CLIENT_PORT: u16 = lb_common::bench::FIRST_CLIENT_PORT;

/// New flows are numbered from here: never one of those in the table.
pub(crate) const FIRST_NEW: u32 = 1 << 27;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Floor: wrapper, loop and tail call alone.
    Empty,
    /// Floor: one look-up in the same table.
    Lookup,
    /// Client to backend, on an established flow.
    Forward,
    /// Backend to client, on an established flow.
    Reverse,
    /// Every packet another SYN, room in `embryo`.
    NewRoom,
    /// Every packet another SYN, `embryo` full: each evicts an older one.
    NewFull,
    /// To an address that is no VIP.
    NotForUs,
    /// To a service without backends: answered with RST.
    Refused,
}

impl Scenario {
    /// In the order of the table; the floors first.
    pub(crate) const ALL: [Self; 8] = [
        Self::Empty,
        Self::Lookup,
        Self::Forward,
        Self::Reverse,
        Self::NewRoom,
        Self::NewFull,
        Self::NotForUs,
        Self::Refused,
    ];

    /// The name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty program",
            Self::Lookup => "one look-up",
            Self::Forward => "established, forward",
            Self::Reverse => "established, reverse",
            Self::NewRoom => "new flow, room",
            Self::NewFull => "new flow, full",
            Self::NotForUs => "not for us",
            Self::Refused => "refused (RST)",
        }
    }

    /// The program that is called.
    pub(crate) fn target(self) -> u32 {
        match self {
            Self::Empty => target::EMPTY,
            Self::Lookup => target::LOOKUP,
            _ => target::LB,
        }
    }

    /// The reason that every packet must meet; `None` for the floors.
    pub(crate) fn reason(self) -> Option<Reason> {
        match self {
            Self::Empty | Self::Lookup => None,
            Self::Forward | Self::NewRoom | Self::NewFull => Some(Reason::ToBackend),
            Self::Reverse => Some(Reason::ToClient),
            Self::NotForUs => Some(Reason::NotVip),
            Self::Refused => Some(Reason::RefusedNoBackend),
        }
    }

    /// Whether each packet makes a flow.
    pub(crate) fn makes_flows(self) -> bool {
        matches!(self, Self::NewRoom | Self::NewFull)
    }

    /// When to take the time. New flows fill `embryo`, two entries each: with room they end
    /// before it is full, without they begin after.
    pub(crate) fn pace(self, quick: bool) -> Pace {
        let chunk = 1000;
        let chunks = if quick { 20 } else { 200 };
        match self {
            Self::NewRoom => Pace { warm_up: 20_000, chunk, chunks: chunks.min(40) },
            Self::NewFull => {
                Pace { warm_up: EMBRYO_ENTRIES / 2 + 20_000, chunk, chunks: chunks.min(60) }
            }
            _ => Pace { warm_up: 20_000, chunk, chunks },
        }
    }

    /// Flow zero's frame.
    pub(crate) fn frame(self, family: Family) -> Frame {
        let data = Frame {
            eth_src: CLIENT_MAC,
            eth_dst: OWN_MAC,
            src: family.client(),
            dst: family.vip(),
            sport: CLIENT_PORT,
            dport: PORT,
            seq: 0x1122_3344,
            ack: 0x5566_7788,
            flags: flags::ACK,
            window: 501,
            ttl: 64,
            payload: 40,
        };
        let syn = Frame { flags: flags::SYN, ack: 0, ..data };
        match self {
            Self::Empty | Self::Lookup | Self::Forward => data,
            Self::Reverse => Frame {
                eth_src: BACKEND_MAC,
                src: family.backend(),
                sport: PORT,
                dport: NAT_PORT,
                ..data
            },
            Self::NewRoom | Self::NewFull => syn,
            Self::NotForUs => Frame { dst: family.other(), ..data },
            Self::Refused => Frame { dport: EMPTY_PORT, ..syn },
        }
    }

    /// Sends flow zero's packet, or for new flows flow `FIRST_NEW`'s, and compares every byte of
    /// what comes out.
    pub(crate) fn verify(self, bed: &mut Bed) -> anyhow::Result<()> {
        let sent = self.frame(bed.family);
        let first = if self.makes_flows() { FIRST_NEW } else { 0 };
        let walk = Walk { first, step: 1, end: u32::MAX };
        let out = bed.send(self.target(), &sent, walk, Pace::ONCE)?;
        self.verify_action(&out)?;
        let expected = self.expected(&sent, bed);
        if self.makes_flows() {
            let (made, others) = bed.forget(FIRST_NEW, 1)?;
            ensure!(
                (made, others) == (2, 0),
                "a SYN left `{made}` entries in `embryo` instead of 2, and `{others}` others"
            );
        }
        let matches = |frame: &Frame| equal(&frame.bytes(), &out.frame, self.makes_flows());
        ensure!(
            expected.iter().any(matches),
            "the packet came out as `{:02x?}`, not as `{:02x?}`",
            out.frame,
            expected.first().map(Frame::bytes).context("nothing is expected")?
        );
        Ok(())
    }

    /// What may come out for `sent`, the frame that [`Self::verify`] sends.
    fn expected(self, sent: &Frame, bed: &Bed) -> Vec<Frame> {
        match self {
            Self::Empty | Self::Lookup | Self::NotForUs => vec![*sent],
            Self::Forward => vec![to_backend(sent, bed, 0, NAT_PORT)],
            Self::Reverse => vec![Frame {
                eth_src: OWN_MAC,
                eth_dst: CLIENT_MAC,
                src: bed.family.vip(),
                dst: bed.family.client(),
                sport: PORT,
                dport: CLIENT_PORT,
                ttl: 63,
                ..*sent
            }],
            Self::Refused => vec![Frame {
                eth_src: OWN_MAC,
                eth_dst: CLIENT_MAC,
                src: sent.dst,
                dst: sent.src,
                sport: sent.dport,
                dport: sent.sport,
                seq: 0,
                ack: sent.seq + 1 + sent.payload as u32,
                flags: flags::RST | flags::ACK,
                window: 0,
                payload: 0,
                ..*sent
            }],
            Self::NewRoom | Self::NewFull => new_flows(sent, bed),
        }
    }

    /// Whether a run's last packet met the right verdict, and the look-up floor found its flows.
    pub(crate) fn verify_action(self, out: &Outcome) -> anyhow::Result<()> {
        let expected = match self.reason().map(Reason::verdict) {
            Some(Verdict::Pass) => XDP_PASS,
            _ => XDP_TX,
        };
        ensure!(out.action == expected, "XDP action `{}` instead of `{expected}`", out.action);
        ensure!(out.state.misses == 0, "`{}` look-ups found nothing", out.state.misses);
        Ok(())
    }
}

fn to_backend(sent: &Frame, bed: &Bed, backend: u32, nat_port: u16) -> Frame {
    Frame {
        eth_src: OWN_MAC,
        eth_dst: BACKEND_MAC,
        src: bed.family.vip(),
        dst: counted(bed.family.backend(), backend),
        sport: nat_port,
        dport: PORT,
        ttl: 63,
        ..*sent
    }
}

/// What may come out for flow `FIRST_NEW`: another flow may hold its first NAT ports.
fn new_flows(sent: &Frame, bed: &Bed) -> Vec<Frame> {
    let sport = CLIENT_PORT + (FIRST_NEW >> lb_common::bench::CLIENT_BITS) as u16;
    let key = FlowKey {
        src: sent.src,
        dst: sent.dst,
        sport: Be16::new(sport),
        dport: Be16::new(sent.dport),
        proto: proto::TCP,
        ..FlowKey::default()
    };
    let hash = FlowHash::new(&key, false);
    let backend = hash.slot() as u32 & ((1 << bed.backend_bits) - 1);
    (0..NAT_PROBES).map(|k| to_backend(sent, bed, backend, hash.nat_port(k).get())).collect()
}

/// Whether frames are equal, but for the TCP checksum if the wrapper has spoilt it by writing
/// another flow's address and port.
fn equal(a: &[u8], b: &[u8], spoilt: bool) -> bool {
    let without_check = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        let ip_len = if frame.get(12) == Some(&0x08) { 20 } else { 40 };
        if let Some(check) = frame.get_mut(14 + ip_len + 16..).and_then(|tcp| tcp.get_mut(..2)) {
            check.fill(0);
        }
        frame
    };
    if spoilt { without_check(a) == without_check(b) } else { a == b }
}
