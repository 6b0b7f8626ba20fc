//! Any sequence of events leaves the maps in order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Probe(u8, bool),
    Probes(u8, bool),
    Command(u8, Command),
    Hop(u8, Option<u8>),
    Reload(Box<Config>),
    /// Bit `id % 16` tells whether a backend has flows.
    Flows(u16),
    Restart,
    Resync,
}

prop_compose! {
    /// Service `s{n}` with some of the backends `b1` to `b5`, which may have moved a port.
    fn any_service(n: u8)(
        backends in proptest::sample::subsequence((1..=5_u8).collect::<Vec<_>>(), 1..=5),
        ports in proptest::collection::vec(prop_oneof![4 => Just(6443_u16), 1 => Just(7443)], 5),
        weights in proptest::collection::vec(0..3_u16, 5),
        (keep, try_all, rise) in (any::<bool>(), any::<bool>(), 1..3_u32),
    ) -> Service {
        let member = |&b: &u8| {
            let index = usize::from(b - 1);
            Backend { port: ports[index], weight: weights[index], ..backend(&format!("b{b}"), b) }
        };
        let mut service = service(&format!("s{n}"), n, &backends.iter().map(member).collect::<Vec<_>>());
        if keep {
            service.on_backend_down = OnBackendDown::Keep;
        }
        if try_all {
            service.when_no_backend = WhenNoBackend::TryAll;
        }
        service.check.rise = rise;
        service
    }
}

fn any_config() -> impl Strategy<Value = Config> {
    let services =
        (1..=3).map(|n| proptest::option::weighted(0.7, any_service(n))).collect::<Vec<_>>();
    services.prop_map(|services| config(&services.into_iter().flatten().collect::<Vec<_>>()))
}

fn any_step() -> impl Strategy<Value = Step> {
    let command = prop_oneof![
        Just(Command::Drain),
        Just(Command::Ready),
        Just(Command::Maint),
        proptest::option::of(0..4_u16).prop_map(Command::Weight),
    ];
    prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(who, passed)| Step::Probe(who, passed)),
        6 => (any::<u8>(), any::<bool>()).prop_map(|(who, passed)| Step::Probes(who, passed)),
        3 => (any::<u8>(), command).prop_map(|(who, command)| Step::Command(who, command)),
        3 => (1..=6_u8, proptest::option::of(0..3_u8)).prop_map(|(who, hop)| Step::Hop(who, hop)),
        2 => any_config().prop_map(|config| Step::Reload(Box::new(config))),
        3 => any::<u16>().prop_map(Step::Flows),
        1 => Just(Step::Restart),
        1 => Just(Step::Resync),
    ]
}

impl World {
    fn step(&mut self, config: &mut Config, step: Step) {
        let names: Vec<_> =
            self.checks.keys().map(|t| format!("{}/{}", t.service, t.backend)).collect();
        let name = |who: u8| names.get(usize::from(who) % names.len().max(1));
        match step {
            Step::Probe(who, passed) => {
                name(who).map(|name| self.probe(name, passed).len());
            }
            Step::Probes(who, passed) => {
                for _ in 0..3 {
                    name(who).map(|name| self.probe(name, passed).len());
                }
            }
            Step::Command(who, command) => {
                name(who).map(|name| self.command(name, command).len());
            }
            Step::Hop(last, number) => {
                let hop = number.map(|n| hop(ip(last), n)).ok_or_else(|| "gone".to_owned());
                self.event(Event::NextHop { address: ip(last), hop });
            }
            Step::Reload(next) => {
                self.reload(&next);
                *config = *next;
            }
            Step::Flows(bits) => {
                let ids: Vec<_> = (1..64).filter(|id| bits >> (id % 16) & 1 == 1).collect();
                self.flows(&ids);
            }
            Step::Restart => *self = Self::adopting(config, self.found()).unwrap(),
            Step::Resync => {
                self.event(Event::Resync(self.found()));
            }
        }
    }

    fn assert_in_order(&self, config: &Config) {
        let status = self.state.snapshot(self.now);
        let live: Vec<_> = status.services.iter().flat_map(|s| &s.backends).map(|b| b.id).collect();
        let all: BTreeSet<_> = live.iter().chain(&status.retired).copied().collect();
        assert_eq!(all.len(), live.len() + status.retired.len(), "an id is shared");
        assert!(all.iter().all(|id| (1..1024).contains(id)));
        assert_eq!(all, self.maps.backends.keys().copied().collect());
        assert_eq!(self.checks.len(), live.len());
        assert_eq!(self.maps.services.len(), config.services.len());
        let service_ids: BTreeSet<_> = self.maps.services.values().map(|s| s.id).collect();
        assert_eq!(service_ids.len(), config.services.len(), "a service id is shared");
        for (service, wanted) in status.services.iter().zip(&config.services) {
            let names: Vec<_> =
                wanted.backends.iter().map(|b| (&b.name, b.address, b.port)).collect();
            let have: Vec<_> =
                service.backends.iter().map(|b| (&b.name, b.address, b.port)).collect();
            assert_eq!(have, names);
            self.table(&service.name);
            for b in &service.backends {
                let record = self.maps.backends[&b.id];
                assert_eq!(IpAddr::from(record.address), b.address);
                assert!(record.state == RESET || record.state == FORWARD);
                assert!(wanted.on_backend_down == OnBackendDown::Reset || record.state == FORWARD);
            }
        }
        let addresses: BTreeSet<_> =
            self.maps.backends.values().map(|b| IpAddr::from(b.address)).collect();
        assert_eq!(self.watched, addresses.into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The maps' own invariants are asserted by the world at every single write.
    #[test]
    fn maps_stay_in_order(
        first in any_config(),
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let mut config = first.clone();
        let mut world = World::new(&first);
        for step in steps {
            world.step(&mut config, step);
            world.assert_in_order(&config);
        }
    }
}
