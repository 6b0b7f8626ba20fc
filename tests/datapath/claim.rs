//! Who asks for a VIP whose lease this node does not hold is not answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{
    config::filter_bit,
    net::{Addr, MacAddr},
    reason::Reason,
};
use lb_tests::packet::{Packet, arp, solicitation, solicited_node};

use super::{
    conn::twin,
    fixture::{Fixture, both, open_tcp, open_udp, v4, v6},
    scene::{CLIENT_MAC, OWN_MAC, Scene, Want},
    target::{DNS, HTTPS},
};

const HOUR: u64 = 3_600_000_000_000;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const BROADCAST: MacAddr = MacAddr([0xff; 6]);
const TAG: [u8; 4] = [0x81, 0, 0, 5];
/// Offset of the first byte after the Ethernet header.
const ETH: usize = 14;

/// The deadline of the VIP's lease, made from the time of day.
type Deadline = fn(u64) -> Option<u64>;

/// Every kind of lease, and whether it is over.
const LEASES: [(&str, Deadline, bool); 5] = [
    ("no lease", |_| None, false),
    ("a lease for an hour", |now| Some(now + HOUR), false),
    ("a lease for ever", |_| Some(u64::MAX), false),
    ("a lease that ended just now", Some, true),
    ("a lease of nothing", |_| Some(0), true),
];

fn vip4(scene: &Scene) -> Ipv4Addr {
    match scene.vip() {
        IpAddr::V4(vip) => vip,
        IpAddr::V6(vip) => panic!("{vip} is not asked for by ARP"),
    }
}

fn vip6(scene: &Scene) -> Ipv6Addr {
    match scene.vip() {
        IpAddr::V4(vip) => panic!("{vip} is not solicited"),
        IpAddr::V6(vip) => vip,
    }
}

/// The client's broadcast for the VIP.
fn request(scene: &Scene) -> Vec<u8> {
    asks_for(scene, vip4(scene))
}

fn asks_for(scene: &Scene, target: Ipv4Addr) -> Vec<u8> {
    let IpAddr::V4(client) = scene.client() else { panic!("the client has no IPv4 address") };
    arp(REQUEST, (CLIENT_MAC, BROADCAST), client, target)
}

/// The client's solicitation of `target`, to its group.
fn to_group(scene: &Scene, target: Ipv6Addr) -> Packet {
    let (group, eth_dst) = solicited_node(target);
    Packet {
        eth_src: CLIENT_MAC,
        eth_dst,
        tags: Vec::new(),
        src: scene.client(),
        dst: group.into(),
        ttl: 255,
        tos: 0,
        id: 0,
        payload: solicitation(CLIENT_MAC, target).into(),
        trailer: Vec::new(),
    }
}

/// The client makes sure that the VIP is still there.
fn to_vip(scene: &Scene) -> Packet {
    Packet { eth_dst: OWN_MAC, dst: scene.vip(), ..to_group(scene, vip6(scene)) }
}

/// A solicitation of the VIP to the first group that shares its bit in the filter.
fn to_colliding_group(scene: &Scene) -> Packet {
    let wanted = filter_bit(&scene.vip().into());
    let group = |n: u128| solicited_node(Ipv6Addr::from(n));
    // invariant: with 4096 bits one in 4096 addresses shares it.
    let (group, eth_dst) = (0..1 << 24)
        .map(group)
        .find(|(g, _)| filter_bit(&Addr::v6(g.octets())) == wanted)
        .expect("a group");
    Packet { eth_dst, dst: group.into(), ..to_group(scene, vip6(scene)) }
}

/// The frame is dropped while the lease is over, and otherwise meets `passed`.
fn gated(
    name: &str,
    make: fn(String, Play) -> Fixture,
    passed: Reason,
    frame: fn(&Scene) -> Vec<u8>,
) -> Vec<Fixture> {
    let fixture = |(lease, deadline, over): (&str, Deadline, bool)| {
        let play = move |s: &mut Scene| {
            let now = s.dp.now()?;
            s.dp.set_lease(s.vip().into(), deadline(now))?;
            let wanted = if over { Reason::ClaimOver } else { passed };
            s.expect(&frame(s), Want::Untouched(wanted))
        };
        make(format!("{name}, {lease}"), Box::new(play))
    };
    LEASES.into_iter().map(fixture).collect()
}

