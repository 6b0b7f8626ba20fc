//! Reads `[[vrrp.track]]`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::{Routers, Script, Track, Tracked, fault::RouterFault};
use crate::config::{
    claim::Fact,
    command,
    document::{Findings, Table},
    error::Fault,
    form::Form,
};

const KINDS: [&str; 3] = ["script", "interface", "service"];
const OF_SCRIPTS: [&str; 5] = ["interval", "timeout", "rise", "fall", "user"];
/// keepalived's.
const INTERVAL: Duration = Duration::from_secs(1);
const WEIGHT: i32 = 253;

/// One track, or `None` when it cannot be completed; the reasons are in `findings`.
pub(super) fn read<'t>(
    findings: &mut Findings<'t>,
    seen: &mut Routers<'t>,
    table: &Table<'t>,
) -> Option<Track> {
    let weight = findings.signed(table, "weight", -WEIGHT..=WEIGHT).map_or(0, |n| n.value);
    let written: Vec<&'static str> = KINDS.into_iter().filter(|kind| table.has(kind)).collect();
    let kind = match written.as_slice() {
        [] => {
            findings.report(table.line, Fault::Router(RouterFault::NothingTracked));
            return None;
        }
        [kind] => *kind,
        [first, second, ..] => {
            let line = findings.line_of(table, second).unwrap_or(table.line);
            findings.report(line, Fault::Router(RouterFault::TwoTracked { first, second }));
            return None;
        }
    };
    let what = if kind == "script" {
        Tracked::Script(script(findings, table)?)
    } else {
        for key in OF_SCRIPTS {
            if let Some(line) = findings.line_of(table, key) {
                findings.report(line, Fault::Router(RouterFault::ScriptOnly { key, kind }));
            }
        }
        if kind == "interface" {
            let name = findings.formed(table, kind, Form::Interface)?;
            findings.claim(name.line, kind, Fact::Interface(name.value.to_owned()));
            Tracked::Interface(name.value.to_owned())
        } else {
            let name = findings.formed(table, kind, Form::Name)?;
            seen.tracks_service(name);
            Tracked::Service(name.value.to_owned())
        }
    };
    Some(Track { what, weight: i16::try_from(weight).ok()? })
}

fn script<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<Script> {
    let interval = findings.duration(table, "interval").map_or(INTERVAL, |d| d.value);
    let timeout = findings.duration(table, "timeout").map_or(interval, |d| d.value);
    let rise = findings.integer(table, "rise", 1..=100).map_or(1, |n| n.value);
    let fall = findings.integer(table, "fall", 1..=100).map_or(1, |n| n.value);
    let words = findings.command(table, "script");
    let command::Command { words, user } = command::read(findings, table, "script", words)?;
    Some(Script { command: words, interval, timeout, rise, fall, user })
}
