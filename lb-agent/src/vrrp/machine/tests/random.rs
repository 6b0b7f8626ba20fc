//! Properties of the simulated LAN. A failing case is printed whole, its seed among it.

use proptest::prelude::*;

use super::{
    lan::{Lan, Op, Spec},
    *,
};

#[derive(Clone, Debug)]
struct Scene {
    specs: Vec<Spec>,
    delay: Duration,
    seed: u64,
    /// Milliseconds of pause before each.
    ops: Vec<(u64, Op)>,
}

impl Scene {
    /// Ten times the longest Active_Down_Interval that there may be: enough for a wrong one to
    /// take over first, and then for the right one.
    fn settle(&self) -> Duration {
        self.specs.iter().map(|spec| spec.params.advert_interval).max().unwrap_or_default() * 40
    }

    /// Starts all nodes, a few milliseconds apart.
    fn lan(&self, links: usize) -> Lan {
        let mut lan = Lan::new(&self.specs, links, self.delay, self.seed);
        for node in 0..self.specs.len() {
            lan.run(ms((self.seed >> (node * 8)) % 16));
            lan.apply(&Op::Restart(node));
        }
        lan
    }

    fn play(&self, lan: &mut Lan) {
        for (pause, op) in &self.ops {
            lan.run(ms(*pause));
            if let Op::Crash(_) | Op::Stall(..) = op
                && lan.two_claim()
            {
                // Both came up in one moment, and the one that yields would not live to hear of
                // the other: its lease would stand. Two accidents at once are not promised.
                lan.run(self.delay * 2);
            }
            lan.apply(op);
        }
    }

    /// All nodes up again and nothing broken.
    fn mend(&self, lan: &mut Lan) {
        // Longer than anybody is stopped.
        lan.run(ms(5000));
        lan.apply(&Op::Heal);
        for node in 0..self.specs.len() {
            lan.apply(&Op::Restart(node));
            lan.apply(&Op::Resume(node));
        }
    }

    /// A router that starts knows no interval but its own, and if that is a short one it does not
    /// wait for the end of a dead router's lease (RFC 9568 §5.2.7 warns of differing intervals).
    fn with_one_interval(mut self) -> Self {
        let interval = self.specs[0].params.advert_interval;
        for spec in &mut self.specs {
            spec.params.advert_interval = interval;
        }
        self
    }

    fn moments_only(&self) -> Result<(), TestCaseError> {
        let mut lan = self.lan(1);
        self.play(&mut lan);
        self.mend(&mut lan);
        self.one_active(&mut lan, 1)?;
        let overlap = lan.overlap(0, Time::default());
        prop_assert!(overlap <= self.delay * 2, "two claimed for {overlap:?}");
        Ok(())
    }

    /// Settled, exactly one node is active on all links, and nothing changes any more.
    fn one_active(&self, lan: &mut Lan, links: usize) -> Result<(), TestCaseError> {
        lan.run(self.settle());
        lan.changes.clear();
        let from = lan.now;
        lan.run(self.settle() / 4);
        prop_assert_eq!(&lan.changes, &[], "it does not settle");
        let active = lan.active(0);
        prop_assert_eq!(active.len(), 1, "active: {:?}", active);
        for link in 0..links {
            prop_assert_eq!(lan.active(link), active.clone());
            prop_assert_eq!(lan.overlap(link, from), Duration::ZERO);
        }
        let priorities = lan.priorities();
        let best = priorities.iter().map(|(_, priority)| *priority).max();
        let winner = priorities.iter().find(|(node, _)| *node == active[0]).map(|(_, p)| *p);
        if self.specs.iter().all(|spec| spec.params.preempt) {
            prop_assert_eq!(winner, best);
        }
        Ok(())
    }
}

/// Few priorities, so that there are ties.
fn any_priority() -> impl Strategy<Value = u8> {
    prop_oneof![Just(1), Just(99), Just(100), Just(101), Just(200), Just(254), 1..=254_u8]
}

/// Who takes over from a lower router.
#[derive(Clone, Copy, Debug)]
enum Preempt {
    All,
    Nobody,
    /// Some, and some after a delay.
    Some,
}

fn any_specs(preempt: Preempt) -> impl Strategy<Value = Vec<Spec>> {
    let interval =
        prop_oneof![Just(10), Just(100), Just(1000), (1..=100_u64).prop_map(|cs| cs * 10)];
    let node = (any_priority(), interval, any::<bool>(), any::<bool>(), 0..2000_u64);
    (any::<bool>(), prop::collection::vec(node, 2..=5)).prop_map(move |(old, nodes)| {
        let spec = |(priority, interval, plain, eager, delay): (u8, u64, bool, bool, u64)| Spec {
            // Routers of version 2 must agree on the interval.
            params: Params {
                preempt: matches!(preempt, Preempt::All)
                    || eager && matches!(preempt, Preempt::Some),
                preempt_delay: if matches!(preempt, Preempt::Some) { ms(delay) } else { ms(0) },
                ..if old { v2(priority) } else { v3(priority, interval) }
            },
            plain,
        };
        nodes.into_iter().map(spec).collect()
    })
}

