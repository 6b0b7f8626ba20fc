//! Builds, tests, lab and benchmarks: `cargo xtask help`.
//!
//! One verb is one file. This package imports none of the others: it must build, and be able to
//! tell what is wrong, on a machine where they do not build yet.

mod artifacts;
mod bench;
mod build;
mod build_ebpf;
mod ci;
mod demo;
mod drill;
mod lab;
mod layers;
mod process;
mod root;
mod setup;
mod test;
mod workspace;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, tests, lab and benchmarks of the load balancer.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install what is missing to build and test; every other verb does it by itself
    Setup,
    /// Build the XDP object: target/bpf/lb-ebpf
    BuildEbpf,
    /// Build the agent in release, with the object inside: target/release/lb-agent
    Build,
    /// The lab, left standing to play in: up, exec HOST -- CMD, status, down (root)
    Lab {
        /// Passed on to the lab
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 1.., required = true)]
        arguments: Vec<OsString>,
    },
    /// The whole thing in one run: lab, requests, a backend and a node failed, statistics (root)
    Demo,
    /// A failover drill and what it cost: power-cut, hand-over, …, all; `drill -- --help` (root)
    Drill {
        /// Passed on to the drill
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 1.., required = true)]
        arguments: Vec<OsString>,
    },
    /// Run the tests: all of them, or one group
    Test {
        /// All groups when absent
        group: Option<test::Group>,
        /// How long each fuzz target runs
        #[arg(long, default_value_t = test::FUZZ_SECONDS, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
    /// Run the benchmarks (root)
    Bench {
        /// All benchmarks when absent
        which: Option<bench::Which>,
        /// After `--`: passed on to the benchmark
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Check that every room imports only what it may
    Layers,
    /// What CI runs: formatting, lints, docs, dependencies, layers, all tests
    Ci,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: Verb) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match verb {
        Verb::Setup => setup::run(&workspace),
        Verb::BuildEbpf => build_ebpf::run(&workspace),
        Verb::Build => build::run(&workspace),
        Verb::Lab { arguments } => lab::run(&workspace, &arguments),
        Verb::Demo => demo::run(&workspace),
        Verb::Drill { arguments } => drill::run(&workspace, &arguments),
        Verb::Test { group, seconds } => test::run(&workspace, group, seconds),
        Verb::Bench { which, arguments } => bench::run(&workspace, which, &arguments),
        Verb::Layers => layers::run(&workspace),
        Verb::Ci => ci::run(&workspace),
    }
}
