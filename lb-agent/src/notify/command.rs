//! A command with keepalived's arguments: `INSTANCE VI_1 MASTER 100`.

use std::time::{Duration, Instant};

use super::{Notice, keepalived_state};
use crate::{
    config::notify::NotifyCommand,
    process::{CommandError, Ending, Program, Unfinished},
};

/// A command that takes longer is killed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandFault {
    #[error(transparent)]
    Unprepared(#[from] CommandError),
    #[error("`{program}` is still running after {TIMEOUT:?} and was killed")]
    TooLong { program: String },
    #[error(transparent)]
    Unfinished(Unfinished),
    #[error("`{program}`: {ending}")]
    Failed { program: String, ending: Ending },
    #[error("the command could not be prepared")]
    Panicked(#[source] tokio::task::JoinError),
}

pub(super) async fn run(
    config: &NotifyCommand,
    node: &str,
    notice: &Notice,
) -> Result<(), CommandFault> {
    let NotifyCommand { command, user } = config.clone();
    let program = command.first().cloned().unwrap_or_default();
    let environment = [
        ("LB_NODE", node.into()),
        ("LB_OLD_STATE", notice.old.word().into()),
        ("LB_NEW_STATE", notice.new.word().into()),
        ("LB_REASON", without_zeros(&notice.reason).into()),
    ];
    let prepare = move || Program::new(&command, &user, environment);
    let prepared = tokio::task::spawn_blocking(prepare).await.map_err(CommandFault::Panicked)??;
    let arguments = [
        notice.kind.argument().to_owned(),
        notice.name.clone(),
        keepalived_state(notice.new).to_owned(),
        notice.priority.to_string(),
    ];
    match prepared.with_arguments(arguments).run(Instant::now() + TIMEOUT).await {
        Ok(ending) if ending.success() => Ok(()),
        Ok(ending) => Err(CommandFault::Failed { program, ending }),
        Err(Unfinished::TooLong) => Err(CommandFault::TooLong { program }),
        Err(unfinished) => Err(CommandFault::Unfinished(unfinished)),
    }
}

/// No environment can hold one.
fn without_zeros(text: &str) -> String {
    text.replace('\0', "")
}
