//! What is answered to a request.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::State;

type Page = Response<BoxBody<Bytes, Infallible>>;

/// Answers a request.
///
/// # Errors
/// When the request's body breaks off.
pub(super) async fn page(request: Request<Incoming>, state: &State) -> hyper::Result<Page> {
    let value = |key: &str| {
        let pairs = request.uri().query().unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
    };
    let mut page = match (request.method(), request.uri().path()) {
        (_, "/healthz" | "/livez") => text(StatusCode::OK, "ok"),
        (_, "/readyz") if state.ready.load(Ordering::Relaxed) => text(StatusCode::OK, "ok"),
        (_, "/readyz") => text(StatusCode::INTERNAL_SERVER_ERROR, "not ready"),
        (_, "/version") => json(&version()),
        (_, "/watch") => match value("interval").map_or(Some(Duration::from_secs(1)), duration) {
            Some(every) => watch(every, &state.name),
            None => text(StatusCode::BAD_REQUEST, "interval: a number above 0 and `ms` or `s`"),
        },
        (_, "/echo") => {
            let body = request.into_body().collect().await?.to_bytes();
            Response::new(Full::new(body).boxed())
        }
        (&Method::POST, "/lab/ready") => match value("value").map(str::parse) {
            Some(Ok(ready)) => {
                state.ready.store(ready, Ordering::Relaxed);
                text(StatusCode::OK, "ok")
            }
            _ => text(StatusCode::BAD_REQUEST, "value: `true` or `false`"),
        },
        _ => text(StatusCode::NOT_FOUND, "no such page"),
    };
    if let Ok(name) = HeaderValue::from_str(&state.name) {
        page.headers_mut().insert("x-server", name);
    }
    Ok(page)
}

fn text(status: StatusCode, text: &'static str) -> Page {
    let mut page = Response::new(Full::from(text).boxed());
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    page
}

fn json(value: &serde_json::Value) -> Page {
    let mut page = Response::new(Full::from(value.to_string()).boxed());
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    page
}

/// `version.Info` of Kubernetes.
fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "32",
        "gitVersion": "v1.32.0+lab",
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2025-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// `100ms` or `2s`.
fn duration(text: &str) -> Option<Duration> {
    let number = |digits: &str| digits.parse().ok().filter(|n| *n > 0);
    match text.strip_suffix("ms") {
        Some(digits) => number(digits).map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(number).map(Duration::from_secs),
    }
}

fn watch(every: Duration, name: &str) -> Page {
    let mut ticks = interval(every);
    // A watcher that could not be served for a while wants the present, not all that it missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut page = Response::new(Watch { ticks, server: name.to_owned(), sequence: 0 }.boxed());
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    page
}

/// A body without end.
struct Watch {
    ticks: Interval,
    server: String,
    sequence: u64,
}

impl Body for Watch {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ticks.poll_tick(context).map(|_| {
            self.sequence += 1;
            let event =
                json!({"type": "BOOKMARK", "server": self.server, "sequence": self.sequence});
            Some(Ok(Frame::data(Bytes::from(format!("{event}\n")))))
        })
    }
}
