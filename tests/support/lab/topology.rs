//! Which hosts a lab has, where they are plugged in and what they are called. No IO.
//!
//! ```text
//!     client .100  observer .101   lb-01 .5   lb-02 .6   cp-01..cp-10 .11-.20
//!          │          │               │          │            │
//!  front ──┴──────────┴───────────────┴──────────┴────────────┴──── 10.47.160.0/24, fd47:160::/64
//!                                                             │ .1
//!                                                           router          (`router`)
//!                                                             │ .1
//!  far   ────────────────────────────── far-01 .21 ─── far-client .100 ── 10.47.170.0/24, fd47:170::/64
//! ```
//! With `back_segment` the backends move to a network of their own, 10.47.161.0/24 and
//! fd47:161::/64, that the balancers reach by `eth1` under the same last number. The backends'
//! gateway is then lb-01, since answers go to the VIP, which is in the front network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::net::MacAddr;

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Backends `cp-01`..: 1..=10.
    pub backends: u8,
    /// Load balancers `lb-01`..: 1..=5.
    pub balancers: u8,
    /// A router, and behind it `far-01` and `far-client`.
    pub router: bool,
    /// The backends in a network of their own, behind the balancers' `eth1`.
    pub back_segment: bool,
    /// A host `observer` beside the client, that asks who claims a VIP.
    pub observer: bool,
    /// MTU of every interface, in bytes. Native XDP on a veth needs one page for frame and
    /// headroom: at most 3,498 for the balancers.
    pub mtu: u32,
}

impl Default for Options {
    fn default() -> Self {
        let (router, back_segment, observer) = (false, false, false);
        Self { backends: 3, balancers: 2, router, back_segment, observer, mtu: 1500 }
    }
}

/// One Ethernet segment: a bridge in the lab's `net` namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Clients and balancers; the backends too, unless there is a back segment.
    Front,
    /// Backends, when they have a segment of their own.
    Back,
    /// Behind the router.
    Far,
}

impl Segment {
    /// The number that tells the networks apart, in both families' texts.
    fn number(self) -> u8 {
        match self {
            Self::Front => 160,
            Self::Back => 161,
            Self::Far => 170,
        }
    }

    /// Name of its bridge.
    pub fn bridge(self) -> &'static str {
        match self {
            Self::Front => "br-front",
            Self::Back => "br-back",
            Self::Far => "br-far",
        }
    }

    /// IPv4 address of host `n` in this /24.
    pub fn ipv4(self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 47, self.number(), n)
    }

    /// IPv6 address of host `n` in this /64. Its text ends in the same digits as the IPv4 one:
    /// host 11 is `::11`.
    pub fn ipv6(self, n: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd47, same_digits(self.number()), 0, 0, 0, 0, 0, same_digits(n))
    }
}

/// The number whose hexadecimal text is `n`'s decimal text.
fn same_digits(n: u8) -> u16 {
    let n = u16::from(n);
    ((n / 100) << 8) | ((n / 10 % 10) << 4) | (n % 10)
}

/// Address `n` of the virtual ones, counted from 1: 10.47.160.50, .51, …; 1..=40.
pub fn vip4(n: u8) -> IpAddr {
    Segment::Front.ipv4(49 + n).into()
}

/// IPv6 twin of [`vip4`].
pub fn vip6(n: u8) -> IpAddr {
    Segment::Front.ipv6(49 + n).into()
}

/// A host before it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// `client`, `lb-01`, …
    pub name: String,
    /// `eth0` first.
    pub links: Vec<LinkPlan>,
    /// Default route of both families: a segment and the gateway's number in it.
    pub gateway: Option<(Segment, u8)>,
    /// Whether it routes (`ip_forward`).
    pub forwards: bool,
    /// Whether XDP programs run on its interfaces.
    pub balancer: bool,
}

/// A wire from a host to a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// Name inside the host.
    pub device: String,
    /// Where the other end is plugged in.
    pub segment: Segment,
    /// Last number of its addresses.
    pub number: u8,
    /// Name of the other end in the `net` namespace; an interface name, so 15 bytes at most.
    pub port: String,
}

impl LinkPlan {
    /// 02:47, then the segment and the host's number in decimal digits: cp-01 is
    /// 02:47:01:60:00:11.
    pub fn mac(&self) -> MacAddr {
        let [_, network, .., last] = self.segment.ipv6(self.number).segments();
        let [a, b] = network.to_be_bytes();
        let [c, d] = last.to_be_bytes();
        MacAddr([0x02, 0x47, a, b, c, d])
    }
}

/// Every host that `options` ask for. Numbers out of range are cut to the range.
pub fn plan(options: &Options) -> Vec<HostPlan> {
    let front_gateway = options.router.then_some((Segment::Front, 1));
    let mut hosts = vec![host("client", &[(Segment::Front, 100)], front_gateway)];
    if options.observer {
        hosts.push(host("observer", &[(Segment::Front, 101)], None));
    }
    for n in 1..=options.balancers.clamp(1, 5) {
        let links = [(Segment::Front, 4 + n), (Segment::Back, 4 + n)];
        let used = if options.back_segment { &links[..] } else { &links[..1] };
        let mut balancer = host(&format!("lb-{n:02}"), used, front_gateway);
        balancer.balancer = true;
        hosts.push(balancer);
    }
    let (segment, gateway) = match options.back_segment {
        true => (Segment::Back, Some((Segment::Back, 5))),
        false => (Segment::Front, front_gateway),
    };
    for n in 1..=options.backends.clamp(1, 10) {
        hosts.push(host(&format!("cp-{n:02}"), &[(segment, 10 + n)], gateway));
    }
    if options.router {
        let mut router = host("router", &[(Segment::Front, 1), (Segment::Far, 1)], None);
        router.forwards = true;
        hosts.push(router);
        let far_gateway = Some((Segment::Far, 1));
        hosts.push(host("far-01", &[(Segment::Far, 21)], far_gateway));
        hosts.push(host("far-client", &[(Segment::Far, 100)], far_gateway));
    }
    hosts
}

fn host(name: &str, links: &[(Segment, u8)], gateway: Option<(Segment, u8)>) -> HostPlan {
    let links = links
        .iter()
        .enumerate()
        .map(|(index, &(segment, number))| LinkPlan {
            device: format!("eth{index}"),
            segment,
            number,
            port: format!("{name}.{index}"),
        })
        .collect();
    HostPlan { name: name.to_owned(), links, gateway, forwards: false, balancer: false }
}

#[cfg(test)]
mod tests;
