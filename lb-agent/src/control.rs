//! The admin socket: one JSON request a line, one JSON answer a line.
//!
//! The socket's file mode (0600) decides who may speak; there is no other authentication.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::view::StatusView;

/// Longest request line, bytes.
const MAX_LINE: u64 = 4096;
/// Conversations at one time.
const MAX_CLIENTS: usize = 32;
/// How long a client may take for a line, and an answer for being made.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// The state of everything.
    Status,
    /// Reads the configuration file again.
    Reload,
    /// Changes how a backend stands.
    Backend {
        /// Name of the service.
        service: String,
        /// Name of the backend.
        backend: String,
        /// What is wanted.
        change: Change,
    },
    /// Moves the addresses of a VRRP instance.
    Vrrp {
        /// Name of the instance.
        name: String,
        /// What is wanted.
        change: VrrpChange,
    },
}

/// What is wanted of a VRRP instance and of those in its sync group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VrrpChange {
    /// Hand over, and stay out of the election.
    Release,
    /// Take part in the election again.
    Resume,
    /// Announce the addresses again.
    Announce,
}

/// What is wanted of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// No new connections.
    Drain,
    /// As its health says.
    Ready,
    /// As if down.
    Maint,
    /// This weight, or the configured one again.
    Weight(Option<u16>),
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Done.
    Done,
    /// The state of everything.
    Status(Box<StatusView>),
    /// Not done, and why.
    Error(String),
}

/// A request and where its answer goes.
pub type Call = (Request, oneshot::Sender<Response>);

/// The socket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another agent answers there.
    #[error(
        "another agent answers at `{}`\n  hint: stop it, or set `admin_socket` to another path", path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The socket could not be made.
    #[error("failed to listen at `{}`", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No agent answers.
    #[error("no agent answers at `{}`\n  hint: is it running, and with this `admin_socket`?", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("the agent at `{}` did not answer", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes the socket. A left-over of a dead agent is replaced, a live one is not.
pub async fn listen(path: &Path) -> Result<UnixListener, Error> {
    if answers(path).await {
        return Err(Error::InUse { path: path.to_path_buf() });
    }
    bind(path).map_err(|source| Error::Listen { path: path.to_path_buf(), source })
}

/// Whether an agent listens there.
pub async fn answers(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers clients until the other end of `calls` is gone.
pub async fn serve(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(converse(stream, calls.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = clients.join_next() => {}
            () = calls.closed() => return,
        }
    }
}

async fn converse(stream: UnixStream, calls: mpsc::Sender<Call>) {
    use tokio::io::AsyncReadExt;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MAX_LINE)).lines();
    while let Ok(Ok(Some(line))) = timeout(PATIENCE, lines.next_line()).await {
        let response = match serde_json::from_str(&line) {
            Ok(request) => ask(request, &calls).await,
            Err(error) => Response::Error(format!("`{line}` is no request: {error}")),
        };
        let Ok(mut text) = serde_json::to_string(&response) else { return };
        text.push('\n');
        if write.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn ask(request: Request, calls: &mpsc::Sender<Call>) -> Response {
    let (reply, answer) = oneshot::channel();
    if calls.send((request, reply)).await.is_err() {
        return Response::Error("the agent is ending".to_owned());
    }
    match timeout(PATIENCE, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) | Err(_) => Response::Error("the agent is too busy to answer".to_owned()),
    }
}

/// Asks the agent at this socket.
pub async fn call(path: &Path, request: &Request) -> Result<Response, Error> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| Error::Connect { path: path.to_path_buf(), source })?;
    exchange(stream, request)
        .await
        .map_err(|source| Error::Answer { path: path.to_path_buf(), source })
}

async fn exchange(stream: UnixStream, request: &Request) -> io::Result<Response> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await?;
    let mut lines = BufReader::new(read).lines();
    let answer = timeout(PATIENCE * 2, lines.next_line()).await??;
    let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&answer)?)
}
