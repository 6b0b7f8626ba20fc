//! The stage of the fixtures: one client, one VIP, and a service for each case.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, bail, ensure};
use lb_common::{
    backend::{Backend, BackendState, NextHop},
    config::{Config, filter_bit},
    counter::{Counter, Traffic},
    maglev::{MaglevTable, SLOTS},
    net::{Be16, MacAddr},
    reason::{Reason, Verdict},
    service::{NoBackend, Service, ServiceKey},
};
use lb_tests::{
    datapath::{Datapath, INGRESS, Outcome},
    packet::{hex, verify},
};

use super::target::{self, REDIRECT, Target};

/// Entries of `conns`: eight flows.
pub(crate) const ENTRIES: u32 = 16;

/// The client, or its gateway.
pub(crate) const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xc1]);
/// The client's other gateway.
pub(crate) const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xc2]);
/// Towards the client.
pub(crate) const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
/// Towards the backends.
pub(crate) const OWN_BACK_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 2]);
/// Every backend, or the gateway to them.
pub(crate) const BACKEND_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 1]);

const NO_SERVICE: Service = Service { id: 0, flags: 0, when_no_backend: 0 };

/// What a packet should meet.
pub(crate) enum Want {
    /// Handed to the kernel, or dropped: as the reason says.
    Untouched(Reason),
    /// Sent out where it came from, as this frame.
    Sent(Reason, Vec<u8>),
    /// Sent out of another interface, as this frame.
    Redirected(Reason, Vec<u8>),
}

/// The loaded data plane with one address family's configuration.
pub(crate) struct Scene {
    /// The data plane.
    pub(crate) dp: Datapath,
    /// Whether this is IPv6.
    pub(crate) v6: bool,
    /// Every reason met so far.
    pub(crate) seen: BTreeSet<Reason>,
    /// Services whose table is not as at the beginning: a table takes the kernel a grace period.
    stale: BTreeSet<u16>,
}

impl Scene {
    /// Loads the data plane and configures it.
    pub(crate) fn new(v6: bool) -> anyhow::Result<Self> {
        let (dp, seen) = (Datapath::load(ENTRIES)?, BTreeSet::new());
        let stale = target::ALL.iter().map(|target| target.id).collect();
        let mut scene = Self { dp, v6, seen, stale };
        scene.dp.add_egress(REDIRECT, INGRESS)?;
        scene.dp.services.insert(ServiceKey::vip(scene.vip().into()), NO_SERVICE, 0)?;
        scene.reset()?;
        Ok(scene)
    }

    /// Back to the beginning: no flow, every backend up.
    pub(crate) fn reset(&mut self) -> anyhow::Result<()> {
        self.dp.set_config(&self.config())?;
        self.dp.set_lease(self.vip().into(), None)?;
        for target in target::ALL {
            let id = self.id(target);
            let key = ServiceKey::new(self.vip().into(), Be16::new(target.port), target.proto);
            let none = if target.reject { NoBackend::Reject } else { NoBackend::Drop };
            let service = Service { id, flags: target.flags, when_no_backend: none as u8 };
            self.dp.services.insert(key, service, 0)?;
            self.set_backend(target, |_| {})?;
            if self.stale.contains(&target.id) {
                self.set_table(target, |_| if target.backends { id } else { 0 })?;
            }
        }
        self.stale.clear();
        let ids: Vec<u16> = target::ALL.iter().map(|&target| self.id(target)).collect();
        self.dp.clear(ids.into_iter())
    }

    fn config(&self) -> Config {
        let mut config = Config::EMPTY;
        config.own_macs[0] = OWN_MAC.to_u64();
        config.own_macs[1] = OWN_BACK_MAC.to_u64();
        let bit = filter_bit(&self.vip().into());
        config.vip_filter[bit / 64] |= 1 << (bit % 64);
        config
    }

    /// Id of a target's service and backend.
    pub(crate) fn id(&self, target: Target) -> u16 {
        target.id + if self.v6 { 100 } else { 0 }
    }

    /// Writes a target's backend, as at the beginning but for one `change`.
    pub(crate) fn set_backend(
        &mut self,
        target: Target,
        change: impl FnOnce(&mut Backend),
    ) -> anyhow::Result<()> {
        let id = self.id(target);
        let hop =
            NextHop { ifindex: target.ifindex, destination: BACKEND_MAC, source: OWN_BACK_MAC };
        let mut backend = Backend {
            address: self.backend(target).into(),
            port: Be16::new(target.backend_port),
            service: id,
            state: BackendState::Forward as u8,
            hop: 0,
            pad: 0,
            hops: [hop, NextHop::default()],
        };
        change(&mut backend);
        Ok(self.dp.backends.set(u32::from(id), backend, 0)?)
    }

    /// Takes a target's backend down: its flows are reset.
    pub(crate) fn down(&mut self, target: Target) -> anyhow::Result<()> {
        self.set_backend(target, |backend| backend.state = BackendState::Reset as u8)
    }

