//! The clients: a steady stream of short requests, and watches that stay open, all over TLS.

use std::{
    io::{Error, ErrorKind, Result as IoResult},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use lb_tests::{
    client::parse,
    lab::Host,
    pki::{Pki, SERVER_NAME},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Between two new connections.
pub(crate) const PACE: Duration = Duration::from_millis(10);

/// Watches held open through each VIP.
pub(crate) const WATCHES: usize = 12;

/// Before a watch that broke is opened anew.
const PAUSE: Duration = Duration::from_millis(100);

/// For a whole request, or for a watch to open.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// One short request over a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Through which VIP: an index into what [`Load::start`] was given.
    pub(crate) vip: usize,
    /// The server that answered, or what went wrong.
    pub(crate) outcome: Result<String, String>,
}

/// One request whose answer has no end.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) server: String,
    /// When and how it broke.
    pub(crate) broke: Option<(Instant, String)>,
    /// Events received.
    pub(crate) events: u64,
    /// When the last of them came, or the answer's beginning.
    pub(crate) heard: Instant,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Request>,
    watches: Vec<Watch>,
}

/// The clients at work on a thread inside a host.
#[derive(Debug)]
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Load {
    /// Opens the watches, then sends a request every [`PACE`], through the VIPs by turns.
    ///
    /// # Errors
    /// When a watch cannot be opened.
    pub(crate) fn start(host: &Host, pki: &Pki, vips: Vec<SocketAddr>) -> Result<Self> {
        let tls = TlsConnector::from(pki.client_config()?);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stop, stopped) = watch::channel(false);
        let (opened, wait_opened) = std::sync::mpsc::channel();
        let shared = Arc::clone(&seen);
        let thread = host.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                let begun = watches(&tls, &vips, &shared, &stopped, &mut tasks).await;
                // Nobody listens when `start` has given up.
                drop(opened.send(begun.as_ref().err().map(|error| format!("{error:#}"))));
                begun?;
                requests(&tls, &vips, &shared, &stopped, &mut tasks).await;
                while tasks.join_next().await.is_some() {}
                Ok(())
            })
        });
        let load = Self { seen, stop, thread: Some(thread) };
        match wait_opened.recv().context("the clients' thread ended before it began")? {
            Some(error) => Err(anyhow!(error).context("failed to open the watches")),
            None => Ok(load),
        }
    }

    /// The requests that have ended so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.seen).requests.clone()
    }

    /// The watches in the order of their opening, broken ones included: for each of these there is
    /// a later one, or will be.
    pub(crate) fn watches(&self) -> Vec<Watch> {
        lock(&self.seen).watches.clone()
    }

    /// Sends no more requests, waits for those under way and closes the watches.
    ///
    /// # Errors
    /// When the thread failed.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(anyhow!("the clients' thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // The thread must be gone before its host is; what it says was for `finish`.
        drop(self.finish());
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn requests(
    tls: &TlsConnector,
    vips: &[SocketAddr],
    seen: &Arc<Mutex<Seen>>,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (vip, address) in vips.iter().copied().enumerate().cycle() {
        ticks.tick().await;
        if *stopped.borrow() {
            return;
        }
        // Those that have ended are only taken off the list.
        while tasks.try_join_next().is_some() {}
        let (tls, seen) = (tls.clone(), Arc::clone(seen));
        tasks.spawn(async move {
            let began = Instant::now();
            let outcome = match timeout(PATIENCE, get(&tls, address)).await {
                Ok(result) => result.map_err(|error| words(&error)),
                Err(_) => Err(format!("no answer within {PATIENCE:?}")),
            };
            lock(&seen).requests.push(Request { began, ended: Instant::now(), vip, outcome });
        });
    }
}

/// Asks for `/readyz`; returns who answered.
async fn get(tls: &TlsConnector, address: SocketAddr) -> IoResult<String> {
    let mut stream = open(tls, address, "/readyz").await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // TLS calls it so when the peer closes without close_notify; `parse` checks the length.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        other => drop(other?),
    }
    let answer = parse(&answer).map_err(Error::other)?;
    match answer.status {
        200 => Ok(answer.server),
        status => Err(Error::other(format!("status {status}"))),
    }
}

/// Connects, verifies the server, and sends a request.
async fn open(
    tls: &TlsConnector,
    address: SocketAddr,
    path: &str,
) -> IoResult<TlsStream<TcpStream>> {
    let name = ServerName::try_from(SERVER_NAME).map_err(Error::other)?;
    let mut stream = tls.connect(name, TcpStream::connect(address).await?).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Opens all watches, and has tasks keep them.
async fn watches(
    tls: &TlsConnector,
    vips: &[SocketAddr],
    seen: &Arc<Mutex<Seen>>,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    for address in vips.iter().copied() {
        for _ in 0..WATCHES {
            let first = open_watch(tls, address, seen)
                .await
                .with_context(|| format!("through {address}"))?;
            let (tls, seen, mut stopped) = (tls.clone(), Arc::clone(seen), stopped.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = keep(&tls, address, &seen, first) => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        }
    }
    Ok(())
}

/// Opens a watch and notes it; returns its place among all.
async fn open_watch(
    tls: &TlsConnector,
    address: SocketAddr,
    seen: &Mutex<Seen>,
) -> Result<(TlsStream<TcpStream>, usize)> {
    let mut stream = timeout(PATIENCE, open(tls, address, "/watch?interval=100ms")).await??;
    let mut head = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut head)).await??;
    let server = parse(&head[..length])?.server;
    let watches = &mut lock(seen).watches;
    watches.push(Watch { server, broke: None, events: 0, heard: Instant::now() });
    Ok((stream, watches.len() - 1))
}

/// Listens to a watch; when it breaks, opens another, as a client of the API does.
async fn keep(
    tls: &TlsConnector,
    address: SocketAddr,
    seen: &Mutex<Seen>,
    first: (TlsStream<TcpStream>, usize),
) {
    let mut next = Some(first);
    loop {
        match next {
            Some((stream, place)) => {
                let how = listen(stream, place, seen).await;
                lock(seen).watches[place].broke = Some((Instant::now(), how));
            }
            // It is tried again until the end: the requests tell why it cannot be opened.
            None => sleep(PAUSE).await,
        }
        next = open_watch(tls, address, seen).await.ok();
    }
}

/// Counts events until there are no more; returns why.
async fn listen(mut stream: TlsStream<TcpStream>, place: usize, seen: &Mutex<Seen>) -> String {
    let mut events = [0; 4096];
    loop {
        match timeout(PATIENCE, stream.read(&mut events)).await {
            Ok(Ok(0)) => return "closed".to_owned(),
            Ok(Ok(_)) => {
                let watch = &mut lock(seen).watches[place];
                watch.events += 1;
                watch.heard = Instant::now();
            }
            Ok(Err(error)) => return words(&error),
            Err(_) => return format!("no event within {PATIENCE:?}"),
        }
    }
}

/// An error as a user of `curl` knows it.
fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "connection reset".to_owned(),
        ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}
