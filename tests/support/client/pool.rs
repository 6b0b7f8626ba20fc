//! Many connections held open, and what becomes of each.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::whoami;
use crate::lab::Host;

/// An exchange that takes longer than this ends the connection as [`Fate::Stalled`].
const STALLED: Duration = Duration::from_secs(30);

/// What a connection does while the pool stands.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// A line to the echo and back, this long after the last one came back.
    Every(Duration),
    /// Nothing: it only listens for its end.
    Idle,
}

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It stands.
    Open,
    /// It never came to be.
    Failed,
    /// The peer reset it.
    Reset,
    /// The peer closed it.
    Closed,
    /// No echo came for 30 s, or a wrong one.
    Stalled,
}

/// One connection of a pool.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's end.
    pub local: Option<SocketAddr>,
    /// Name of the backend that holds it.
    pub server: String,
    /// What has become of it.
    pub fate: Fate,
    /// When it ended; `None` while it stands.
    pub ended: Option<Instant>,
    /// Lines that came back.
    pub exchanges: u64,
    /// The longest that a line took to come back, from the first after the opening.
    pub longest_stall: Duration,
}

/// Connections from a host to a TCP echo, held by a thread inside the host.
#[derive(Debug)]
pub struct Pool {
    connections: Arc<Mutex<Vec<Connection>>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Pool {
    /// Opens `count` connections and learns from each which backend holds it. Then `traffic`
    /// flows until [`Self::finish`].
    ///
    /// # Errors
    /// When one of them cannot be opened within 20 s.
    pub fn open(host: &Host, address: SocketAddr, count: usize, traffic: Traffic) -> Result<Self> {
        let fresh = Connection {
            local: None,
            server: String::new(),
            fate: Fate::Failed,
            ended: None,
            exchanges: 0,
            longest_stall: Duration::ZERO,
        };
        let connections = Arc::new(Mutex::new(vec![fresh; count]));
        let (stop, stopped) = watch::channel(false);
        let (opened, wait_opened) = std::sync::mpsc::channel();
        let shared = Arc::clone(&connections);
        let thread = host.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let streams = open_all(address, &shared).await;
                // Nobody listens when `open` has given up.
                drop(opened.send(streams.as_ref().err().map(|error| format!("{error:#}"))));
                hold_all(streams?, traffic, &shared, &stopped).await;
                Ok(())
            })
        });
        let pool = Self { connections, stop, thread: Some(thread) };
        match wait_opened.recv().context("the pool's thread ended before it began")? {
            Some(error) => {
                Err(anyhow!(error)
                    .context(format!("failed to open {count} connections to {address}")))
            }
            None => Ok(pool),
        }
    }

    /// What has become of the connections so far.
    pub fn connections(&self) -> Vec<Connection> {
        lock(&self.connections).clone()
    }

    /// How many connections have which fate.
    pub fn fates(&self) -> BTreeMap<Fate, usize> {
        let mut fates = BTreeMap::new();
        for connection in lock(&self.connections).iter() {
            *fates.entry(connection.fate).or_default() += 1;
        }
        fates
    }

    /// How many connections each backend holds, ended ones included.
    pub fn servers(&self) -> BTreeMap<String, usize> {
        let mut servers = BTreeMap::new();
        for connection in lock(&self.connections).iter() {
            *servers.entry(connection.server.clone()).or_default() += 1;
        }
        servers
    }

    /// Exchanges of all connections together.
    pub fn exchanges(&self) -> u64 {
        lock(&self.connections).iter().map(|connection| connection.exchanges).sum()
    }

    /// Stops the traffic after the exchange that is under way, closes what is open, and returns
    /// what had become of each connection before that.
    ///
    /// # Errors
    /// When the pool's thread failed.
    pub fn finish(mut self) -> Result<Vec<Connection>> {
        self.end()?;
        Ok(self.connections())
    }

    fn end(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(anyhow!("the pool's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The thread must be gone before its host is; what it says was for `finish`.
        drop(self.end());
    }
}

fn lock(connections: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

type Stream = BufReader<TcpStream>;

async fn open_all(
    address: SocketAddr,
    connections: &Mutex<Vec<Connection>>,
) -> Result<Vec<Stream>> {
    let places = Arc::new(Semaphore::new(super::AT_A_TIME));
    let count = lock(connections).len();
    let mut tasks = JoinSet::new();
    for index in 0..count {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire_owned().await?;
            let opening = async {
                let mut stream = BufReader::new(TcpStream::connect(address).await?);
                let server = whoami(&mut stream).await?;
                Ok::<_, std::io::Error>((index, stream, server))
            };
            Ok::<_, anyhow::Error>(tokio::time::timeout(Duration::from_secs(20), opening).await??)
        });
    }
    let mut streams: Vec<Option<Stream>> = (0..count).map(|_| None).collect();
    while let Some(joined) = tasks.join_next().await {
        let (index, stream, server) = joined??;
        let mut connections = lock(connections);
        connections[index].local = stream.get_ref().local_addr().ok();
        connections[index].server = server;
        connections[index].fate = Fate::Open;
        streams[index] = Some(stream);
    }
    Ok(streams.into_iter().flatten().collect())
}

async fn hold_all(
    streams: Vec<Stream>,
    traffic: Traffic,
    connections: &Arc<Mutex<Vec<Connection>>>,
    stopped: &watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    for (index, stream) in streams.into_iter().enumerate() {
        let (connections, stopped) = (Arc::clone(connections), stopped.clone());
        tasks.spawn(async move {
            let fate = match traffic {
                Traffic::Idle => idle(stream, stopped).await,
                Traffic::Every(pause) => {
                    busy(stream, pause, stopped, |stall| {
                        let connection = &mut lock(&connections)[index];
                        connection.exchanges += 1;
                        connection.longest_stall = connection.longest_stall.max(stall);
                    })
                    .await
                }
            };
            if fate != Fate::Open {
                let connection = &mut lock(&connections)[index];
                connection.fate = fate;
                connection.ended = Some(Instant::now());
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn idle(mut stream: Stream, mut stopped: watch::Receiver<bool>) -> Fate {
    let mut line = String::new();
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => Fate::Open,
        read = stream.read_line(&mut line) => ended(&read),
    }
}

async fn busy(
    mut stream: Stream,
    pause: Duration,
    mut stopped: watch::Receiver<bool>,
    mut exchanged: impl FnMut(Duration),
) -> Fate {
    let mut sequence = 0u64;
    loop {
        sequence += 1;
        let began = Instant::now();
        match tokio::time::timeout(STALLED, echo(&mut stream, sequence)).await {
            Ok(Fate::Open) => exchanged(began.elapsed()),
            Ok(fate) => return fate,
            Err(_) => return Fate::Stalled,
        }
        // While it pauses, its end is noticed too.
        let mut line = String::new();
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return Fate::Open,
            read = stream.read_line(&mut line) => return ended(&read),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One line there and back.
async fn echo(stream: &mut Stream, sequence: u64) -> Fate {
    let sent = format!("{sequence}\n");
    let mut line = String::new();
    let read = match stream.write_all(sent.as_bytes()).await {
        Ok(()) => stream.read_line(&mut line).await,
        Err(error) => Err(error),
    };
    if line == sent { Fate::Open } else { ended(&read) }
}

fn ended(read: &std::io::Result<usize>) -> Fate {
    match read {
        Ok(0) => Fate::Closed,
        Ok(_) => Fate::Stalled,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Fate::Reset,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Fate::Closed,
        Err(_) => Fate::Stalled,
    }
}
