//! What is printed: a table while it happens, or one JSON object at the end.

use std::time::Duration;

use lb_tests::bed::Subject;
use serde_json::{Value, json};

use crate::{Setup, round::Round, scenario::Scenario};

/// The rounds so far.
#[derive(Debug)]
pub(crate) struct Report {
    setup: Setup,
    subject: Subject,
    json: bool,
    rounds: Vec<(Subject, u32, Round)>,
    medians: Vec<(Subject, Scenario, Figures)>,
}

/// What a round is boiled down to; milliseconds, except `failed`.
#[derive(Clone, Debug)]
struct Figures {
    outage: f64,
    failed: f64,
    slowest: f64,
    several: f64,
    nobody: f64,
    changeover: Option<f64>,
}

impl Report {
    pub(crate) fn new(setup: Setup, subject: Subject, json: bool) -> Self {
        if !json {
            let Setup { version, ipv6, interval } = setup;
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            println!("VRRP version {version} over {family}, an advertisement every {interval:?}");
            println!(
                "{:<20} {:<15} {:>6} {:>10} {:>7} {:>10} {:>10} {:>10} {:>10}",
                "on the nodes",
                "scenario",
                "round",
                "outage ms",
                "failed",
                "slowest ms",
                "two own ms",
                "no own ms",
                "advert ms"
            );
        }
        Self { setup, subject, json, rounds: Vec::new(), medians: Vec::new() }
    }

    /// Takes a round, and prints it for people.
    pub(crate) fn add(&mut self, kind: Subject, number: u32, round: Round) {
        if !self.json {
            let notes = notes(&round);
            line(kind, round.scenario, &number.to_string(), &Figures::of(&round), &notes);
        }
        self.rounds.push((kind, number, round));
    }

    /// All rounds of a scenario have been.
    pub(crate) fn conclude(&mut self, kind: Subject, scenario: Scenario) {
        let its = self.rounds.iter().filter(|(k, _, r)| *k == kind && r.scenario == scenario);
        let figures: Vec<Figures> = its.map(|(.., round)| Figures::of(round)).collect();
        let medians = Figures::median(&figures);
        if !self.json {
            line(kind, scenario, "median", &medians, "");
        }
        self.medians.push((kind, scenario, medians));
    }

    /// Prints the object, if that is wanted; whether all was well with the subject.
    pub(crate) fn finish(&self) -> bool {
        let mut rounds = self.rounds.iter().filter(|(kind, ..)| *kind == self.subject);
        let held = rounds.all(|(.., round)| round.well());
        if self.json {
            let Setup { version, ipv6, interval } = self.setup;
            let rounds: Vec<Value> =
                self.rounds.iter().map(|(k, n, r)| object(*k, *n, r)).collect();
            let medians = self.medians.iter().map(|(kind, scenario, figures)| {
                let mut value = figures.json();
                value["subject"] = subject(*kind).into();
                value["scenario"] = scenario.name().into();
                value
            });
            let value = json!({
                "version": version,
                "family": if ipv6 { 6 } else { 4 },
                "advert_interval_ms": millis(interval),
                "held": held,
                "rounds": rounds,
                "medians": medians.collect::<Vec<_>>(),
            });
            println!("{value}");
        } else {
            let verdict = if held { "came back, and the VIP is held once" } else { "did NOT hold" };
            println!("{}: service {verdict}", subject(self.subject));
        }
        held
    }
}

impl Figures {
    fn of(round: &Round) -> Self {
        Self {
            outage: millis(round.outage.length),
            failed: round.outage.failed as f64,
            slowest: millis(round.outage.slowest),
            several: millis(round.ownership.several),
            nobody: millis(round.ownership.nobody),
            changeover: round.changeover.map(millis),
        }
    }

    fn median(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(all.iter().map(figure).collect());
        let changeovers: Option<Vec<f64>> = all.iter().map(|figures| figures.changeover).collect();
        Self {
            outage: of(|figures| figures.outage),
            failed: of(|figures| figures.failed),
            slowest: of(|figures| figures.slowest),
            several: of(|figures| figures.several),
            nobody: of(|figures| figures.nobody),
            changeover: changeovers.map(median),
        }
    }

    fn json(&self) -> Value {
        json!({
            "outage_ms": self.outage,
            "failed": self.failed,
            "slowest_ms": self.slowest,
            "two_owners_ms": self.several,
            "no_owner_ms": self.nobody,
            "advert_to_advert_ms": self.changeover,
        })
    }
}

fn line(kind: Subject, scenario: Scenario, round: &str, figures: &Figures, notes: &str) {
    let Figures { outage, failed, slowest, several, nobody, changeover } = figures;
    let changeover = changeover.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    let text = format!(
        "{:<20} {:<15} {round:>6} {outage:>10.0} {failed:>7} {slowest:>10.1} {several:>10.0} \
         {nobody:>10.0} {changeover:>10} {notes}",
        subject(kind),
        scenario.name()
    );
    println!("{}", text.trim_end());
}

/// What the figures do not say.
fn notes(round: &Round) -> String {
    let mut notes = Vec::new();
    if let Some(several) = round.several_after_split {
        notes.push(format!("two owners {:.0} ms after the split's end", millis(several)));
    }
    if !round.held_once {
        notes.push("the VIP is NOT held once".to_owned());
    }
    if !round.outage.over {
        notes.push("service is NOT back".to_owned());
    }
    let reasons = round.outage.reasons.iter().map(|(reason, count)| format!("{count} {reason}"));
    notes.extend(reasons);
    notes.join(", ")
}

fn object(kind: Subject, number: u32, round: &Round) -> Value {
    let mut value = Figures::of(round).json();
    value["subject"] = subject(kind).into();
    value["scenario"] = round.scenario.name().into();
    value["round"] = number.into();
    value["attempts"] = round.outage.attempts.into();
    value["failed"] = round.outage.failed.into();
    value["failures"] = json!(round.outage.reasons);
    value["service_back"] = round.outage.over.into();
    value["held_once"] = round.held_once.into();
    value["two_owners_after_split_ms"] = json!(round.several_after_split.map(millis));
    value["question_gap_ms"] = millis(round.ownership.coarsest).into();
    value
}

fn subject(kind: Subject) -> &'static str {
    match kind {
        Subject::Agent => "lb-agent",
        Subject::Keepalived => "keepalived + HAProxy",
        Subject::Mixed => "lb-agent, keepalived",
    }
}

/// With a digit for the microseconds' hundreds: the rest is noise.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length.is_multiple_of(2) => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}
