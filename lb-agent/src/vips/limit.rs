//! How often something is done again.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::VecDeque, time::Duration};

use crate::vrrp::time::Time;

/// At most so many times in any span.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    times: usize,
    span: Duration,
    done: VecDeque<Time>,
}

impl Limit {
    /// `times`: at least one.
    pub(super) const fn new(times: usize, span: Duration) -> Self {
        Self { times, span, done: VecDeque::new() }
    }

    /// Whether it may be done now, in which case it counts as done.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let allowed = now >= self.next();
        if allowed {
            if self.done.len() >= self.times {
                self.done.pop_front();
            }
            self.done.push_back(now);
        }
        allowed
    }

    /// When it may be done next; in the past, when it may be done now.
    pub(super) fn next(&self) -> Time {
        match self.done.front() {
            Some(first) if self.done.len() >= self.times => *first + self.span,
            _ => Time::default(),
        }
    }
}

#[cfg(test)]
mod tests;
