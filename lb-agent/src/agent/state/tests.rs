//! A state driven by events, with the maps, checks and addresses its actions lead to.

mod adoption;
mod health;
mod random;
mod reload;
mod retire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use lb_common::{
    backend::{Backend as Record, BackendState, NextHop},
    net::MacAddr,
};

use super::State;
use crate::{
    agent::{
        event::{Action, Adopted, Command, Event, Refused, StartCheck},
        status::BackendStatus,
    },
    config::{
        Affinity, Backend, Check, CheckKind, Config, Node, OnBackendDown, Protocol, Service,
        WhenNoBackend, XdpMode, notify::Notify,
    },
    datapath::plan::{Desired, sim::Maps},
    health::{Outcome, Report, Target},
};

const FORWARD: u8 = BackendState::Forward as u8;
const RESET: u8 = BackendState::Reset as u8;
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xff]);

/// `api/a`.
fn target(name: &str) -> Target {
    let (service, backend) = name.split_once('/').unwrap();
    Target { service: service.to_owned(), backend: backend.to_owned() }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 1, last])
}

fn vip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// A next hop that depends on the address and a number.
fn hop(address: IpAddr, number: u8) -> NextHop {
    let IpAddr::V4(v4) = address else { panic!("only IPv4 here") };
    let last = v4.octets()[3];
    NextHop { ifindex: 2, destination: MacAddr([2, number, 0, 0, 1, last]), source: OWN }
}

fn check() -> Check {
    Check {
        kind: CheckKind::Tcp,
        interval: Duration::from_secs(2),
        fast_interval: Duration::from_secs(2),
        down_interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        port: None,
    }
}

/// Backend `name` at 10.0.1.`last`.
fn backend(name: &str, last: u8) -> Backend {
    Backend { name: name.to_owned(), address: ip(last), port: 6443, weight: 1 }
}

/// Service `name` at 10.0.0.`last`.
fn service(name: &str, last: u8, backends: &[Backend]) -> Service {
    Service {
        name: name.to_owned(),
        vip: vip(last),
        port: 6443,
        protocol: Protocol::Tcp,
        affinity: Affinity::Connection,
        on_backend_down: OnBackendDown::Reset,
        when_no_backend: WhenNoBackend::Reject,
        check: check(),
        backends: backends.to_vec(),
    }
}

fn config(services: &[Service]) -> Config {
    Config {
        node: Node {
            name: "lb-01".to_owned(),
            interfaces: vec!["ens3".to_owned()],
            xdp_mode: XdpMode::Auto,
            pin_dir: "/sys/fs/bpf/lb".into(),
            admin_socket: "/run/lb/admin.sock".into(),
            max_connections: 65_536,
        },
        services: services.to_vec(),
        vrrp: Vec::new(),
        notify: Notify::default(),
        warnings: Vec::new(),
    }
}

/// `api` with `a`, `b`, `c` at 10.0.1.1 to 3.
fn three() -> Config {
    config(&[service("api", 1, &[backend("a", 1), backend("b", 2), backend("c", 3)])])
}

/// The world that the actions are done to. Each map write is checked as it is done.
struct World {
    state: State,
    maps: Maps,
    now: Instant,
    checks: BTreeMap<Target, StartCheck>,
    watched: Vec<IpAddr>,
    vips: BTreeSet<IpAddr>,
    /// Of the last event.
    actions: Vec<Action>,
}

impl World {
    /// A fresh start, next hops resolved.
    fn new(config: &Config) -> Self {
        let mut world = Self::adopting(config, Adopted::default()).unwrap();
        world.resolve();
        world
    }

    #[expect(clippy::disallowed_methods, reason = "a point to count from; nothing waits")]
    fn adopting(config: &Config, adopted: Adopted) -> Result<Self, Refused> {
        let found = super::adopt(adopted.clone());
        let (state, actions) = State::new(config, adopted, vec![OWN])?;
        let mut world = Self {
            state,
            maps: Maps::holding(&found),
            now: Instant::now(),
            checks: BTreeMap::new(),
            watched: Vec::new(),
            vips: found.services.values().map(|e| e.key.vip.into()).collect(),
            actions: Vec::new(),
        };
        world.act(actions, &found);
        Ok(world)
    }

    /// What a restarted agent would find.
    fn found(&self) -> Adopted {
        Adopted {
            config: Some(self.maps.config.clone()),
            services: self.maps.services.iter().map(|(&k, &s)| (k, s)).collect(),
            backends: self.maps.backends.iter().map(|(&id, &b)| (id, b)).collect(),
        }
    }

