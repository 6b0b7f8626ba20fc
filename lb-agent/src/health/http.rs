//! HTTP/1.1 checks over a kept-alive connection that is not trusted to tell the whole truth.
//!
//! A connection that was accepted long ago goes on answering when the listener is gone, when new
//! connections are filtered, when the accept loop hangs, when the certificate has expired. So:
//!
//! - beside every request on a kept connection the listener is [knocked](super::tcp::knock) at;
//!   its failure fails the check. Three small packets instead of a TLS handshake;
//! - each connection carries at most [`REQUESTS_PER_CONNECTION`] requests, so that accepting and
//!   the certificate are tried regularly too;
//! - a failed check drops the connection: the next one dials, and a fault that only new
//!   connections meet is counted by `fall` without a pass in between.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, HOST, HeaderValue, InvalidHeaderValue, USER_AGENT},
    http::uri::InvalidUri,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    failure::{Deadline, Failure, Stage},
    tcp,
    tls::Tls,
};
use crate::config::HttpCheck;

#[cfg(test)]
mod tests;

/// With a check every 2 s, accepting and the certificate are tried every 16 s.
const REQUESTS_PER_CONNECTION: u32 = 8;
/// Of the body, in bytes, that is searched, and at most read for the sake of the connection.
const BODY_LIMIT: usize = 64 * 1024;
/// A rest of the body that takes longer costs a new connection next time, not time now.
const REST_PATIENCE: Duration = Duration::from_millis(100);

/// Why an HTTP check cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// `path` cannot be requested.
    #[error("`path = \"{path}\"` is not a path and query")]
    Path {
        /// As configured.
        path: String,
        /// What is wrong with it.
        #[source]
        source: InvalidUri,
    },
    /// `host` cannot be sent.
    #[error("`host = \"{host}\"` cannot be a header's value")]
    Host {
        /// As configured.
        host: String,
        /// What is wrong with it.
        #[source]
        source: InvalidHeaderValue,
    },
}

/// One server's HTTP check and its connection.
pub(super) struct Http {
    question: Question,
    /// Of the last check, if it passed.
    kept: Option<Connection>,
}

/// Whom to ask for what, and what is expected.
struct Question {
    address: SocketAddr,
    tls: Option<Tls>,
    /// The server as TLS knows it, for messages.
    server: String,
    uri: Uri,
    host: HeaderValue,
    expect: u16,
    body: Option<String>,
}

impl Http {
    pub(super) fn new(
        check: &HttpCheck,
        tls: Option<Tls>,
        address: SocketAddr,
    ) -> Result<Self, HttpError> {
        let host = check.host.clone().unwrap_or_else(|| address.to_string());
        let question = Question {
            address,
            server: tls.as_ref().map_or_else(String::new, |tls| tls.name.to_str().into_owned()),
            tls,
            uri: check
                .path
                .parse()
                .map_err(|source| HttpError::Path { path: check.path.clone(), source })?,
            host: HeaderValue::from_str(&host)
                .map_err(|source| HttpError::Host { host, source })?,
            expect: check.expect,
            body: check.body.clone(),
        };
        Ok(Self { question, kept: None })
    }

    /// One check; the text is the status line's.
    pub(super) async fn check(&mut self, deadline: Deadline) -> Result<String, Failure> {
        if let Some(kept) = self.kept.take().filter(|kept| !kept.sender.is_closed()) {
            let (answer, listening) = tokio::join!(
                self.question.ask(kept, deadline),
                deadline.limit(Stage::Connecting, tcp::knock(self.question.address))
            );
            match answer {
                // The server may close an idle connection whenever it likes: a new one decides.
                Err(failure) if failure.is_lost_connection() => {}
                Err(failure) => return Err(failure),
                Ok((passed, connection)) => {
                    listening?
                        .map_err(|error| self.question.io_failure(Stage::Connecting, error))?;
                    self.keep(connection);
                    return Ok(passed);
                }
            }
        }
        let connection = self.question.dial(deadline).await?;
        let (passed, connection) = self.question.ask(connection, deadline).await?;
        self.keep(connection);
        Ok(passed)
    }

    /// Reads what is left of the last answer, so that its connection can carry another request.
    /// Separate from [`Self::check`], because the outcome does not wait for it.
    pub(super) async fn settle(&mut self) {
        let Some(mut connection) = self.kept.take() else { return };
        let rest = connection.skip_rest();
        if let Ok(true) = tokio::time::timeout(REST_PATIENCE, rest).await {
            self.kept = Some(connection);
        }
    }