/// What operators do.
fn planned() -> impl Strategy<Value = Op> {
    let node = 0..5_usize;
    prop_oneof![
        1 => node.clone().prop_map(Op::Stop),
        2 => node.clone().prop_map(Op::Restart),
        2 => (node.clone(), -150..150_i32).prop_map(|(node, weight)| Op::Track(node, weight)),
        1 => node.clone().prop_map(Op::Release),
        2 => node.prop_map(Op::Resume),
    ]
}

/// And what befalls a node.
fn accidents() -> impl Strategy<Value = Op> {
    let node = 0..5_usize;
    prop_oneof![
        3 => planned(),
        1 => node.clone().prop_map(Op::Crash),
        1 => node.clone().prop_map(Op::Restart),
        1 => (node, 1..5000_u64).prop_map(|(node, span)| Op::Stall(node, ms(span))),
    ]
}

/// And what befalls the LAN.
fn wild() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => accidents(),
        1 => (0..2_usize, any::<u8>()).prop_map(|(link, sides)| Op::Part(link, sides)),
        1 => (0..100_u64).prop_map(Op::Loss),
        1 => Just(Op::Heal),
    ]
}

fn any_scene<O: Strategy<Value = Op>>(
    preempt: Preempt,
    op: fn() -> O,
) -> impl Strategy<Value = Scene> {
    let pause = prop_oneof![0..20_u64, 0..500_u64, 0..6000_u64];
    let ops = prop::collection::vec((pause, op()), 0..25);
    (any_specs(preempt), 0..3000_u64, any::<u64>(), ops).prop_map(|(specs, delay, seed, ops)| {
        let fits = |op: &Op| match *op {
            Op::Stop(node)
            | Op::Crash(node)
            | Op::Restart(node)
            | Op::Track(node, _)
            | Op::Release(node)
            | Op::Resume(node) => node < specs.len(),
            // keepalived 2.2.7 goes on where it was stopped, whoever is active by then.
            Op::Stall(node, _) => node < specs.len() && !specs[node].plain,
            Op::Part(..) | Op::Loss(_) | Op::Heal => true,
        };
        let ops = ops.into_iter().filter(|(_, op)| fits(op)).collect();
        Scene { delay: Duration::from_micros(delay), specs, seed, ops }
    })
}

/// Found cases become tests, not files.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(96))]

    /// On a healthy link two nodes claim for no longer than it takes one to hear the other and (when
    /// priorities change in that moment) to be answered.
    #[test]
    fn two_claim_for_a_moment_at_most(scene in any_scene(Preempt::All, planned)) {
        scene.with_one_interval().moments_only()?;
    }

    /// Nor does a killed or stopped node claim while another does. Without pre-emption: the agent of
    /// a lower active router that dies while a higher one is about to take over does not hear of it,
    /// and its lease stands.
    #[test]
    fn the_dead_and_the_stopped_claim_alone(scene in any_scene(Preempt::Nobody, accidents)) {
        scene.with_one_interval().moments_only()?;
    }

    /// Whatever was lost, parted, stopped or killed: in the end the right one is active, alone.
    #[test]
    fn in_the_end_one_is_active(scene in any_scene(Preempt::All, wild)) {
        let mut lan = scene.lan(1);
        scene.play(&mut lan);
        scene.mend(&mut lan);
        scene.one_active(&mut lan, 1)?;
    }

    /// The same without pre-emption, or with a delay before it: one, whichever.
    #[test]
    fn in_the_end_one_is_active_without_preemption(scene in any_scene(Preempt::Some, wild)) {
        let mut lan = scene.lan(1);
        scene.play(&mut lan);
        scene.mend(&mut lan);
        scene.one_active(&mut lan, 1)?;
    }

    /// Sync groups over two links that break apart from each other.
    #[test]
    fn in_the_end_one_group_is_active(scene in any_scene(Preempt::All, wild)) {
        let mut lan = scene.lan(2);
        scene.play(&mut lan);
        scene.mend(&mut lan);
        scene.one_active(&mut lan, 2)?;
    }

    /// With the second link cut for good between some of them, groups still come to rest, with one
    /// of them active.
    #[test]
    fn half_a_link_makes_no_group_flap(scene in any_scene(Preempt::All, wild), sides in any::<u8>()) {
        let mut lan = scene.lan(2);
        scene.play(&mut lan);
        scene.mend(&mut lan);
        lan.apply(&Op::Part(1, sides));
        scene.one_active(&mut lan, 2)?;
    }
}