    /// Writes a target's table.
    pub(crate) fn set_table(
        &mut self,
        target: Target,
        slot: impl Fn(usize) -> u16,
    ) -> anyhow::Result<()> {
        self.stale.insert(target.id);
        let mut table = MaglevTable { slots: [0; SLOTS] };
        for (i, id) in table.slots.iter_mut().enumerate() {
            *id = slot(i);
        }
        self.dp.set_maglev(self.id(target), &table)
    }

    fn address(&self, v4: [u8; 4], v6: [u16; 8]) -> IpAddr {
        if self.v6 { v6.into() } else { v4.into() }
    }

    /// The VIP.
    pub(crate) fn vip(&self) -> IpAddr {
        self.address([198, 51, 100, 50], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x50])
    }

    /// The client.
    pub(crate) fn client(&self) -> IpAddr {
        self.address([192, 0, 2, 10], [0x2001, 0xdb8, 1, 0, 0xabcd, 0xef01, 0, 0x10])
    }

    /// A router on either side.
    pub(crate) fn router(&self) -> IpAddr {
        self.address([203, 0, 113, 1], [0x2001, 0xdb8, 9, 0, 0, 0, 0, 1])
    }

    /// A target's backend.
    pub(crate) fn backend(&self, target: Target) -> IpAddr {
        self.address([10, 0, 0, target.id as u8], [0xfd00, 0, 0, 7, 0, 0, 0, target.id])
    }

    /// Runs a packet and checks what became of it, and every counter.
    pub(crate) fn expect(&mut self, packet: &[u8], want: Want) -> anyhow::Result<()> {
        let before = (self.dp.counters()?, self.sums()?);
        let got = self.dp.run(packet)?;
        let (reason, wanted) = match want {
            Want::Untouched(reason) if reason.verdict() == Verdict::Pass => {
                (reason, Outcome { action: 2, frame: packet.to_vec() })
            }
            // What a dropped frame holds is nobody's business.
            Want::Untouched(reason) => (reason, Outcome { action: 1, frame: got.frame.clone() }),
            Want::Sent(reason, frame) => (reason, Outcome { action: 3, frame }),
            Want::Redirected(reason, frame) => (reason, Outcome { action: 4, frame }),
        };
        self.seen.insert(reason);
        let mut expected = before.0;
        let counter = expected.entry(reason).or_default();
        *counter =
            Counter { packets: counter.packets + 1, bytes: counter.bytes + packet.len() as u64 };
        let counters = self.dp.counters()?;
        let risen: Vec<_> = counters.iter().filter(|(r, c)| expected.get(r) != Some(c)).collect();
        ensure!(
            got == wanted && counters == expected,
            "{reason:?}: packet {}\n  got action {} {}\n want action {} {}\n differing {risen:?}",
            hex(packet),
            got.action,
            hex(&got.frame),
            wanted.action,
            hex(&wanted.frame),
        );
        if got.action > 2 {
            verify(&got.frame).map_err(anyhow::Error::msg).context(hex(&got.frame))?;
        }
        self.check_traffic(reason, packet, before.1)
    }

    fn check_traffic(&self, reason: Reason, packet: &[u8], mut sum: Traffic) -> anyhow::Result<()> {
        let ip_len = || {
            let (header, at) = if self.v6 { (40, 18) } else { (0, 16) };
            header + u64::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
        };
        match reason {
            Reason::ToBackend => {
                sum.packets_in += 1;
                sum.bytes_in += ip_len();
            }
            Reason::ToClient => {
                sum.packets_out += 1;
                sum.bytes_out += ip_len();
            }
            _ => {}
        }
        let now = self.sums()?;
        sum.connections_total = now.connections_total;
        sum.connections_active = now.connections_active;
        ensure!(sum == now, "{reason:?}: traffic is {now:?} instead of {sum:?}");
        Ok(())
    }

    /// Traffic of all targets; services and backends must agree.
    fn sums(&self) -> anyhow::Result<Traffic> {
        let mut sum = Traffic::default();
        for target in target::ALL {
            let id = self.id(target);
            let (backend, service) = (self.dp.backend_traffic(id)?, self.dp.service_traffic(id)?);
            if backend != service {
                bail!("backend {id} counts {backend:?}, its service {service:?}");
            }
            sum = sum.plus(&backend);
        }
        Ok(sum)
    }

    /// Checks a target's connections: established in all, and now.
    pub(crate) fn connections(
        &self,
        target: Target,
        total: u64,
        active: u64,
    ) -> anyhow::Result<()> {
        let traffic = self.dp.backend_traffic(self.id(target))?;
        let got = (traffic.connections_total, traffic.connections_active);
        ensure!(got == (total, active), "connections {got:?} instead of {:?}", (total, active));
        Ok(())
    }

    /// Checks how many entries the tables of established and of other flows hold.
    pub(crate) fn entries(&self, conns: usize, embryo: usize) -> anyhow::Result<()> {
        let got = (self.dp.established()?.len(), self.dp.half_open()?.len());
        ensure!(got == (conns, embryo), "entries {got:?} instead of {:?}", (conns, embryo));
        Ok(())
    }
}
