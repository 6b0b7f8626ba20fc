//! Why a check failed, in words that an operator can act on.

use std::{
    error::Error,
    fmt, io,
    time::{Duration, Instant},
};

use rustls::{AlertDescription, CertificateError};

use crate::process::{Ending, Unfinished, in_words};

#[cfg(test)]
mod tests;

/// What a check was doing when it failed or ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Handshake,
    Response,
    Body,
    Command,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Handshake => "TLS handshake",
            Self::Response => "waiting for the response",
            Self::Body => "reading the body",
            Self::Command => "running the command",
        })
    }
}

/// The end of a check's time, shared by all of its stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// `timeout` after `start`.
    pub(super) fn new(start: Instant, timeout: Duration) -> Self {
        Self { at: start + timeout, timeout }
    }

    /// The result of `work`, or the failure that names the `stage` that took too long.
    pub(super) async fn limit<T>(
        self,
        stage: Stage,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout_at(self.at.into(), work).await {
            Ok(done) => Ok(done),
            Err(_elapsed) => Err(self.missed(stage)),
        }
    }

    pub(super) const fn at(self) -> Instant {
        self.at
    }

    /// The failure that names the `stage` that took too long.
    pub(super) const fn missed(self, stage: Stage) -> Failure {
        Failure::NoAnswer { timeout: self.timeout, stage }
    }
}

/// A failed check. Its text is the outcome's reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no answer within {timeout:?} ({stage})")]
    NoAnswer { timeout: Duration, stage: Stage },
    #[error("{}{}", io_words(.source), at_stage(*.stage))]
    Io { stage: Stage, source: io::Error },
    #[error("{}", tls_words(.source, .server))]
    Tls { server: String, source: rustls::Error },
    #[error("connection closed{}", at_stage(*.stage))]
    Closed { stage: Stage },
    #[error("the answer is not HTTP: {source}")]
    NotHttp { source: hyper::Error },
    #[error("status {got} instead of {expected}")]
    Status { got: u16, expected: u16 },
    #[error("body does not contain `{expected}`")]
    BodyWithout { expected: String },
    #[error(transparent)]
    Unfinished(Unfinished),
    #[error("{0}")]
    Ended(Ending),
}

impl Failure {
    /// An error of a socket, or what rustls wrapped in one.
    pub(super) fn io(stage: Stage, server: &str, source: io::Error) -> Self {
        match source.downcast::<rustls::Error>() {
            Ok(source) => Self::Tls { server: server.to_owned(), source },
            Err(source) => Self::Io { stage, source },
        }
    }

    /// An error of an HTTP exchange, told by its cause where the transport has one.
    pub(super) fn http(stage: Stage, server: &str, error: hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(found) = cause {
            if let Some(io) = found.downcast_ref::<io::Error>() {
                return match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(tls) => Self::Tls { server: server.to_owned(), source: tls.clone() },
                    None => Self::Io { stage, source: same_io(io) },
                };
            }
            cause = found.source();
        }
        if error.is_parse() {
            return Self::NotHttp { source: error };
        }
        // What is left has no cause below HTTP: the message was cut short, or the connection was
        // closed before it began.
        Self::Closed { stage }
    }

    /// Whether a kept-alive connection may have failed where a new one would not: it broke, and
    /// nothing that the server said decides the check.
    pub(super) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Tls { .. } | Self::Closed { .. } | Self::NotHttp { .. } => true,
            Self::NoAnswer { .. }
            | Self::Status { .. }
            | Self::BodyWithout { .. }
            | Self::Unfinished(_)
            | Self::Ended(_) => false,
        }
    }
}

/// `io::Error` is not `Clone`, and hyper lends its cause only.
fn same_io(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// A refused connection needs no mention of where that happened.
fn at_stage(stage: Stage) -> String {
    match stage {
        Stage::Connecting => String::new(),
        Stage::Handshake | Stage::Response | Stage::Body | Stage::Command => format!(" ({stage})"),
    }
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "connection closed".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => in_words(error),
    }
}

fn tls_words(error: &rustls::Error, server: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => certificate_words(reason, server),
        rustls::Error::AlertReceived(alert) => alert_words(*alert),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

fn certificate_words(reason: &CertificateError, server: &str) -> String {
    match reason {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("certificate not valid for `{server}`")
        }
        CertificateError::UnknownIssuer => "unknown certificate authority".to_owned(),
        // Every kubeadm cluster's authority is called `kubernetes`: the other cluster's is no
        // unknown issuer to rustls, its signature merely does not fit.
        CertificateError::BadSignature => {
            "unknown certificate authority (a known one has its name, but another key)".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate not valid yet".to_owned()
        }
        other => format!("bad certificate: {other}"),
    }
}

/// What the server said about us. TLS 1.2 servers send `bad_certificate` or `handshake_failure`
/// for a missing client certificate, TLS 1.3 has an alert of its own (RFC 8446 §6.2).
fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server demands a client certificate".to_owned()
        }
        AlertDescription::UnknownCA => {
            "the server does not know the authority of our client certificate".to_owned()
        }
        AlertDescription::BadCertificate => {
            "the server refuses our client certificate, or demands one".to_owned()
        }
        other => format!("the server ended TLS with the alert {other:?}"),
    }
}
