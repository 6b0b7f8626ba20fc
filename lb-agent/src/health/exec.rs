//! Commands as checks: their own process group, an almost empty environment, no way to linger.

use std::{
    ffi::OsString,
    fmt,
    io::{self, PipeReader},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::{Gid, Pid, Uid, User, read},
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    process::{Child, Command},
};
use tracing::warn;

use super::{
    Target,
    failure::{Deadline, Failure, Stage},
};
use crate::config::ExecCheck;

#[cfg(test)]
pub(super) mod tests;

/// What a login gives; the agent's own `PATH` is nobody else's business.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of a command's output that is remembered, in bytes; the rest is read and forgotten.
const OUTPUT_LIMIT: usize = 1024;
/// Of its first line that goes into the reason, in bytes.
const LINE_LIMIT: usize = 200;
/// For a killed process to be reaped here; one that is stuck in the kernel is left to tokio's reaper.
const REAP_PATIENCE: Duration = Duration::from_millis(500);

/// Why an exec check cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// `command = []`.
    #[error("`command` is empty: it needs the program's path")]
    NoCommand,
    /// The account does not exist.
    #[error("`user = \"{user}\"` is not a user of this machine")]
    NoUser {
        /// As configured.
        user: String,
    },
    /// The user database did not answer.
    #[error("failed to look up `user = \"{user}\"`")]
    Lookup {
        /// As configured.
        user: String,
        /// What the lookup said.
        #[source]
        source: Errno,
    },
    /// Only root can become somebody else.
    #[error("the agent runs as uid {own} and cannot run commands as `{user}`: run it as root")]
    NotRoot {
        /// As configured.
        user: String,
        /// The agent's.
        own: Uid,
    },
}

/// One backend's command.
#[derive(Clone)]
pub(super) struct Exec {
    command: Vec<String>,
    /// `None`: the agent's own user, and nothing to change.
    identity: Option<(Uid, Gid)>,
    environment: Vec<(&'static str, OsString)>,
}

impl Exec {
    /// `address`, with the port to check, is handed to the command in its environment.
    pub(super) fn new(
        check: &ExecCheck,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Self, ExecError> {
        if check.command.is_empty() {
            return Err(ExecError::NoCommand);
        }
        Ok(Self {
            command: check.command.clone(),
            identity: identity(&check.user)?,
            environment: vec![
                ("PATH", PATH.into()),
                ("LB_SERVICE", target.service.clone().into()),
                ("LB_BACKEND", target.backend.clone().into()),
                ("LB_BACKEND_ADDRESS", address.ip().to_string().into()),
                ("LB_BACKEND_PORT", address.port().to_string().into()),
            ],
        })
    }

    /// Runs the command once. Whatever happens, also when this future is dropped, nothing of it
    /// runs on past the deadline.
    pub(super) async fn check(&self, deadline: Deadline) -> Result<String, Failure> {
        // Forking copies page tables, and reading the program may hang with its file system: not
        // on the thread that everything else runs on. A group that arrives too late is dropped.
        let exec = self.clone();
        let started = tokio::task::spawn_blocking(move || exec.start());
        let (mut group, mut output) = deadline
            .limit(Stage::Command, started)
            .await?
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(|source| Failure::NotStarted { program: self.program(), source })?;
        let mut said = Vec::new();
        let ended = deadline
            .limit(Stage::Command, async {
                tokio::select! {
                    biased;
                    ended = group.leader.wait() => ended,
                    never = output.collect(&mut said) => match never {},
                }
            })
            .await;
        let status = match ended {
            Ok(waited) => waited.map_err(|source| Failure::Io { stage: Stage::Command, source })?,
            Err(too_late) => {
                group.kill().await;
                return Err(too_late);
            }
        };
        output.take_available(&mut said);
        let ending = Ending { status, line: first_line(&said) };
        if status.success() { Ok(ending.to_string()) } else { Err(Failure::Ended(ending)) }
    }

    fn program(&self) -> String {
        self.command.first().cloned().unwrap_or_default()
    }

    fn start(&self) -> io::Result<(Group, Output)> {
        let (reader, writer) = io::pipe()?;
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        if let Some((uid, gid)) = self.identity {
            // The standard library drops the supplementary groups too, between gid and uid.
            command.gid(gid.as_raw()).uid(uid.as_raw());
        }
        let output = Output::new(reader)?;
        Ok((Group { leader: command.spawn()? }, output))
    }
}

/// Whom to become; the agent's own user needs no change, and no right to make one.
fn identity(name: &str) -> Result<Option<(Uid, Gid)>, ExecError> {
    let user = User::from_name(name)
        .map_err(|source| ExecError::Lookup { user: name.to_owned(), source })?
        .ok_or_else(|| ExecError::NoUser { user: name.to_owned() })?;
    let own = Uid::effective();
    if user.uid == own {
        return Ok(None);
    }
    if !own.is_root() {
        return Err(ExecError::NotRoot { user: name.to_owned(), own });
    }
    Ok(Some((user.uid, user.gid)))
}

/// A command and all that it has started, unless that left the process group on purpose.
struct Group {
    leader: Child,
}

impl Group {
    async fn kill(&mut self) {
        self.signal();
        match tokio::time::timeout(REAP_PATIENCE, self.leader.wait()).await {
            Ok(Ok(_status)) => {}
            Ok(Err(error)) => warn!(%error, "failed to reap a killed check command"),
            Err(_elapsed) => warn!("a killed check command does not end"),
        }
    }

