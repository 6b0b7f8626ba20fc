//! A web server on loopback that keeps what it is sent.

use std::collections::VecDeque;

use rcgen::CertifiedKey;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::{Endpoint, Url, notify::Webhook};

struct Sink {
    port: u16,
    /// Head and body of each request.
    heard: Arc<Mutex<Vec<(String, String)>>>,
    serving: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sink {
    /// Answers with these, one after the other, then closes; `""` is no answer.
    async fn start(answers: &[&'static str], tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::default();
        let all = Arc::clone(&heard);
        let mut answers: VecDeque<&str> = answers.iter().copied().collect();
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let serving = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(answer) = answers.pop_front() {
                let (tcp, _peer) = listener.accept().await.unwrap();
                match &tls {
                    None if answer.is_empty() => kept.push(tcp),
                    None => serve(tcp, answer, &all).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(tcp).await {
                            serve(stream, answer, &all).await;
                        }
                    }
                }
            }
            std::future::pending::<()>().await;
        });
        Self { port, heard, serving }
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &str,
    heard: &Mutex<Vec<(String, String)>>,
) {
    let mut text = String::new();
    let request = loop {
        let Ok(byte) = stream.read_u8().await else { return };
        text.push(char::from(byte));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() == length {
            break (head.to_owned(), body.to_owned());
        }
    };
    heard.lock().unwrap().push(request);
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

fn webhook(port: u16) -> Webhook {
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port };
    Webhook {
        url: Url {
            tls: false,
            authority: endpoint.to_string(),
            endpoint,
            path: "/hook?team=lb".to_owned(),
        },
        ca_file: None,
        timeout: LONG,
        attempts: 3,
    }
}

async fn tell(webhook: Webhook, notice: Notice) {
    let config = Notify { webhook: Some(webhook), ..Notify::default() };
    let mut notifier = spawn(&config, "lb-01");
    notifier.tell(notice);
    notifier.finish(LONG).await;
}

#[tokio::test]
async fn a_post_with_every_field() {
    let sink = Sink::start(&[OK], None).await;
    tell(webhook(sink.port), notice("VI_1", State::Backup, State::Active)).await;
    let requests = sink.requests();
    let [(head, body)] = requests.as_slice() else { panic!("one request: {requests:?}") };
    let head = head.to_lowercase();
    assert!(head.starts_with("post /hook?team=lb http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: 127.0.0.1:{}", sink.port)), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    assert_eq!(
        *body,
        "{\"node\":\"lb-01\",\"kind\":\"instance\",\"name\":\"VI_1\",\"old\":\"backup\",\
         \"new\":\"active\",\"keepalived_state\":\"MASTER\",\"priority\":101,\
         \"reason\":\"no advertisement heard for 3609 ms\",\"at\":\"2026-11-21T20:04:06.250Z\"}"
    );
}

#[tokio::test]
async fn it_is_posted_until_it_is_taken() {
    let (log, _guard) = Log::capture();
    let sink = Sink::start(&[BUSY, "", OK, OK], None).await;
    let impatient = Webhook { timeout: Duration::from_secs(2), ..webhook(sink.port) };
    tell(impatient, notice("VI_1", State::Backup, State::Fault)).await;
    // The second attempt was accepted, and not answered.
    assert_eq!(sink.requests().len(), 2);
    assert_eq!(log.text(), "");
}

#[tokio::test]
async fn it_is_given_up_after_so_many_attempts() {
    let (log, _guard) = Log::capture();
    let sink = Sink::start(&[BUSY, BUSY, OK], None).await;
    let twice = Webhook { attempts: 2, ..webhook(sink.port) };
    tell(twice, notice("VI_1", State::Backup, State::Fault)).await;
    assert_eq!(sink.requests().len(), 2);
    let what = "after 2 attempts: `127.0.0.1:";
    assert!(log.text().contains(what), "{}", log.text());
    assert!(log.text().contains("answered with status 503 Service Unavailable"), "{}", log.text());
}

#[tokio::test]
async fn what_is_no_http_is_told() {
    let (log, _guard) = Log::capture();
    let sink = Sink::start(&["220 mail ready\r\n"], None).await;
    let once = Webhook { attempts: 1, ..webhook(sink.port) };
    tell(once.clone(), notice("VI_1", State::Backup, State::Fault)).await;
    assert!(log.text().contains("no request to `127.0.0.1:"), "{}", log.text());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = Webhook { attempts: 1, ..webhook(closed) };
    tell(nobody, notice("VI_1", State::Backup, State::Fault)).await;
    let refused = format!("no connection to `127.0.0.1:{closed}`: Connection refused");
    assert!(log.text().contains(&refused), "{}", log.text());
}

fn tls() -> (ServerConfig, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (config, cert.pem())
}

#[tokio::test]
async fn over_tls_the_server_must_be_known() {
    let (log, _guard) = Log::capture();
    let dir = TempDir::new().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let secure = |port, ca_file: Option<&PathBuf>, host: &str| {
        let mut webhook = Webhook { attempts: 1, ca_file: ca_file.cloned(), ..webhook(port) };
        webhook.url.tls = true;
        host.clone_into(&mut webhook.url.endpoint.host);
        webhook
    };
    let (config, certificate) = tls();
    std::fs::write(&ca_file, certificate).unwrap();
    let sink = Sink::start(&[OK, OK, OK], Some(config)).await;
    for host in ["127.0.0.1", "localhost"] {
        let told = notice(host, State::Backup, State::Active);
        tell(secure(sink.port, Some(&ca_file), host), told).await;
    }
    assert_eq!(sink.requests().len(), 2, "{}", log.text());
    assert_eq!(log.text(), "");

    // Another authority, and the system's.
    let (_other, certificate) = tls();
    std::fs::write(&ca_file, certificate).unwrap();
    for ca_file in [Some(&ca_file), None] {
        let before = log.text().len();
        let told = notice("VI_1", State::Backup, State::Active);
        let sink = Sink::start(&[OK], Some(tls().0)).await;
        tell(secure(sink.port, ca_file, "127.0.0.1"), told).await;
        assert_eq!(sink.requests(), []);
        let text = log.text();
        let known = text[before..].contains("invalid peer certificate")
            || (ca_file.is_none() && text[before..].contains("no list of authorities"));
        assert!(known, "{text}");
    }

    std::fs::write(&ca_file, "none").unwrap();
    tell(secure(sink.port, Some(&ca_file), "127.0.0.1"), notice("V", State::Init, State::Backup))
        .await;
    assert!(log.text().contains("holds no authority"), "{}", log.text());
}
