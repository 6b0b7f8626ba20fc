//! `cargo xtask bench`: hands over to a program of `lb-tests`, as root.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::{build_ebpf, lab, root, workspace::Workspace};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Nanoseconds per packet of the loaded program
    Datapath,
}

/// Builds the objects (the program, and the wrapper `lb-bench` that restores its packet) and
/// measures.
pub(crate) fn run(
    workspace: &Workspace,
    which: Option<Which>,
    arguments: &[OsString],
) -> anyhow::Result<()> {
    root::require("`cargo xtask bench`")?;
    build_ebpf::run(workspace)?;
    match which.unwrap_or(Which::Datapath) {
        Which::Datapath => {
            let wrapper = [("LB_BENCH_OBJECT", workspace.bpf().join("lb-bench"))];
            lab::run_program(workspace, "lb-bench-datapath", arguments, &wrapper)
        }
    }
}
