//! Who claims a VIP: an observer that asks for it every 2 ms and notes every answer.
//!
//! The questions are ARP requests or neighbour solicitations from the host `observer`, which
//! nobody else talks to: no neighbour cache of the client is touched. Each carries one of 16
//! sender addresses by turns, which the answer repeats, so an answer that comes late still counts
//! for its own question. Announcements and VRRP advertisements are noted beside.

pub mod frame;
pub mod record;

use std::{
    io::IoSliceMut,
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow, ensure};
use frame::{Question, Sight};
use lb_agent::inject::PacketSocket;
use lb_common::net::MacAddr;
use nix::{
    cmsg_space,
    errno::Errno,
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
            recvmsg, setsockopt, socket, sockopt,
        },
        time::{TimeSpec, TimeVal, TimeValLike},
    },
};
pub use record::Record;

use crate::{
    lab::Host,
    wait::{self, wait_for},
};

/// Between two questions.
pub const PACE: Duration = Duration::from_millis(2);

/// An observer at work. It stops when dropped.
#[derive(Debug)]
pub struct Claims {
    record: Arc<Mutex<Record>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Claims {
    /// Begins to ask for `vip` from `eth0` of `observer`.
    pub fn start(observer: &Host, vip: std::net::IpAddr) -> Self {
        let (record, stop) = <(Arc<Mutex<Record>>, Arc<AtomicBool>)>::default();
        let question = Question { vip, mac: observer.mac() };
        let listen = {
            let (record, stop) = (Arc::clone(&record), Arc::clone(&stop));
            observer.thread(move || listen(question, &record, &stop))
        };
        let ask = {
            let (record, stop) = (Arc::clone(&record), Arc::clone(&stop));
            observer.thread(move || ask(question, &record, &stop))
        };
        Self { record, stop, threads: vec![listen, ask] }
    }

    /// What it has seen so far.
    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// Waits until the VIP is claimed by these, and by nobody else, in the last 20 questions.
    ///
    /// # Errors
    /// When it is not so after `deadline`, or a thread of the observer failed.
    pub fn wait_owners(&self, owners: &[&Host], deadline: Duration) -> Result<()> {
        let expected = macs(owners);
        let names: Vec<_> = owners.iter().map(|host| host.name()).collect();
        let since = epoch();
        wait_for(&format!("the VIP to be claimed by {names:?} alone"), deadline, || {
            self.check()?;
            let last = lock(&self.record).last_owners(since, 20);
            ensure!(last.as_ref() == Some(&expected), "the last claims: {last:?}");
            Ok(())
        })
    }

    /// Whether these, and nobody else, answer one or another of 20 questions from now on: that a
    /// busy machine leaves one without an answer is no verdict.
    ///
    /// # Errors
    /// When a thread of the observer failed.
    pub fn settled_owners(&self, owners: &[&Host]) -> Result<bool> {
        let since = epoch();
        wait_for("the observer to ask on", wait::SOON, || {
            self.check()?;
            // Two that may be under way, beside those that count.
            let later = lock(&self.record).asked_since(since);
            ensure!(later >= 22, "{later} later questions");
            Ok(())
        })?;
        Ok(lock(&self.record).owners(since) == macs(owners))
    }

    /// Stops and returns everything seen.
    ///
    /// # Errors
    /// When a thread failed.
    pub fn finish(mut self) -> Result<Record> {
        self.end()?;
        Ok(self.record())
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.threads.iter().all(|thread| !thread.is_finished()),
            "a thread of the observer has ended"
        );
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_panic| anyhow!("a thread of the observer panicked"))??;
        }
        Ok(())
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        // The threads must be gone before their host is; what they say was for `finish`.
        drop(self.end());
    }
}

/// The time by which all that is seen is ordered: the kernel's stamps on packets are of it.
pub fn epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn ask(question: Question, record: &Mutex<Record>, stop: &AtomicBool) -> Result<()> {
    let device = if_nametoindex("eth0").context("the observer has no `eth0`")?;
    let socket = PacketSocket::open().context("failed to open a packet socket")?;
    let mut next = epoch();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        // Noted before it leaves: the answer comes within microseconds.
        lock(record).ask(epoch(), turn);
        socket.send(device, &question.frame(turn)).context("failed to ask for the VIP")?;
        turn = (turn + 1) % frame::SENDERS;
        next += PACE;
        match next.checked_sub(epoch()) {
            Some(pause) => thread::sleep(pause),
            // Late: questions in a bunch would tell no more than one.
            None => next = epoch(),
        }
    }
    Ok(())
}

fn listen(question: Question, record: &Mutex<Record>, stop: &AtomicBool) -> Result<()> {
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::EthAll),
    )
    .context("failed to open a packet socket")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20))?;
    // So that the end is noticed when nothing comes.
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(100))?;
    let mut buffer = [0; 2048];
    let mut control = cmsg_space!(TimeSpec);
    while !stop.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received =
            recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let (length, at) = match received {
            Ok(message) => {
                let stamp = message.cmsgs()?.find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                    _ => None,
                });
                (message.bytes, stamp.unwrap_or_else(epoch))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => return Err(error).context("failed to listen for answers"),
        };
        if let Some(sight) = Sight::read(&buffer[..length], question) {
            lock(record).see(at, sight);
        }
    }
    Ok(())
}

/// In the record's order.
fn macs(hosts: &[&Host]) -> Vec<MacAddr> {
    let mut macs: Vec<MacAddr> = hosts.iter().map(|host| host.mac()).collect();
    macs.sort_by_key(|mac| mac.0);
    macs
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}
