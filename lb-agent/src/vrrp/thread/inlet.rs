//! The way into the VRRP thread: a queue, and an eventfd that its poll wakes from.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// The sending end; never blocks.
#[derive(Debug)]
pub(super) struct Inlet<T> {
    // In this order: whoever is woken by the last one's end finds the queue closed.
    queue: Sender<T>,
    wake: Wake,
}

#[derive(Clone, Debug)]
struct Wake(Arc<EventFd>);

/// The thread's end.
#[derive(Debug)]
pub(super) struct Outlet<T> {
    queue: Receiver<T>,
    wake: Arc<EventFd>,
}

/// A new pair.
pub(super) fn open<T>() -> io::Result<(Inlet<T>, Outlet<T>)> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let wake = Arc::new(EventFd::from_flags(flags)?);
    let (tx, rx) = mpsc::channel();
    Ok((Inlet { queue: tx, wake: Wake(Arc::clone(&wake)) }, Outlet { queue: rx, wake }))
}

impl<T> Clone for Inlet<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), wake: self.wake.clone() }
    }
}

impl<T> Inlet<T> {
    /// Whether the thread is there to take it.
    pub(super) fn send(&self, input: T) -> bool {
        let taken = self.queue.send(input).is_ok();
        self.wake.up();
        taken
    }
}

impl Wake {
    fn up(&self) {
        // Fails only when 2^64 - 2 wake-ups are pending: it wakes then, too.
        let _pending = self.0.write(1);
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.up();
    }
}

impl<T> Outlet<T> {
    /// What was sent since, and whether anybody can send more; forgets the wake-up.
    pub(super) fn take(&self) -> (Vec<T>, bool) {
        // Nothing to read means that there was no wake-up.
        let _count = self.wake.read();
        let mut taken = Vec::new();
        loop {
            match self.queue.try_recv() {
                Ok(input) => taken.push(input),
                Err(TryRecvError::Empty) => return (taken, true),
                Err(TryRecvError::Disconnected) => return (taken, false),
            }
        }
    }
}

impl<T> AsFd for Outlet<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
