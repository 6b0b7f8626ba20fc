//! A JSON object, posted until somebody takes it.

use std::time::Duration;

use http_body_util::Full;
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, InvalidHeaderValue, USER_AGENT},
    http::uri::InvalidUri,
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Notice, keepalived_state};
use crate::config::notify::Webhook;

mod tls;

/// Before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why nobody took a notice.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookFault {
    #[error("no connection to `{server}`: {source}")]
    Connection { server: String, source: std::io::Error },
    #[error("no request to `{server}`: {source}")]
    Exchange { server: String, source: hyper::Error },
    #[error("`{server}` answered with status {status}")]
    Status { server: String, status: StatusCode },
    #[error("`{server}` did not answer within {timeout:?}")]
    TooLong { server: String, timeout: Duration },
    #[error("`{host}` is not a server name: {source}")]
    ServerName { host: String, source: InvalidDnsNameError },
    #[error(transparent)]
    Tls(#[from] tls::TlsFault),
    #[error("the URL's path cannot be requested: {0}")]
    Path(#[from] InvalidUri),
    #[error("the URL's host cannot be a header: {0}")]
    Host(#[from] InvalidHeaderValue),
    #[error("the notice cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("after {attempts} attempts: {last}")]
    GivenUp { attempts: u32, last: Box<Self> },
}

/// The body; the names are a contract with other people's programs.
#[derive(Serialize)]
struct Body<'n> {
    node: &'n str,
    kind: &'static str,
    name: &'n str,
    old: &'static str,
    new: &'static str,
    keepalived_state: &'static str,
    priority: u8,
    reason: &'n str,
    at: String,
}

pub(super) async fn post(
    config: &Webhook,
    node: &str,
    notice: &Notice,
) -> Result<(), WebhookFault> {
    let body = serde_json::to_vec(&Body {
        node,
        kind: notice.kind.word(),
        name: &notice.name,
        old: notice.old.word(),
        new: notice.new.word(),
        keepalived_state: keepalived_state(notice.new),
        priority: notice.priority,
        reason: &notice.reason,
        at: humantime::format_rfc3339_millis(notice.at).to_string(),
    })?;
    let body = Bytes::from(body);
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let attempted = tokio::time::timeout(config.timeout, post_once(config, body.clone())).await;
        let fault = match attempted {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(fault)) => fault,
            Err(_elapsed) => WebhookFault::TooLong {
                server: config.url.endpoint.to_string(),
                timeout: config.timeout,
            },
        };
        if attempt >= config.attempts {
            return Err(WebhookFault::GivenUp { attempts: attempt, last: Box::new(fault) });
        }
        tracing::debug!(attempt, "the webhook is tried again: {fault}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        attempt += 1;
    }
}

async fn post_once(config: &Webhook, body: Bytes) -> Result<(), WebhookFault> {
    let endpoint = &config.url.endpoint;
    let failed = |source| WebhookFault::Connection { server: endpoint.to_string(), source };
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?;
    if !config.url.tls {
        return exchange(config, tcp, body).await;
    }
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|source| WebhookFault::ServerName { host: endpoint.host.clone(), source })?;
    let connector = tls::connector(config.ca_file.clone()).await?;
    let stream = connector.connect(name, tcp).await.map_err(failed)?;
    exchange(config, stream, body).await
}

/// One request on a connection of its own: changes of state are rare.
async fn exchange(
    config: &Webhook,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    body: Bytes,
) -> Result<(), WebhookFault> {
    let server = config.url.endpoint.to_string();
    let mut request = Request::post(Uri::default()).body(Full::new(body)).unwrap_or_default();
    *request.uri_mut() = config.url.path.parse()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&config.url.authority)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let agent = concat!("lb-agent/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    let failed = |source| WebhookFault::Exchange { server: server.clone(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(failed)?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    // How the connection itself ends is left aside: the request fails with the same cause.
    let answered = tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ended = connection => answer.await,
    };
    let status = answered.map_err(failed)?.status();
    if status.is_success() { Ok(()) } else { Err(WebhookFault::Status { server, status }) }
}
