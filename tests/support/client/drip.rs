//! New connections without end, and what became of each.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use crate::{
    lab::Host,
    wait::{self, wait_until},
};

/// For connecting, and for the answer. Longer than a SYN that was lost twice takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One connection that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Before its SYN.
    pub began: Instant,
    /// Until its answer, or its failure.
    pub took: Duration,
    /// Name of the backend that answered, or what went wrong.
    pub answer: Result<String, String>,
}

/// Connections to a TCP echo, by several threads inside a host, each one after the other.
#[derive(Debug)]
pub struct Drip {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Drip {
    /// Starts `threads` of them; each pauses for `pause` between a connection's end and the next.
    pub fn start(host: &Host, address: SocketAddr, threads: usize, pause: Duration) -> Self {
        let (attempts, stop) = <(Arc<Mutex<Vec<Attempt>>>, Arc<AtomicBool>)>::default();
        let threads = (0..threads)
            .map(|_| {
                let (attempts, stop) = (Arc::clone(&attempts), Arc::clone(&stop));
                host.thread(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        let answer = ask(address).map_err(|error| error.to_string());
                        let attempt = Attempt { began, took: began.elapsed(), answer };
                        attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
                        thread::sleep(pause);
                    }
                    Ok(())
                })
            })
            .collect();
        Self { attempts, stop, threads }
    }

    /// Those that have ended so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` that began after `since` have ended.
    ///
    /// # Errors
    /// When they do not within the deadline.
    pub fn wait(&self, since: Instant, count: usize) -> Result<()> {
        wait_until(&format!("{count} new connections"), wait::SOON * 3, || {
            self.attempts().iter().filter(|attempt| attempt.began >= since).count() >= count
        })
    }

    /// Stops, and returns every attempt.
    ///
    /// # Errors
    /// When a thread could not enter the host.
    pub fn finish(mut self) -> Result<Vec<Attempt>> {
        self.end()?;
        Ok(self.attempts())
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_panic| anyhow!("a thread of connections panicked"))??;
        }
        Ok(())
    }
}

impl Drop for Drip {
    fn drop(&mut self) {
        // The threads must be gone before their host is; what they say was for `finish`.
        drop(self.end());
    }
}

/// Opens a connection to a TCP echo, asks who it is and closes.
///
/// # Errors
/// When that fails or takes more than 10 s.
pub fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"whoami\n")?;
    let mut name = String::new();
    if BufReader::new(stream).read_line(&mut name)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(name.trim_end().to_owned())
}
