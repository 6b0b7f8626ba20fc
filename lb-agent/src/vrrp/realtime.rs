//! What keeps a busy machine from delaying advertisements.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};

/// Above everything of `SCHED_OTHER`, below the kernel's own threads of priority 50.
const PRIORITY: i32 = 20;

/// What the kernel did not grant; the thread then works as any other does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Needs `CAP_SYS_NICE` or an `RLIMIT_RTPRIO`.
    #[error("failed to get real-time priority {PRIORITY}")]
    Scheduling(#[source] io::Error),
    /// Needs `CAP_IPC_LOCK` or a large `RLIMIT_MEMLOCK`.
    #[error("failed to lock the memory")]
    Memory(#[source] io::Error),
}

/// Asks for `SCHED_FIFO` for the calling thread (processes it starts do not inherit it), and that
/// no page of this process, once touched, is taken away.
///
/// Returns what was refused.
#[must_use]
pub fn claim() -> Vec<Error> {
    let memory = mlockall(MlockAllFlags::from_bits_retain(
        libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT,
    ));
    let refused = memory.err().map(|errno| Error::Memory(errno.into()));
    scheduling().err().map(Error::Scheduling).into_iter().chain(refused).collect()
}

fn scheduling() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: pid 0 is the calling thread; the parameters are borrowed, and valid for reads, until
    // the call returns.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
