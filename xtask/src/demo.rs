//! `cargo xtask demo`: hands over to the program `lb-demo`, as root.

use crate::{build, lab, root, workspace::Workspace};

/// Builds everything and runs the demo; it fails when service did not hold.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    root::require("`cargo xtask demo`")?;
    build::run(workspace)?;
    lab::run_program(workspace, "lb-demo", &[], &[])
}
