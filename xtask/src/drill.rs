//! `cargo xtask drill`: hands over to the program `lb-drill`, as root.

use std::ffi::OsString;

use crate::{build, lab, process, root, workspace::Workspace};

/// Builds everything and runs drills; it fails when service did not come back.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> anyhow::Result<()> {
    root::require("`cargo xtask drill`")?;
    if arguments.iter().any(|argument| argument == "--json") {
        process::leave_stdout();
    }
    build::run(workspace)?;
    lab::run_program(workspace, "lb-drill", arguments, &[])
}
