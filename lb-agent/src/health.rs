//! Health checks: one probe is one outcome, and outcomes become a state by rise and fall.

pub mod tracker;

use std::time::Duration;

/// Which backend a report is about: names as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Name of the service.
    pub service: String,
    /// Name of the backend.
    pub backend: String,
}

/// What one check found. The reason is always in words, also for a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the backend did what it should.
    pub passed: bool,
    /// For people: `200 OK`, `connection refused`, `no answer within 1s (TLS handshake)`.
    pub reason: String,
    /// From the beginning of the check to its outcome.
    pub latency: Duration,
}

/// Sent by a probe task after each check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who was checked.
    pub target: Target,
    /// With what result.
    pub outcome: Outcome,
}
