//! One probe: one question to one backend, one [`Outcome`], always.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    Outcome, Target,
    exec::Exec,
    failure::{Deadline, Failure, Stage},
    http::Http,
    tcp,
    tls::Tls,
};
pub use super::{exec::ExecError, http::HttpError, tls::TlsError};
use crate::config::{Check, CheckKind};

#[cfg(test)]
mod tests;

/// Why a check cannot be prepared. The configuration or a file that it names is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// The request.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The command.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Asks one backend, again and again; what can be prepared once is prepared here.
pub struct Prober {
    timeout: Duration,
    kind: Kind,
}

enum Kind {
    Tcp(SocketAddr),
    Http(Box<Http>),
    Exec(Exec),
}

impl Prober {
    /// Reads the files that the check names, so it blocks shortly. `backend_port` gives way to the
    /// check's own port.
    pub fn new(
        target: &Target,
        check: &Check,
        address: IpAddr,
        backend_port: u16,
    ) -> Result<Self, ProberError> {
        let socket = SocketAddr::new(address, check.port.unwrap_or(backend_port));
        let kind = match &check.kind {
            CheckKind::Tcp => Kind::Tcp(socket),
            CheckKind::Http(http) => Kind::Http(Box::new(Http::new(http, None, socket)?)),
            CheckKind::Https(http, tls) => {
                let tls = Tls::new(tls, address)?;
                Kind::Http(Box::new(Http::new(http, Some(tls), socket)?))
            }
            CheckKind::Exec(exec) => Kind::Exec(Exec::new(exec, target, socket)?),
        };
        Ok(Self { timeout: check.timeout, kind })
    }

    /// One check. Takes the check's timeout and little more; dropping the future ends it cleanly.
    pub async fn probe(&mut self) -> Outcome {
        let start = Instant::now();
        let deadline = Deadline::new(start, self.timeout);
        let result = match &mut self.kind {
            Kind::Tcp(address) => knock(*address, deadline).await,
            Kind::Http(http) => http.check(deadline).await,
            Kind::Exec(exec) => exec.check(deadline).await,
        };
        let latency = start.elapsed();
        if let Kind::Http(http) = &mut self.kind {
            http.settle().await;
        }
        match result {
            Ok(reason) => Outcome { passed: true, reason, latency },
            Err(failure) => Outcome { passed: false, reason: failure.to_string(), latency },
        }
    }
}

async fn knock(address: SocketAddr, deadline: Deadline) -> Result<String, Failure> {
    match deadline.limit(Stage::Connecting, tcp::knock(address)).await? {
        Ok(()) => Ok("connection accepted".to_owned()),
        Err(source) => Err(Failure::Io { stage: Stage::Connecting, source }),
    }
}
