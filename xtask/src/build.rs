//! `cargo xtask build`: the agent that needs no other file.

use crate::{
    build_ebpf,
    process::{run as run_command, say},
    workspace::Workspace,
};

/// Builds the object, then the agent with the object inside.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    build_ebpf::run(workspace)?;
    run_command(
        workspace
            .cargo("build")
            .args(["--release", "--package", "lb-agent", "--features", "embed"])
            .env("LB_EBPF_OBJECT", workspace.object()),
    )?;
    say(format!("built {}", workspace.agent().display()));
    Ok(())
}
