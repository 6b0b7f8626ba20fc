//! Commands that the configuration names: their own process group, an almost empty environment, no
//! way to linger.

use std::{
    ffi::OsString,
    fmt,
    io::{self, PipeReader},
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
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
    time::timeout_at,
};
use tracing::warn;

#[cfg(test)]
pub(crate) mod test_pair;

/// What a login gives; the agent's own `PATH` is nobody else's business.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of a command's output that is remembered, in bytes; the rest is read and forgotten.
const OUTPUT_LIMIT: usize = 1024;
/// Of its first line that goes into the reason, in bytes.
const LINE_LIMIT: usize = 200;
/// For a killed process to be reaped here; one that is stuck in the kernel is left to tokio's reaper.
const REAP_PATIENCE: Duration = Duration::from_millis(500);

/// Why a command cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
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

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// It does not exist, may not be executed, is no program.
    #[error("cannot start `{program}`: {}", in_words(.source))]
    NotStarted {
        /// Its path.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was still running at its deadline, and has been killed.
    #[error("it takes too long")]
    TooLong,
    /// The kernel would not tell how it ended.
    #[error("{}", in_words(.0))]
    Lost(io::Error),
}

/// A command, ready to be run again and again.
#[derive(Clone, Debug)]
pub struct Program {
    words: Vec<String>,
    /// `None`: the agent's own user, and nothing to change.
    identity: Option<(Uid, Gid)>,
    environment: Vec<(&'static str, OsString)>,
}

impl Program {
    /// `words` are the program's absolute path and its arguments. Its environment is `PATH` and what
    /// is given. Looks `user` up, so it may block shortly.
    ///
    /// # Errors
    /// There is no such user, or the agent may not become it.
    pub fn new(
        words: &[String],
        user: &str,
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Result<Self, CommandError> {
        if words.is_empty() {
            return Err(CommandError::NoCommand);
        }
        let path = [("PATH", PATH.into())];
        Ok(Self {
            words: words.to_vec(),
            identity: identity(user)?,
            environment: path.into_iter().chain(environment).collect(),
        })
    }

    /// The same with further arguments.
    #[must_use]
    pub fn with_arguments(&self, arguments: impl IntoIterator<Item = String>) -> Self {
        let mut program = self.clone();
        program.words.extend(arguments);
        program
    }

    /// Runs it once. Whatever happens, also when this future is dropped, nothing of it runs on past
    /// `deadline`.
    ///
    /// # Errors
    /// It did not start or not end in time; any exit status is an [`Ending`].
    pub async fn run(&self, deadline: Instant) -> Result<Ending, Unfinished> {
        let late = |_elapsed| Unfinished::TooLong;
        let not_started = |source| Unfinished::NotStarted { program: self.path(), source };
        // Forking copies page tables, and reading the program may hang with its file system: not
        // on the thread that everything else runs on. A group that arrives too late is dropped.
        let program = self.clone();
        let started = tokio::task::spawn_blocking(move || program.start());
        let (mut group, mut output) = timeout_at(deadline.into(), started)
            .await
            .map_err(late)?
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(not_started)?;
        let mut said = Vec::new();
        let ended = timeout_at(deadline.into(), async {
            tokio::select! {
                biased;
                ended = group.leader.wait() => ended,
                never = output.collect(&mut said) => match never {},
            }
        })
        .await;
        let Ok(waited) = ended else {
            group.kill().await;
            return Err(Unfinished::TooLong);
        };
        let status = waited.map_err(Unfinished::Lost)?;
        output.take_available(&mut said);
        Ok(Ending { status, line: first_line(&said) })
    }

    fn path(&self) -> String {
        self.words.first().cloned().unwrap_or_default()
    }

    fn start(&self) -> io::Result<(Group, Output)> {
        let (reader, writer) = io::pipe()?;
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
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

/// The kernel's own words for an error, without a number.
pub fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_lowercase(),
        None => error.to_string(),
    }
}

/// Whom to become; the agent's own user needs no change, and no right to make one.
fn identity(name: &str) -> Result<Option<(Uid, Gid)>, CommandError> {
    let user = User::from_name(name)
        .map_err(|source| CommandError::Lookup { user: name.to_owned(), source })?
        .ok_or_else(|| CommandError::NoUser { user: name.to_owned() })?;
    let own = Uid::effective();
    if user.uid == own {
        return Ok(None);
    }
    if !own.is_root() {
        return Err(CommandError::NotRoot { user: name.to_owned(), own });
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
            Ok(Err(error)) => warn!(%error, "failed to reap a killed command"),
            Err(_elapsed) => warn!("a killed command does not end"),
        }
    }

    /// Only while the leader has not been reaped: until then nobody else can have its number.
    fn signal(&self) {
        let Some(leader) = self.leader.id().and_then(|id| i32::try_from(id).ok()) else { return };
        if let Err(error) = killpg(Pid::from_raw(leader), Signal::SIGKILL) {
            warn!(%error, "failed to kill the process group of a command");
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
pub struct Ending {
    status: ExitStatus,
    line: String,
}

impl Ending {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }
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
