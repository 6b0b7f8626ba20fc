//! `cargo xtask drill`: hands over to the program `lb-drill`, as root.

use std::ffi::OsString;

use crate::{build, lab, root, workspace::Workspace};

/// Builds everything and runs drills; it fails when service did not come back.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> anyhow::Result<()> {
    root::require("`cargo xtask drill`")?;
    build::run(workspace)?;
    lab::run_program(workspace, "lb-drill", arguments, &[])
}