    fn keep(&mut self, connection: Connection) {
        if connection.requests < REQUESTS_PER_CONNECTION {
            self.kept = Some(connection);
        }
    }
}

impl Question {
    async fn dial(&self, deadline: Deadline) -> Result<Connection, Failure> {
        let tcp = deadline
            .limit(Stage::Connecting, TcpStream::connect(self.address))
            .await?
            .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
            .map_err(|error| self.io_failure(Stage::Connecting, error))?;
        let connection = match &self.tls {
            None => Connection::new(tcp).await,
            Some(tls) => {
                let handshake = tls.connector.connect(tls.name.clone(), tcp);
                let tls = deadline
                    .limit(Stage::Handshake, handshake)
                    .await?
                    .map_err(|error| self.io_failure(Stage::Handshake, error))?;
                Connection::new(tls).await
            }
        };
        connection.map_err(|error| Failure::http(Stage::Response, &self.server, error))
    }

    /// Request and verdict; the connection comes back with a pass only.
    async fn ask(
        &self,
        mut connection: Connection,
        deadline: Deadline,
    ) -> Result<(String, Connection), Failure> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        let agent = concat!("lb-agent/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));

        let status = deadline
            .limit(Stage::Response, connection.send(request))
            .await?
            .map_err(|error| Failure::http(Stage::Response, &self.server, error))?;
        if status.as_u16() != self.expect {
            return Err(Failure::Status { got: status.as_u16(), expected: self.expect });
        }
        if let Some(text) = &self.body {
            let found = deadline
                .limit(Stage::Body, connection.find_in_body(text.as_bytes()))
                .await?
                .map_err(|error| Failure::http(Stage::Body, &self.server, error))?;
            if !found {
                return Err(Failure::BodyWithout { expected: text.clone() });
            }
        }
        Ok((status.to_string(), connection))
    }

    fn io_failure(&self, stage: Stage, error: std::io::Error) -> Failure {
        Failure::io(stage, &self.server, error)
    }
}

/// An HTTP/1.1 connection that makes progress only while something is asked of it: no task runs
/// beside the check, so dropping the check drops everything.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Driver,
    /// Sent so far.
    requests: u32,
    /// The unread part of the last answer.
    rest: Option<Incoming>,
}

impl Connection {
    async fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let driver = Driver { connection: Some(Box::pin(connection)) };
        Ok(Self { sender, driver, requests: 0, rest: None })
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode> {
        self.requests += 1;
        let sender = &mut self.sender;
        let exchange = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = self.driver.during(exchange).await?;
        let status = response.status();
        self.rest = Some(response.into_body());
        Ok(status)
    }

    /// Whether `text` is in the first [`BODY_LIMIT`] bytes.
    async fn find_in_body(&mut self, text: &[u8]) -> hyper::Result<bool> {
        let Some(body) = &mut self.rest else { return Ok(text.is_empty()) };
        let mut seen = Vec::new();
        loop {
            if contains(&seen, text) {
                return Ok(true);
            }
            if seen.len() >= BODY_LIMIT {
                return Ok(false);
            }
            let Some(frame) = self.driver.during(body.frame()).await.transpose()? else {
                return Ok(false);
            };
            if let Ok(data) = frame.into_data() {
                seen.extend_from_slice(&data[..data.len().min(BODY_LIMIT - seen.len())]);
            }
        }
    }

    /// Whether the answer came to its end within [`BODY_LIMIT`].
    async fn skip_rest(&mut self) -> bool {
        let Some(mut body) = self.rest.take() else { return true };
        let mut left = BODY_LIMIT;
        while let Some(frame) = self.driver.during(body.frame()).await {
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(less) = left.checked_sub(length) else { return false };
            left = less;
        }
        true
    }
}

/// hyper's half of a connection: reads and writes when polled.
struct Driver {
    /// `None` once it has ended, as a finished future must not be polled again.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
}

impl Driver {
    /// Drives the connection until `work`, which depends on it, is done. How the connection itself
    /// ends is left aside: `work` fails with the same cause.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if let Some(connection) = &mut self.connection {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ended = connection => self.connection = None,
            }
        }
        work.await
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}