    /// Only while the leader has not been reaped: until then nobody else can have its number.
    fn signal(&self) {
        let Some(leader) = self.leader.id().and_then(|id| i32::try_from(id).ok()) else { return };
        if let Err(error) = killpg(Pid::from_raw(leader), Signal::SIGKILL) {
            warn!(%error, "failed to kill the process group of a check command");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal();
    }
}

/// Standard output and error of a command, in the order in which they were written.
struct Output {
    pipe: Receiver,
}

impl Output {
    fn new(reader: PipeReader) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(reader.into())? })
    }

    /// Reads on, so that the command never waits for room in the pipe. Its end is not the
    /// command's, which may close its output and live on, or leave it to a child.
    async fn collect(&mut self, said: &mut Vec<u8>) -> std::convert::Infallible {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = self.pipe.read(&mut chunk).await {
            remember(said, &chunk[..length]);
        }
        std::future::pending().await
    }

    /// What the command wrote just before it ended: no more waiting, and no more than the pipe
    /// holds, as a child left behind may write for ever.
    fn take_available(&self, said: &mut Vec<u8>) {
        let mut chunk = [0; OUTPUT_LIMIT];
        while said.len() < OUTPUT_LIMIT {
            match read(&self.pipe, &mut chunk) {
                Ok(length @ 1..) => remember(said, &chunk[..length]),
                Ok(0) | Err(_) => return,
            }
        }
    }
}

fn remember(said: &mut Vec<u8>, chunk: &[u8]) {
    let room = OUTPUT_LIMIT - said.len();
    said.extend_from_slice(&chunk[..chunk.len().min(room)]);
}

/// The first line that is not blank, safe to print on a terminal.
fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut printable = String::new();
    for c in line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }) {
        if printable.len() + c.len_utf8() > LINE_LIMIT {
            break;
        }
        printable.push(c);
    }
    printable
}

/// How a command ended: `exit status 2: no quorum`, `killed by SIGSEGV`.
#[derive(Debug)]
pub(super) struct Ending {
    status: ExitStatus,
    line: String,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal().map(Signal::try_from)) {
            (Some(code), _) => write!(f, "exit status {code}")?,
            (None, Some(Ok(signal))) => write!(f, "killed by {signal}")?,
            (None, Some(Err(_)) | None) => write!(f, "{}", self.status)?,
        }
        if self.line.is_empty() { Ok(()) } else { write!(f, ": {}", self.line) }
    }
}
