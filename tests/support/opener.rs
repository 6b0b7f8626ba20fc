//! A client that opens a new connection every 5 ms, whatever became of those before.

pub mod outage;

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
pub use outage::{Attempt, Outage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout_at},
};

use crate::{
    lab::Host,
    wait::{self, wait_for},
};

/// Between two new connections.
pub const PACE: Duration = Duration::from_millis(5);

/// A connection that has not been served by then has failed: what a drill measures by.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The same for a verdict, which a loaded machine must not change. Still shorter than the second
/// after which a lost SYN is sent again, so that no failure hides behind a retransmission.
pub const LONG_PATIENCE: Duration = Duration::from_millis(900);

/// Connections to a TCP echo, each of which asks for its server's name, without end.
#[derive(Debug)]
pub struct Opener {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    patience: Duration,
}

impl Opener {
    /// Begins to open connections from `host`, each with [`PATIENCE`].
    pub fn start(host: &Host, address: SocketAddr) -> Self {
        Self::begin(host, address, PATIENCE)
    }

    /// The same with [`LONG_PATIENCE`].
    pub fn patient(host: &Host, address: SocketAddr) -> Self {
        Self::begin(host, address, LONG_PATIENCE)
    }

    fn begin(host: &Host, address: SocketAddr, patience: Duration) -> Self {
        let (attempts, stop) = <(Arc<Mutex<Vec<Attempt>>>, Arc<AtomicBool>)>::default();
        let (to, end) = (Arc::clone(&attempts), Arc::clone(&stop));
        let thread = host.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(open(address, patience, to, end));
            Ok(())
        });
        Self { attempts, stop, thread: Some(thread), patience }
    }

    /// Attempts that have ended, in the order of their beginnings.
    pub fn attempts(&self) -> Vec<Attempt> {
        let mut attempts = lock(&self.attempts).clone();
        attempts.sort_by_key(|attempt| attempt.began);
        attempts
    }

    /// Waits until the last `count` attempts, all begun after this call, were served.
    ///
    /// # Errors
    /// When it is not so after `deadline`.
    pub fn wait_served(&self, count: usize, deadline: Duration) -> Result<()> {
        let since = Instant::now();
        wait_for(&format!("{count} new connections served in a row"), deadline, || {
            ensure!(self.thread.as_ref().is_some_and(|t| !t.is_finished()), "the client ended");
            let attempts = self.attempts();
            let last = attempts.iter().rev().take_while(|a| a.began >= since).take(count);
            let served = last.take_while(|attempt| attempt.failure.is_none()).count();
            ensure!(served == count, "{served} so far; the last: {:?}", attempts.last());
            Ok(())
        })
    }

    /// Waits for every attempt begun before now.
    ///
    /// # Errors
    /// When they do not end.
    pub fn settle(&self) -> Result<()> {
        let now = Instant::now();
        wait_for("connections under way to end", wait::SOON, || {
            let attempts = lock(&self.attempts);
            ensure!(attempts.iter().any(|attempt| attempt.began >= now + self.patience), "not yet");
            Ok(())
        })
    }

    /// Stops and returns every attempt.
    ///
    /// # Errors
    /// When the client could not work at all.
    pub fn finish(mut self) -> Result<Vec<Attempt>> {
        self.end()?;
        Ok(self.attempts())
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_panic| anyhow!("the client's thread panicked"))?
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        // The thread must be gone before its host is; what it says was for `finish`.
        drop(self.end());
    }
}

async fn open(
    address: SocketAddr,
    patience: Duration,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stop: Arc<AtomicBool>,
) {
    let mut tasks = JoinSet::new();
    let mut ticks = interval(PACE);
    // What the machine kept us from trying did not fail.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let attempts = Arc::clone(&attempts);
        tasks.spawn(async move {
            let began = Instant::now();
            let failure = match timeout_at((began + patience).into(), exchange(address)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.kind().to_string()),
                Err(_elapsed) => Some("timed out".to_owned()),
            };
            let attempt = Attempt { began, took: began.elapsed(), failure };
            lock(&attempts).push(attempt);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

async fn exchange(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"whoami\n").await?;
    // A name and a newline.
    let mut answer = [0; 64];
    match stream.read(&mut answer).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn lock(attempts: &Mutex<Vec<Attempt>>) -> MutexGuard<'_, Vec<Attempt>> {
    attempts.lock().unwrap_or_else(PoisonError::into_inner)
}