    fn resolve(&mut self) {
        for address in self.watched.clone() {
            self.event(Event::NextHop { address, hop: Ok(hop(address, 0)) });
        }
    }

    fn event(&mut self, event: Event) -> &[Action] {
        let held = self.state.held.clone();
        self.now += Duration::from_millis(100);
        let actions = self.state.handle(event, self.now);
        self.act(actions, &held);
        &self.actions
    }

    fn act(&mut self, actions: Vec<Action>, before: &Desired) {
        for action in &actions {
            match action {
                Action::Map(ops) => {
                    for op in ops {
                        self.maps.apply(op);
                        self.maps.assert_serves(before, &self.state.held);
                    }
                }
                Action::StartCheck(check) => {
                    let twice = self.checks.insert(check.target.clone(), (**check).clone());
                    assert_eq!(twice, None, "a second check of the same backend");
                }
                Action::StopCheck { target } => {
                    assert!(self.checks.remove(target).is_some(), "{target:?} was not checked");
                }
                Action::Watch(addresses) => self.watched.clone_from(addresses),
                Action::ResetFlows { backend } => {
                    assert_eq!(self.maps.backends[backend].state, RESET, "before its maps");
                }
                Action::AddVip { vip } => {
                    let served = self.maps.services.keys().any(|k| IpAddr::from(k.vip) == *vip);
                    assert!(served, "{vip} is added before its services");
                    self.vips.insert(*vip);
                }
                Action::RemoveVip { vip } => assert!(self.vips.remove(vip), "{vip} was not ours"),
                Action::Transition(t) => assert_ne!(t.old, t.new),
                Action::Log { .. } | Action::Answer(_) | Action::ConfigRefused(_) => {}
            }
        }
        self.maps.assert_holds(&self.state.held);
        self.actions = actions;
    }

    fn probe(&mut self, name: &str, passed: bool) -> &[Action] {
        let reason = if passed { "200 OK" } else { "connection refused" }.to_owned();
        let outcome = Outcome { passed, reason, latency: Duration::from_millis(3) };
        self.event(Event::Probe(Report { target: target(name), outcome }))
    }

    fn up(&mut self, name: &str) {
        // `rise`; from unknown, one would do.
        for _ in 0..2 {
            self.probe(name, true);
        }
    }

    fn down(&mut self, name: &str) {
        for _ in 0..3 {
            self.probe(name, false);
        }
    }

    fn command(&mut self, name: &str, command: Command) -> &[Action] {
        self.event(Event::Admin { target: target(name), command })
    }

    fn reload(&mut self, config: &Config) -> &[Action] {
        self.event(Event::Config(Box::new(config.clone())))
    }

    fn flows(&mut self, ids: &[u16]) {
        self.event(Event::FlowsSeen(ids.iter().copied().collect()));
    }

    fn backend(&self, name: &str) -> BackendStatus {
        let target = target(name);
        let status = self.state.snapshot(self.now);
        let service = status.services.into_iter().find(|s| s.name == target.service).unwrap();
        service.backends.into_iter().find(|b| b.name == target.backend).unwrap()
    }

    fn id(&self, name: &str) -> u16 {
        self.backend(name).id
    }

    fn record(&self, name: &str) -> Record {
        self.maps.backends[&self.id(name)]
    }

    /// Names of the backends in a service's table, as the maps hold it.
    fn table(&self, service: &str) -> String {
        let status = self.state.snapshot(self.now);
        let service = status.services.into_iter().find(|s| s.name == service).unwrap();
        let table = &self.maps.tables[&service.id];
        let named = |b: &&BackendStatus| table.slots.contains(&b.id);
        let names: Vec<_> = service.backends.iter().filter(named).map(|b| &b.name[..]).collect();
        for b in &service.backends {
            assert_eq!(b.in_rotation, names.contains(&&b.name[..]), "status of {}", b.name);
        }
        names.join(" ")
    }

    fn resets(&self) -> Vec<u16> {
        let reset = |a: &Action| match a {
            Action::ResetFlows { backend } => Some(*backend),
            _ => None,
        };
        self.actions.iter().filter_map(reset).collect()
    }

    /// As `old new reason`.
    fn transitions(&self) -> Vec<String> {
        let transition = |a: &Action| match a {
            Action::Transition(t) => Some(format!("{} {} {}", t.old, t.new, t.reason)),
            _ => None,
        };
        self.actions.iter().filter_map(transition).collect()
    }
}
