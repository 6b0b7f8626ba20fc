//! Two routers in a lab of their own, and who of them reigns.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::{
    capture::Capture,
    lab::{Lab, Options},
    node::{Kind, Node},
    vrrp::{Switch, advert::Advert},
    wait::{SOON, wait_for},
};

use crate::case::Case;

/// Index into [`Scene::nodes`]: the higher priority, the lower.
pub(crate) const HIGH: usize = 0;
pub(crate) const LOW: usize = 1;

const PRIORITIES: [u8; 2] = [101, 100];

/// What a failed script takes from the higher one: more than the two are apart.
const WEIGHT: i16 = -10;

/// The stage of a case.
pub(crate) struct Scene {
    pub(crate) nodes: [Node; 2],
    /// Fails on the higher one when told to.
    pub(crate) switch: Switch,
    capture: Capture,
    // The lab goes last: it holds what the others run in.
    lab: Lab,
}

impl Scene {
    /// Nothing runs yet.
    pub(crate) fn new(case: &Case, kinds: [Kind; 2]) -> Result<Self> {
        let lab = Lab::with(&Options { backends: 1, ..Options::default() })?;
        let switch = Switch::new(lab.lb(1))?;
        let node = |index: usize| {
            let n = index as u8 + 1;
            let mut instance = case.instance(&lab, n, PRIORITIES[index]);
            instance.track = (index == HIGH).then(|| switch.track(WEIGHT));
            Node::new(&lab, lab.lb(n), kinds[index], instance, None)
        };
        let nodes = [node(HIGH), node(LOW)];
        // On a router: nobody else sees what goes from one to the other by unicast.
        let filter = "ip proto 112 or ip proto 51 or ip6 proto 112";
        let capture = Capture::start(lab.lb(1), "eth0", filter)?;
        Ok(Self { nodes, switch, capture, lab })
    }

    /// Both start at the same time, as good as.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::start)
    }

    /// Waits until `winner` has the VIP, nobody else who runs has it, and the last two
    /// advertisements are the winner's.
    pub(crate) fn reigns(&self, winner: usize) -> Result<()> {
        let (winner, other) = (&self.nodes[winner], &self.nodes[1 - winner]);
        let deadline = winner.longest_silence() * 3 + SOON;
        wait_for(&format!("{} to reign", winner.host().name()), deadline, || {
            ensure!(winner.holds_vip()?, "it does not have the VIP");
            ensure!(!other.runs() || !other.holds_vip()?, "the other has the VIP too");
            let adverts = self.adverts()?;
            let last = adverts.iter().rev().take(2);
            let own = last.filter(|a| a.mac == winner.host().mac() && a.priority > 0).count();
            ensure!(own == 2, "the last advertisements: {:?}", adverts.last_chunk::<2>());
            Ok(())
        })
    }

    /// Waits until `winner` has advertised more often without the other, since now, than a peer
    /// that did not hear it would wait for. A machine that is too busy for a tenth of a second may
    /// make the other speak up once; who does so again and again fails.
    pub(crate) fn goes_on(&self, winner: usize) -> Result<()> {
        // Active_Down_Interval is three intervals and a skew, which in version 2 can be a fourth.
        let enough = 6;
        let (own, before) = (&self.nodes[winner], self.adverts()?.len());
        let deadline = own.instance().interval * 4 * enough + SOON;
        wait_for(&format!("{} to go on alone", own.host().name()), deadline, || {
            let later = self.adverts()?.split_off(before);
            let last = later.iter().rev().take_while(|advert| advert.mac == own.host().mac());
            let alone = last.count();
            ensure!(alone >= enough as usize, "{alone} of {} in a row", later.len());
            Ok(())
        })?;
        self.reigns(winner)
    }

    /// Every advertisement so far, of both.
    fn adverts(&self) -> Result<Vec<Advert>> {
        let packets = self.capture.packets()?;
        Ok(packets.iter().filter_map(|packet| Advert::read(&packet.data)).collect())
    }

    /// The priority of the last advertisement.
    pub(crate) fn last_priority(&self) -> Result<u8> {
        Ok(self.adverts()?.last().context("no advertisement yet")?.priority)
    }

    /// Demands that no keepalived has logged an error.
    pub(crate) fn no_errors(&self) -> Result<()> {
        for node in &self.nodes {
            let errors = node.errors();
            ensure!(errors.is_empty(), "{} complains: {errors:#?}", node.host().name());
        }
        Ok(())
    }

    /// What every program of the lab logged last, and what keepalived complains of.
    pub(crate) fn logs(&self) -> String {
        let errors: Vec<String> = self.nodes.iter().flat_map(Node::errors).collect();
        format!("{}keepalived complains: {errors:#?}", self.lab.logs(40))
    }

    /// Waits until the last advertisement has this priority.
    pub(crate) fn wait_priority(&self, priority: u8, patience: Duration) -> Result<()> {
        wait_for(&format!("an advertisement of priority {priority}"), patience, || {
            let last = self.last_priority()?;
            ensure!(last == priority, "the last one has {last}");
            Ok(())
        })
    }
}
