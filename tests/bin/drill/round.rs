//! One measurement.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    bed::Bed,
    claims::{Claims, Record, epoch, record::Ownership},
    opener::{Opener, Outage},
    wait::wait_for,
};

use crate::scenario::{Heir, Scenario};

/// Connections in a row that prove service: half a second of them before, a second after.
const BEFORE: usize = 100;
const AFTER: usize = 200;

/// How long service may stay away: clients find a node that nobody announced when the neighbour
/// cache doubts its entry, after half a minute or more.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a split lasts once both nodes are active.
const SPLIT: Duration = Duration::from_secs(1);

/// What one round showed.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) scenario: Scenario,
    pub(crate) outage: Outage,
    /// From the deed until service was proven again.
    pub(crate) ownership: Ownership,
    /// Of that, how long several claimed the VIP after a split had ended.
    pub(crate) several_after_split: Option<Duration>,
    /// From the old node's last advertisement to the new one's first.
    pub(crate) changeover: Option<Duration>,
    /// Whether in the end one node, the right one, claimed the VIP.
    pub(crate) held_once: bool,
}

impl Round {
    /// Whether all was as it should be in the end.
    pub(crate) fn well(&self) -> bool {
        self.outage.over && self.held_once
    }
}

/// Lets a scenario happen once, and leaves the bed as it was.
pub(crate) fn run(bed: &mut Bed, scenario: Scenario) -> Result<Round> {
    // Three intervals of silence and a skew, twice over, and what starting takes.
    let deadline = bed.nodes[0].longest_silence() * 2 + Duration::from_secs(20);
    let claims = Claims::start(bed.observer(), bed.vip);
    claims.wait_owners(&[bed.nodes[0].host()], deadline).context("before the drill")?;
    scenario.prepare(bed)?;
    let returns = scenario.heir() == Heir::First;
    let (old, new) = if returns { (1, 0) } else { (0, 1) };
    claims.wait_owners(&[bed.nodes[old].host()], deadline).context("before the drill")?;
    let opener = Opener::start(bed.lab.client(), bed.address());
    opener.wait_served(BEFORE, deadline).context("before the drill")?;

    wait_advert(bed, &claims, old, deadline).context("before the drill")?;
    sleep(phase(bed.nodes[old].instance().interval));

    let from = epoch();
    scenario.strike(bed)?;
    let mut split_ended = None;
    match scenario.heir() {
        Heir::Same => {}
        Heir::Second | Heir::First => wait_claim(bed, &claims, new, from, deadline)?,
        Heir::Split => {
            wait_claim(bed, &claims, new, from, deadline)?;
            sleep(SPLIT);
            bed.split(false)?;
            split_ended = Some(epoch());
            // Whoever has to give way does; if nobody does, the verdict says so.
            drop(claims.wait_owners(&[bed.nodes[0].host()], deadline));
        }
    }
    // That it fails is a result, not an error of the drill.
    drop(opener.wait_served(AFTER, deadline + PATIENCE));
    opener.settle()?;
    let to = epoch();
    let right = if scenario.heir() == Heir::Second { 1 } else { 0 };
    let held_once = claims.settled_owners(&[bed.nodes[right].host()])?;
    let record = claims.finish()?;
    let outage = Outage::of(&opener.finish()?);

    let round = Round {
        scenario,
        outage,
        ownership: record.ownership(from, to),
        several_after_split: split_ended.map(|ended| record.ownership(ended, to).several),
        changeover: changeover(bed, &record, scenario, old, from),
        held_once,
    };
    scenario.restore(bed).context("after the drill")?;
    Ok(round)
}

/// The last advertisement of the old node is part of the result.
fn wait_advert(bed: &Bed, claims: &Claims, node: usize, deadline: Duration) -> Result<()> {
    let host = bed.nodes[node].host();
    wait_for(&format!("an advertisement of {}", host.name()), deadline, || {
        let adverts = claims.record().adverts;
        ensure!(adverts.iter().any(|(_, advert)| advert.mac == host.mac()), "none yet");
        Ok(())
    })
}

/// Any part of an interval: what went before would otherwise put the deed at the same place
/// between two advertisements every time.
fn phase(interval: Duration) -> Duration {
    interval.mul_f64(f64::from(epoch().subsec_micros() % 1000) / 1000.0)
}

fn wait_claim(
    bed: &Bed,
    claims: &Claims,
    node: usize,
    from: Duration,
    deadline: Duration,
) -> Result<()> {
    let host = bed.nodes[node].host();
    wait_for(&format!("{} to claim the VIP", host.name()), deadline, || {
        ensure!(claims.record().first_claim(host.mac(), from).is_some(), "it does not");
        Ok(())
    })
}

fn changeover(
    bed: &Bed,
    record: &Record,
    scenario: Scenario,
    old: usize,
    from: Duration,
) -> Option<Duration> {
    let moves = matches!(scenario.heir(), Heir::First | Heir::Second);
    moves.then(|| record.changeover(bed.nodes[old].host().mac(), from)).flatten()
}
