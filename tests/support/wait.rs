//! Waiting for a condition, with a deadline generous enough for a loaded machine.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

/// Between two looks at the condition: short beside anything a test waits for, long enough that
/// the waiting does not take the processor from what is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// Deadline for things that should take well under a second on an idle machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
///
/// # Errors
/// When it still did not hold after `deadline`; the text names `what`.
pub fn wait_until(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<()> {
    wait_for(what, deadline, || if condition() { Ok(()) } else { Err(anyhow!("not yet")) })
}

/// Waits until `attempt` succeeds, and returns what it returned.
///
/// # Errors
/// When it still failed after `deadline`: the last failure, under a text that names `what`.
pub fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    let mut attempts = 0u32;
    loop {
        attempts += 1;
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() >= deadline => {
                return Err(error.context(format!(
                    "waited {:.1?} in {attempts} attempts for: {what}",
                    began.elapsed()
                )));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
