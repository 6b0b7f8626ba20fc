//! A small HTTP/1.1 server for the tests of this room, over TCP or TLS, and its certificates.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion, server::WebPkiClientVerifier};
use rustls_pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::config::{Check, CheckKind, ClientCertificate};
pub(super) use crate::process::test_pair::eventually;

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A check with a timeout that nothing on loopback needs.
pub(super) fn check(kind: CheckKind) -> Check {
    Check {
        kind,
        interval: Duration::from_secs(2),
        fast_interval: Duration::from_secs(2),
        down_interval: Duration::from_secs(2),
        timeout: Duration::from_secs(10),
        rise: 2,
        fall: 3,
        port: None,
    }
}

/// What the server does with one request.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    Answer(&'static str),
    AnswerAndClose(&'static str),
    /// The text again and again, until the client goes.
    Endless(&'static str),
    Silence,
}

#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// Of those accepted, how many skipped the certificate.
    resumed: AtomicUsize,
    requests: Mutex<Vec<String>>,
    close: Notify,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Every request meets the same reply.
    pub(super) async fn start(tls: Option<ServerConfig>, reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let accepting = tokio::spawn(accept(listener, tls, reply, Arc::clone(&seen)));
        Self { address, seen, accepting }
    }

    pub(super) fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    pub(super) fn resumed(&self) -> usize {
        self.seen.resumed.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// No new connections; those there are live on.
    pub(super) async fn stop_listening(&mut self) {
        self.accepting.abort();
        (&mut self.accepting).await.unwrap_err();
    }

    /// Returns once every connection is closed.
    pub(super) async fn close_connections(&self) {
        self.seen.close.notify_waiters();
        eventually("connections closed", || self.seen.open.load(Ordering::SeqCst) == 0).await;
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, reply: Reply, seen: Arc<Seen>) {
    loop {
        let (tcp, _peer) = listener.accept().await.unwrap();
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        seen.open.fetch_add(1, Ordering::SeqCst);
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            tokio::select! {
                () = connection(tcp, tls, reply, &seen) => {}
                () = seen.close.notified() => {}
            }
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn connection(tcp: TcpStream, tls: Option<TlsAcceptor>, reply: Reply, seen: &Seen) {
    match tls {
        None => serve(tcp, reply, seen).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(tcp).await {
                if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                    seen.resumed.fetch_add(1, Ordering::SeqCst);
                }
                serve(stream, reply, seen).await;
            }
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: Reply, seen: &Seen) {
    let mut request = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        request.push(byte);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
        seen.requests.lock().unwrap().push(text);
        match reply {
            Reply::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Reply::AnswerAndClose(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                return;
            }
            Reply::Endless(text) => while stream.write_all(text.as_bytes()).await.is_ok() {},
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// A certificate authority in a directory of its own.
pub(super) struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub(super) file: PathBuf,
}

impl Authority {
    /// Authorities of the same name have different keys all the same.
    pub(super) fn new(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = dir.path().join("ca.pem");
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key), file }
    }

    /// A server's configuration with a certificate for `names`.
    pub(super) fn server(&self, names: &[&str]) -> ServerConfig {
        self.server_with(params(names), rustls::ALL_VERSIONS)
    }

    pub(super) fn expired_server(&self, names: &[&str]) -> ServerConfig {
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.server_with(params, rustls::ALL_VERSIONS)
    }

    fn server_with(
        &self,
        params: CertificateParams,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    /// Like [`Self::server`], and it wants a certificate of this authority from its clients.
    pub(super) fn demanding_server(
        &self,
        names: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let mut roots = rustls::RootCertStore::empty();
        let pem = fs::read(&self.file).unwrap();
        roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params(names).signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    /// Files of a client's certificate.
    pub(super) fn client(&self) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params(&["lb-agent"]).signed_by(&key, &self.issuer).unwrap();
        let cert_file = self.dir.path().join("client.pem");
        let key_file = self.dir.path().join("client.key");
        fs::write(&cert_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        ClientCertificate { cert_file, key_file }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}
