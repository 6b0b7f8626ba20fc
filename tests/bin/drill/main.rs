//! `lb-drill`: something is done to a node or a backend, and clients tell what it cost. `cargo
//! xtask drill` runs it as root; `LB_AGENT`, `LB_APISERVER` and `LB_EBPF_OBJECT` say where the
//! programs are when they are not beside this one.
//!
//! | room | what it holds |
//! |---|---|
//! | [`scenario`] | what is done, and undone |
//! | [`round`] | one measurement |
//! | [`busy`] | busy loops instead of a deed |
//! | [`report`] | medians, table, JSON |
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool answers on stdout and complains on stderr"
)]

mod busy;
mod report;
mod round;
mod scenario;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use lb_tests::{bed::Bed, lab::topology, node::Kind, vrrp::Instance};

use crate::{report::Report, scenario::Scenario};

/// A failover drill in the lab: what a client that opens a new connection every 5 ms sees of it,
/// and who claimed the VIP meanwhile
#[derive(Debug, Parser)]
#[command(name = "cargo xtask drill")]
struct Args {
    /// What happens to the node that holds the VIP, to a backend, or to the wire between the nodes
    scenario: Which,
    /// One JSON object with an array of rounds instead of the table
    #[arg(long)]
    json: bool,
    /// How often
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Between two VRRP advertisements: 10ms to 40s, in version 2 whole seconds [default: 1s, of
    /// busy-node 10ms]
    #[arg(long, value_parser = humantime::parse_duration)]
    advert_interval: Option<Duration>,
    /// How long busy-node keeps every core busy
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// VRRP version
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    version: u8,
    /// Of the VIP: 4 or 6
    #[arg(long, default_value = "4", value_parser = ["4", "6"])]
    family: String,
    /// The same with keepalived and HAProxy in the place of the agents, too
    #[arg(long)]
    beside: bool,
    /// What runs on the nodes
    #[arg(long, default_value = "agent")]
    subject: Subject,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    Agent,
    Keepalived,
}

/// A scenario, or all of them.
#[derive(Clone, Copy, Debug)]
enum Which {
    One(Scenario),
    BusyNode,
    All,
}

impl ValueEnum for Which {
    fn value_variants<'a>() -> &'a [Self] {
        use Scenario::*;
        &[
            Self::One(HandOver),
            Self::One(AgentKilled),
            Self::One(AgentStopped),
            Self::One(LinkDown),
            Self::One(PowerCut),
            Self::One(BackendKilled),
            Self::One(BackendSilent),
            Self::One(SplitLink),
            Self::One(OwnerReturns),
            Self::BusyNode,
            Self::All,
        ]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            Self::One(scenario) => scenario.to_possible_value(),
            Self::BusyNode => Some(
                clap::builder::PossibleValue::new("busy-node")
                    .help("A busy loop per core while adverts go on; not part of all"),
            ),
            Self::All => Some(clap::builder::PossibleValue::new("all").help("All of them")),
        }
    }
}

/// Of lb-01, which has the VIP whenever it can, and of lb-02.
const PRIORITIES: [u8; 2] = [101, 100];

/// How the virtual router is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) version: u8,
    pub(crate) ipv6: bool,
    pub(crate) interval: Duration,
}

fn main() -> ExitCode {
    match drill(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the subject did what it should in every round.
fn drill(args: &Args) -> Result<bool> {
    let setup = setup(args)?;
    let subject = match args.subject {
        Subject::Agent => Kind::Agent,
        Subject::Keepalived => Kind::Keepalived,
    };
    let scenarios = match args.scenario {
        Which::One(scenario) => vec![scenario],
        Which::BusyNode => Vec::new(),
        Which::All => Scenario::value_variants().to_vec(),
    };
    let beside = (args.beside && subject != Kind::Keepalived).then_some(Kind::Keepalived);
    let vip = if setup.ipv6 { topology::vip6(1) } else { topology::vip4(1) };
    let mut instance = Instance::new(PRIORITIES[0], vip);
    (instance.version, instance.interval) = (setup.version, setup.interval);
    if matches!(args.scenario, Which::BusyNode) {
        return busy_node(args, &instance, [Some(subject), beside]);
    }
    let mut report = Report::new(setup, subject, args.json);
    for kind in [subject].into_iter().chain(beside) {
        let mut bed =
            Bed::new(kind, &instance, &PRIORITIES).context("failed to lay out the lab")?;
        for scenario in &scenarios {
            for number in 1..=args.rounds {
                let round = round::run(&mut bed, *scenario)
                    .with_context(|| format!("round {number} of {}", scenario.name()))?;
                report.add(kind, number, round);
            }
            report.conclude(kind, *scenario);
        }
    }
    Ok(report.finish())
}

/// Whether the first subject kept the VIP where it was.
fn busy_node(args: &Args, instance: &Instance, kinds: [Option<Kind>; 2]) -> Result<bool> {
    let mut well = Vec::new();
    for kind in kinds.into_iter().flatten() {
        let bed = Bed::new(kind, instance, &PRIORITIES).context("failed to lay out the lab")?;
        let busy = busy::run(&bed, Duration::from_secs(args.seconds))?;
        println!("{}", if args.json { busy.json().to_string() } else { busy.text() });
        well.push(busy.well());
    }
    Ok(well.first() == Some(&true))
}

fn setup(args: &Args) -> Result<Setup> {
    let busy = matches!(args.scenario, Which::BusyNode);
    let usual = Duration::from_millis(if busy { 10 } else { 1000 });
    let interval = args.advert_interval.unwrap_or(usual);
    let (version, ipv6) = (args.version, args.family == "6");
    let millis = interval.as_millis();
    ensure!(version == 3 || !ipv6, "version 2 knows no IPv6");
    ensure!(
        version == 3 || (millis >= 1000 && millis.is_multiple_of(1000)),
        "version 2 knows whole seconds only, not {interval:?}"
    );
    ensure!(
        (10..=40_000).contains(&millis) && millis.is_multiple_of(10),
        "version 3 knows steps of 10ms up to 40s, not {interval:?}"
    );
    Ok(Setup { version, ipv6, interval })
}