/// The frame is the kernel's although the VIP's lease is over.
fn let_be(
    name: &str,
    make: fn(String, Play) -> Fixture,
    passed: Reason,
    frame: impl Fn(&Scene) -> Vec<u8> + 'static,
) -> Fixture {
    let play = move |s: &mut Scene| {
        s.dp.set_lease(s.vip().into(), Some(0))?;
        s.expect(&frame(s), Want::Untouched(passed))
    };
    make(name.to_owned(), Box::new(play))
}

type Play = Box<dyn Fn(&mut Scene) -> anyhow::Result<()>>;

/// The fixtures.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut all = arp_requests();
    all.extend(no_arp_requests());
    all.extend(solicitations());
    all.extend(no_solicitations());
    all.push(both("a VIP whose lease is over is served", |s| {
        s.dp.set_lease(s.vip().into(), Some(0))?;
        open_tcp(s, HTTPS, 40_000)?;
        open_udp(s, DNS, 40_001).map(drop)
    }));
    all
}

fn arp_requests() -> Vec<Fixture> {
    let mut all = gated("an ARP request", v4, Reason::NotIp, request);
    all.extend(gated("an ARP request with padding", v4, Reason::NotIp, |s| {
        let mut frame = request(s);
        frame.resize(60, 0xa5);
        frame
    }));
    all.extend(gated("an ARP request to this station", v4, Reason::NotIp, |s| {
        let mut frame = request(s);
        frame[..6].copy_from_slice(&OWN_MAC.0);
        frame
    }));
    all.extend(gated("an ARP probe", v4, Reason::NotIp, |s| {
        arp(REQUEST, (CLIENT_MAC, BROADCAST), Ipv4Addr::UNSPECIFIED, vip4(s))
    }));
    all
}

fn no_arp_requests() -> Vec<Fixture> {
    let changed = |name: &str, at: usize, value: u8| {
        let_be(name, v4, Reason::NotIp, move |s| {
            let mut frame = request(s);
            frame[ETH + at] = value;
            frame
        })
    };
    vec![
        let_be("an ARP reply", v4, Reason::NotIp, |s| {
            arp(REPLY, (CLIENT_MAC, OWN_MAC), vip4(s), vip4(s))
        }),
        let_be("an ARP reply to the VIP", v4, Reason::NotIp, |s| {
            let mut frame = request(s);
            frame[ETH + 7] = REPLY as u8;
            frame
        }),
        let_be("a gratuitous ARP request", v4, Reason::NotIp, |s| {
            arp(REQUEST, (CLIENT_MAC, BROADCAST), vip4(s), vip4(s))
        }),
        let_be("an ARP request for another address", v4, Reason::NotIp, |s| {
            asks_for(s, Ipv4Addr::new(203, 0, 113, 1))
        }),
        let_be("an ARP request for an address with the VIP's filter bit", v4, Reason::NotIp, |s| {
            let IpAddr::V4(beside) = twin(s.vip()) else { panic!("the twin is of a kind") };
            asks_for(s, beside)
        }),
        let_be("an ARP request cut short", v4, Reason::NotIp, |s| {
            let mut frame = request(s);
            frame.pop();
            frame
        }),
        let_be("an ARP header alone", v4, Reason::NotIp, |s| request(s)[..ETH + 8].to_vec()),
        let_be("a tagged ARP request", v4, Reason::NotIp, |s| {
            let mut frame = request(s);
            frame.splice(12..12, TAG);
            frame
        }),
        changed("ARP, hardware type 6", 1, 6),
        changed("ARP, protocol type 0x0801", 3, 1),
        changed("ARP, hardware addresses of 8 bytes", 4, 8),
        changed("ARP, protocol addresses of 16 bytes", 5, 16),
        changed("ARP, operation 257", 6, 1),
        changed("ARP, operation 3", 7, 3),
    ]
}

