//! What is printed while it happens: a relative time, then what was done (`>`) or seen.

use std::time::Instant;

/// Prints against the time of its making.
#[derive(Debug)]
pub(crate) struct Timeline {
    began: Instant,
    broken: Vec<String>,
}

impl Timeline {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        println!("\n    time  > what was done, and what was seen");
        Self { began: Instant::now(), broken: Vec::new() }
    }

    /// Something is about to be done.
    pub(crate) fn doing(&self, what: &str) {
        println!();
        self.line(Instant::now(), &format!("> {what}"));
    }

    /// Something was seen at that time.
    pub(crate) fn saw(&self, at: Instant, what: &str) {
        self.line(at, &format!("  {what}"));
    }

    /// Something that must hold: where it does not, the demo fails in the end.
    pub(crate) fn must(&mut self, holds: bool, what: &str) {
        if holds {
            self.saw(Instant::now(), what);
        } else {
            self.saw(Instant::now(), &format!("FAILED {what}"));
            self.broken.push(what.to_owned());
        }
    }

    fn line(&self, at: Instant, text: &str) {
        let seconds = at.saturating_duration_since(self.began).as_secs_f64();
        println!("{seconds:6.2} s  {text}");
    }

    /// What did not hold.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }
}
