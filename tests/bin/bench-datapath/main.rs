//! `cargo xtask bench datapath`: nanoseconds per packet of the loaded XDP program.
//!
//! [`bed`] loads the program with a table of a given size, fills it, and drives it through the
//! wrapper in `lb-ebpf/src/bin/lb-bench.rs`; [`scenario`] says which packets, and what must become
//! of them; [`rounds`] measures everything in turn, several times over; [`report`] prints. A packet
//! that meets another fate than its scenario's makes the whole run invalid: exit code 1.

mod bed;
mod frame;
mod host;
mod report;
mod rounds;
mod scenario;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;

use crate::{bed::Objects, report::Report};

/// Nanoseconds per packet of the loaded XDP program
#[derive(Debug, Parser)]
struct Args {
    /// Interleaved rounds; min, median and max are taken over them
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Established flows in the table, each in turn
    #[arg(long, value_delimiter = ',', default_value = "1,1000,100000,1000000",
          value_parser = clap::value_parser!(u32).range(1..=bed::MAX_FLOWS))]
    flows: Vec<u32>,
    /// One round, 1 and 1,000 flows: shows that the benchmark works, not how fast the program is
    #[arg(long)]
    quick: bool,
    /// The CPU to run on; without it the last one allowed
    #[arg(long)]
    cpu: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell a failure to when standard error is closed.
            drop(writeln!(stderr, "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Args) -> anyhow::Result<()> {
    if args.quick {
        args.rounds = 1;
        args.flows = vec![1, 1000];
    }
    let objects = Objects { lb: object("LB_EBPF_OBJECT")?, wrapper: object("LB_BENCH_OBJECT")? };
    let cpu = host::pin(args.cpu)?;
    let bpffs = host::BpfFs::mount()?;
    let cells = rounds::measure(&objects, bpffs.path(), &args.flows, args.rounds, args.quick)?;
    let report = Report { host: host::describe(cpu), rounds: args.rounds, cells };
    let mut stdout = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &report.to_json())?;
        writeln!(stdout)?;
    } else {
        report.print(&mut stdout)?;
    }
    Ok(())
}

fn object(variable: &str) -> anyhow::Result<Vec<u8>> {
    let path = std::env::var_os(variable).map(PathBuf::from).with_context(|| {
        format!("`{variable}` is not set; hint: run this through `cargo xtask bench datapath`")
    })?;
    std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))
}