fn solicitations() -> Vec<Fixture> {
    let mut all =
        gated("a solicitation to the group", v6, Reason::NotVip, |s| to_group(s, vip6(s)).bytes());
    all.extend(gated("a solicitation to the VIP", v6, Reason::OtherProtocol, |s| {
        to_vip(s).bytes()
    }));
    all.extend(gated("a broadcast solicitation to the VIP", v6, Reason::NotOurMac, |s| {
        Packet { eth_dst: BROADCAST, ..to_vip(s) }.bytes()
    }));
    all.extend(gated("duplicate address detection", v6, Reason::NotVip, |s| {
        Packet { src: Ipv6Addr::UNSPECIFIED.into(), ..to_group(s, vip6(s)) }.bytes()
    }));
    all.extend(gated("a solicitation with padding", v6, Reason::NotVip, |s| {
        Packet { trailer: vec![0xa5; 7], ..to_group(s, vip6(s)) }.bytes()
    }));
    all.extend(gated("filter collision: the group", v6, Reason::NotOurMac, |s| {
        to_colliding_group(s).bytes()
    }));
    all.extend(gated("filter collision: the group, to this station", v6, Reason::NotVip, |s| {
        Packet { eth_dst: OWN_MAC, ..to_colliding_group(s) }.bytes()
    }));
    all
}

fn no_solicitations() -> Vec<Fixture> {
    let group = |name: &str, change: fn(&Scene, Packet) -> Packet| {
        let_be(name, v6, Reason::NotVip, move |s| change(s, to_group(s, vip6(s))).bytes())
    };
    let unicast = |name: &str, change: fn(Packet) -> Packet| {
        let_be(name, v6, Reason::OtherProtocol, move |s| change(to_vip(s)).bytes())
    };
    let changed = |name: &str, at: usize, value: u8| {
        let_be(name, v6, Reason::NotVip, move |s| {
            let mut frame = to_group(s, vip6(s)).bytes();
            frame[ETH + at] = value;
            frame
        })
    };
    vec![
        group("a solicitation, hop limit 254", |_, p| Packet { ttl: 254, ..p }),
        group("a solicitation to all nodes", |_, p| Packet {
            dst: Ipv6Addr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]).into(),
            ..p
        }),
        group("a solicitation to a group of another scope", |_, p| Packet {
            dst: Ipv6Addr::from([0xff05, 0, 0, 0, 0, 1, 0xff00, 0x50]).into(),
            ..p
        }),
        group("a solicitation to another address of this node", |s, p| Packet {
            dst: s.router(),
            eth_dst: OWN_MAC,
            ..p
        }),
        group("a solicitation of another address", |s, _| {
            let IpAddr::V6(router) = s.router() else { panic!("the router is of a kind") };
            to_group(s, router)
        }),
        group("a solicitation of an address with the VIP's filter bit", |s, _| {
            let IpAddr::V6(beside) = twin(s.vip()) else { panic!("the twin is of a kind") };
            to_group(s, beside)
        }),
        group("a tagged solicitation", |_, p| Packet { tags: vec![([0x81, 0], [0, 5])], ..p }),
        changed("an advertisement to the group", 40, 136),
        changed("a solicitation behind an extension header", 6, 60),
        changed("a solicitation too short for a target", 5, 23),
        changed("a solicitation longer than its frame", 5, 33),
        changed("a solicitation of IP version 5", 0, 0x50),
        let_be("a solicitation cut short", v6, Reason::NotVip, |s| {
            to_group(s, vip6(s)).bytes()[..ETH + 40 + 8 + 15].to_vec()
        }),
        unicast("a solicitation to the VIP, hop limit 254", |p| Packet { ttl: 254, ..p }),
        unicast("a tagged solicitation to the VIP", |p| Packet {
            tags: vec![([0x81, 0], [0, 5])],
            ..p
        }),
    ]
}
