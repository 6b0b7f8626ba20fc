//! A client's connection: its packets as each side sends and gets them.

use std::net::IpAddr;

use lb_common::{
    config::filter_bit,
    flow::FlowKey,
    net::{Addr, Be16, MacAddr},
    reason::Reason,
};
use lb_ebpf::select::FlowHash;
use lb_tests::packet::{Packet, Payload, RST, Tcp, Udp, segment};

use super::{
    scene::{BACKEND_MAC, CLIENT_MAC, OWN_BACK_MAC, OWN_MAC, Scene, Want},
    target::Target,
};

/// One client connection, seen from both sides.
#[derive(Clone, Copy)]
pub(crate) struct Conn {
    /// The service.
    pub(crate) target: Target,
    /// Client address.
    pub(crate) client: IpAddr,
    /// Client port.
    pub(crate) cport: u16,
    /// The VIP.
    pub(crate) vip: IpAddr,
    /// Backend address.
    pub(crate) backend: IpAddr,
    /// Port towards the backend.
    pub(crate) nat: u16,
    /// Source of the client's frames.
    pub(crate) client_mac: MacAddr,
}

impl Conn {
    /// The client's connection from port `cport`, with the NAT port its hash begins at.
    pub(crate) fn new(scene: &Scene, target: Target, cport: u16) -> Self {
        let mut conn = Self {
            target,
            client: scene.client(),
            cport,
            vip: scene.vip(),
            backend: scene.backend(target),
            nat: 0,
            client_mac: CLIENT_MAC,
        };
        conn.nat = FlowHash::new(&conn.key(), false).nat_port(0).get();
        conn
    }

    /// The forward key.
    pub(crate) fn key(&self) -> FlowKey {
        FlowKey {
            src: self.client.into(),
            dst: self.vip.into(),
            sport: Be16::new(self.cport),
            dport: Be16::new(self.target.port),
            proto: self.target.proto,
            pad: 0,
            pad_end: 0,
        }
    }

    /// The reverse key.
    pub(crate) fn reverse_key(&self) -> FlowKey {
        FlowKey {
            src: self.backend.into(),
            sport: Be16::new(self.target.backend_port),
            dport: Be16::new(self.nat),
            ..self.key()
        }
    }

    /// The packet as the client sends it.
    pub(crate) fn client_sends(&self, payload: impl Into<Payload>) -> Packet {
        let ports = (self.cport, self.target.port);
        packet((self.client_mac, OWN_MAC), (self.client, self.vip), ports, payload.into())
    }

    /// The same packet as the backend gets it.
    pub(crate) fn backend_gets(&self, payload: impl Into<Payload>) -> Packet {
        let ports = (self.nat, self.target.backend_port);
        let macs = (OWN_BACK_MAC, BACKEND_MAC);
        let packet = packet(macs, (self.vip, self.backend), ports, payload.into());
        Packet { ttl: 63, ..packet }
    }

    /// The packet as the backend sends it.
    pub(crate) fn backend_sends(&self, payload: impl Into<Payload>) -> Packet {
        let ports = (self.target.backend_port, self.nat);
        let macs = (BACKEND_MAC, OWN_BACK_MAC);
        packet(macs, (self.backend, self.vip), ports, payload.into())
    }

    /// The same packet as the client gets it.
    pub(crate) fn client_gets(&self, payload: impl Into<Payload>) -> Packet {
        let ports = (self.target.port, self.cport);
        let macs = (OWN_MAC, self.client_mac);
        Packet { ttl: 63, ..packet(macs, (self.vip, self.client), ports, payload.into()) }
    }

    /// The RST by which the data plane answers the client.
    pub(crate) fn client_reset(&self, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
        let tcp = Tcp { window: 0, ..segment(flags | RST, seq, ack) };
        Packet { ttl: 64, id: 0, ..self.client_gets(tcp) }.bytes()
    }

    /// The RST by which the data plane answers the backend.
    pub(crate) fn backend_reset(&self, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
        let tcp = Tcp { window: 0, ..segment(flags | RST, seq, ack) };
        Packet { ttl: 64, id: 0, ..self.backend_gets(tcp) }.bytes()
    }

    /// The client's packet reaches the backend.
    pub(crate) fn forward(
        &self,
        scene: &mut Scene,
        payload: impl Into<Payload>,
    ) -> anyhow::Result<()> {
        let payload = payload.into();
        let out = self.backend_gets(payload.clone()).bytes();
        scene.expect(&self.client_sends(payload).bytes(), Want::Sent(Reason::ToBackend, out))
    }

    /// The backend's packet reaches the client.
    pub(crate) fn reverse(
        &self,
        scene: &mut Scene,
        payload: impl Into<Payload>,
    ) -> anyhow::Result<()> {
        let payload = payload.into();
        let out = self.client_gets(payload.clone()).bytes();
        scene.expect(&self.backend_sends(payload).bytes(), Want::Sent(Reason::ToClient, out))
    }

    /// The client's packet is dropped or handed to the kernel.
    pub(crate) fn stopped(
        &self,
        scene: &mut Scene,
        payload: impl Into<Payload>,
        reason: Reason,
    ) -> anyhow::Result<()> {
        scene.expect(&self.client_sends(payload).bytes(), Want::Untouched(reason))
    }

    /// The backend's packet is dropped or handed to the kernel.
    pub(crate) fn backend_stopped(
        &self,
        scene: &mut Scene,
        payload: impl Into<Payload>,
        reason: Reason,
    ) -> anyhow::Result<()> {
        scene.expect(&self.backend_sends(payload).bytes(), Want::Untouched(reason))
    }
}

fn packet(
    (eth_src, eth_dst): (MacAddr, MacAddr),
    (src, dst): (IpAddr, IpAddr),
    (from, to): (u16, u16),
    mut payload: Payload,
) -> Packet {
    match &mut payload {
        Payload::Tcp(Tcp { sport, dport, .. }) | Payload::Udp(Udp { sport, dport, .. }) => {
            (*sport, *dport) = (from, to);
        }
        Payload::Icmp(_) | Payload::Other { .. } => {}
    }
    let (tags, trailer) = (Vec::new(), Vec::new());
    Packet { eth_src, eth_dst, tags, src, dst, ttl: 64, tos: 0, id: 0x1234, payload, trailer }
}

/// An address that shares the filter's bit with this one.
pub(crate) fn twin(addr: IpAddr) -> IpAddr {
    let wanted = filter_bit(&Addr::from(addr));
    let change = |n: u32| -> IpAddr {
        match addr {
            IpAddr::V4(v4) => std::net::Ipv4Addr::from(v4.to_bits() ^ n).into(),
            IpAddr::V6(v6) => std::net::Ipv6Addr::from(v6.to_bits() ^ u128::from(n)).into(),
        }
    };
    // invariant: with 4096 bits one in 4096 addresses shares it.
    (1..1 << 20).map(change).find(|&a| filter_bit(&a.into()) == wanted).expect("a twin")
}
