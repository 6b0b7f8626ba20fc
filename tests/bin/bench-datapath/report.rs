//! The figures, for people and for programs.

use std::io::{self, Write};

use lb_common::abi::EMBRYO_ENTRIES;
use serde_json::{Value, json};

use crate::{
    bed::{Family, table_entries},
    host::Host,
    rounds::Cell,
    scenario::Scenario,
};

/// Everything that is told.
pub(crate) struct Report {
    pub(crate) host: Host,
    pub(crate) rounds: u32,
    pub(crate) cells: Vec<Cell>,
}

/// Nanoseconds per packet over the rounds.
#[derive(Clone, Copy)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(cell: &Cell) -> Self {
        let at = |i: usize| cell.rounds.get(i).copied().unwrap_or(f64::NAN);
        let n = cell.rounds.len();
        Self { min: at(0), median: at(n / 2), max: at(n.saturating_sub(1)) }
    }

    fn to_json(self) -> Value {
        json!({ "min": tenths(self.min), "median": tenths(self.median), "max": tenths(self.max) })
    }
}

fn tenths(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

impl Report {
    /// A table.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let host = &self.host;
        let governor = host.governor.as_deref().unwrap_or("not told");
        writeln!(out, "Nanoseconds per packet under BPF_PROG_TEST_RUN, min / median / max of")?;
        writeln!(out, "{} interleaved rounds; one core", self.rounds)?;
        writeln!(out, "  kernel {}, JIT {}", host.kernel, host.jit)?;
        writeln!(out, "  {}, CPU {}, governor {governor}", host.cpu_model, host.cpu)?;
        writeln!(out, "  load average {} (at the end)", host.load)?;
        writeln!(out, "  net = less the empty program's median on the same table and family")?;
        writeln!(out, "  x look-up = net median in net medians of one look-up in the same table")?;
        writeln!(
            out,
            "  new flows go to `embryo` ({EMBRYO_ENTRIES} entries), emptied before each run: \
             with room, or\n  so many that each evicts another; all other packets hit \
             established flows at random"
        )?;
        for cells in self.cells.chunks(Scenario::ALL.len()) {
            let Some(first) = cells.first() else { continue };
            writeln!(
                out,
                "\n{}, {} flows in a table of {} entries",
                family(first.family),
                first.flows,
                table_entries(first.flows)
            )?;
            writeln!(
                out,
                "  {:<22}{:>8}{:>8}{:>8}  {:>8}{:>8}{:>8}{:>11}",
                "", "raw min", "median", "max", "net min", "median", "max", "x look-up"
            )?;
            for cell in cells {
                self.line(out, cell)?;
            }
        }
        Ok(())
    }

    fn line(&self, out: &mut impl Write, cell: &Cell) -> io::Result<()> {
        let raw = Spread::of(cell);
        let empty = self.floor(cell, Scenario::Empty);
        let name = cell.scenario.name();
        write!(out, "  {name:<22}{:>8.1}{:>8.1}{:>8.1}", raw.min, raw.median, raw.max)?;
        if cell.scenario == Scenario::Empty {
            return writeln!(out);
        }
        let net = [raw.min - empty, raw.median - empty, raw.max - empty];
        write!(out, "  {:>8.1}{:>8.1}{:>8.1}", net[0], net[1], net[2])?;
        writeln!(out, "{:>11.2}", self.ratio(cell))
    }

    /// For programs: the same, without rounding to a table's width.
    pub(crate) fn to_json(&self) -> Value {
        let host = &self.host;
        let cells: Vec<Value> = self.cells.iter().map(|cell| self.cell_to_json(cell)).collect();
        json!({
            "kernel": host.kernel,
            "jit": host.jit,
            "cpu_model": host.cpu_model,
            "cpu": host.cpu,
            "governor": host.governor,
            "load": host.load,
            "rounds": self.rounds,
            "embryo_entries": EMBRYO_ENTRIES,
            "cells": cells,
        })
    }

    fn cell_to_json(&self, cell: &Cell) -> Value {
        let raw = Spread::of(cell);
        let empty = self.floor(cell, Scenario::Empty);
        let net = Spread { min: raw.min - empty, median: raw.median - empty, max: raw.max - empty };
        json!({
            "scenario": cell.scenario.name(),
            "family": family(cell.family),
            "flows": cell.flows,
            "table_entries": table_entries(cell.flows),
            "ns": raw.to_json(),
            "net_ns": net.to_json(),
            "net_in_lookups": (self.ratio(cell) * 100.0).round() / 100.0,
        })
    }

    fn ratio(&self, cell: &Cell) -> f64 {
        let empty = self.floor(cell, Scenario::Empty);
        (Spread::of(cell).median - empty) / (self.floor(cell, Scenario::Lookup) - empty)
    }

    /// Median of a floor on the same bed.
    fn floor(&self, cell: &Cell, scenario: Scenario) -> f64 {
        let same = |other: &&Cell| {
            other.scenario == scenario && other.family == cell.family && other.flows == cell.flows
        };
        self.cells.iter().find(same).map_or(f64::NAN, |floor| Spread::of(floor).median)
    }
}

fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
