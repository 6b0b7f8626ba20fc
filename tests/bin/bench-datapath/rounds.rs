//! Everything measured in turn, several times over.
//!
//! What disturbs a measurement here (another task on the CPU, a neighbour in the cache) comes and
//! goes in seconds: rounds over everything let it hit all alike, and within a run the median over
//! chunks of a thousand packets is blind to the few in which the task did not run.

use std::path::Path;

use anyhow::{Context as _, ensure};
use lb_common::{abi::EMBRYO_ENTRIES, reason::Reason};

use crate::{
    bed::{Bed, Family, Objects, Pace, Walk},
    scenario::{FIRST_NEW, Scenario},
};

/// One scenario on one bed.
pub(crate) struct Cell {
    pub(crate) family: Family,
    pub(crate) flows: u32,
    pub(crate) scenario: Scenario,
    /// Nanoseconds per packet, a figure per round, ascending.
    pub(crate) rounds: Vec<f64>,
}

/// A bed, and where its walks have got to.
struct Ground {
    bed: Bed,
    known: u32,
    new: u32,
}

/// Measures every scenario on every bed; verifies each before, and each run after.
pub(crate) fn measure(
    objects: &Objects,
    bpffs: &Path,
    sizes: &[u32],
    rounds: u32,
    quick: bool,
) -> anyhow::Result<Vec<Cell>> {
    let mut grounds = Vec::new();
    for &flows in sizes {
        for family in Family::ALL {
            let mut bed = Bed::new(objects, bpffs, family, flows)
                .with_context(|| format!("failed to set up {family:?} with {flows} flows"))?;
            for scenario in Scenario::ALL {
                scenario.verify(&mut bed).with_context(|| invalid(&bed, scenario))?;
            }
            grounds.push(Ground { bed, known: 0, new: FIRST_NEW });
        }
    }
    let mut cells: Vec<Cell> = Vec::new();
    for ground in &grounds {
        let Bed { family, flows, .. } = ground.bed;
        let cell = |scenario| Cell { family, flows, scenario, rounds: Vec::new() };
        cells.extend(Scenario::ALL.map(cell));
    }
    for _ in 0..rounds {
        let beds = grounds.iter_mut().zip(cells.chunks_mut(Scenario::ALL.len()));
        for (ground, cells) in beds {
            for cell in cells {
                let pace = cell.scenario.pace(quick);
                let ns = ground
                    .run(cell.scenario, pace)
                    .with_context(|| invalid(&ground.bed, cell.scenario))?;
                cell.rounds.push(ns);
            }
        }
    }
    for cell in &mut cells {
        cell.rounds.sort_by(f64::total_cmp);
    }
    Ok(cells)
}

fn invalid(bed: &Bed, scenario: Scenario) -> String {
    let Bed { family, flows, .. } = bed;
    format!("invalid run: {family:?}, {flows} flows, `{}`", scenario.name())
}

impl Ground {
    /// One figure.
    fn run(&mut self, scenario: Scenario, pace: Pace) -> anyhow::Result<f64> {
        let flows = self.bed.flows;
        let walk = if scenario.makes_flows() {
            Walk::onwards(self.new)
        } else {
            Walk { first: self.known, step: stride(flows), end: flows }
        };
        let frame = scenario.frame(self.bed.family);
        let before = self.bed.counters()?;
        let out = self.bed.send(scenario.target(), &frame, walk, pace)?;
        let after = self.bed.counters()?;
        verify_counters(scenario, pace, &before, &after)?;
        scenario.verify_action(&out)?;
        if scenario.makes_flows() {
            self.new = out.state.flow;
            let left = self.bed.forget(walk.first, pace.packets())?;
            verify_made(scenario, pace, left)?;
        } else {
            self.known = out.state.flow;
        }
        ensure!(out.chunks.len() == pace.chunks as usize, "`{}` time stamps", out.state.stamped);
        Ok(median(out.chunks))
    }
}

/// Every packet met the scenario's reason, and no other packet came by.
fn verify_counters(
    scenario: Scenario,
    pace: Pace,
    before: &[u64],
    after: &[u64],
) -> anyhow::Result<()> {
    let met: Vec<(Reason, u64)> = Reason::ALL
        .iter()
        .map(|&reason| (reason, after[reason as usize] - before[reason as usize]))
        .filter(|&(_, packets)| packets != 0)
        .collect();
    let expected = scenario.reason().map(|reason| (reason, u64::from(pace.packets())));
    let right = met.iter().eq(expected.iter());
    ensure!(right, "the packets met `{met:?}` instead of `{expected:?}`");
    Ok(())
}

/// Every packet made a flow: with room all their entries are there, two each; otherwise the table
/// is as full as its per-CPU lists of free elements let it get.
fn verify_made(scenario: Scenario, pace: Pace, left: (u32, u32)) -> anyhow::Result<()> {
    let (made, others) = left;
    let right = if scenario == Scenario::NewRoom {
        left == (pace.packets() * 2, 0)
    } else {
        (EMBRYO_ENTRIES / 10 * 9..=EMBRYO_ENTRIES).contains(&(made + others))
    };
    ensure!(
        right,
        "`{made}` entries in `embryo` and `{others}` single ones after `{}` new flows",
        pace.packets()
    );
    Ok(())
}

/// A step that visits every flow before any a second time, neighbours far apart.
fn stride(flows: u32) -> u32 {
    let golden = (f64::from(flows) * 0.618_034) as u32;
    (golden.max(1)..).find(|&step| gcd(step, flows) == 1).unwrap_or(1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
