//! An API server as far as a load balancer, a health check and `kubectl get --raw` see it.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` `/livez` | `ok` |
//! | `/readyz` | `ok`, or 500 while it was told not to be ready |
//! | `/version` | what `kubectl version` reads |
//! | `/watch?interval=100ms` | a JSON line at every interval (default 1 s), without end |
//! | `/echo` | the request's body |
//! | `POST /lab/ready?value=false` | makes `/readyz` fail (`true`: succeed again); so does SIGUSR1, by turns |
//!
//! Every answer carries `X-Server: NAME`.

mod pages;
mod plain;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::TlsAcceptor;

/// Connections that may wait to be accepted: a burst of thousands at once.
const BACKLOG: u32 = 4096;

/// What a server does.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it calls itself.
    pub name: String,
    /// HTTPS.
    pub listen: Vec<SocketAddr>,
    /// HTTP.
    pub http: Vec<SocketAddr>,
    /// TCP echo of lines; the line `whoami` is answered by the name.
    pub tcp_echo: Vec<SocketAddr>,
    /// UDP echo: `NAME payload`.
    pub udp_echo: Vec<SocketAddr>,
    /// Certificate chain and key, PEM; needed for `listen`.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Authorities of client certificates, PEM; with it a client must show one.
    pub client_ca: Option<PathBuf>,
}

/// What the answers depend on.
#[derive(Debug)]
struct State {
    name: String,
    ready: AtomicBool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When an address cannot be listened on, or a certificate cannot be read.
pub async fn serve(options: Options) -> Result<()> {
    raise_open_files();
    let state = Arc::new(State { name: options.name.clone(), ready: AtomicBool::new(true) });
    for address in &options.http {
        let state = Arc::clone(&state);
        accept(listen(*address)?, move |stream| answer(stream, Arc::clone(&state)));
    }
    if !options.listen.is_empty() {
        let acceptor = TlsAcceptor::from(Arc::new(tls(&options)?));
        for address in &options.listen {
            let (state, acceptor) = (Arc::clone(&state), acceptor.clone());
            accept(listen(*address)?, move |stream| {
                let (state, acceptor) = (Arc::clone(&state), acceptor.clone());
                // A failed handshake is the client's to report.
                async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, state).await;
                    }
                }
            });
        }
    }
    for address in &options.tcp_echo {
        let state = Arc::clone(&state);
        accept(listen(*address)?, move |stream| plain::echo_lines(stream, Arc::clone(&state)));
    }
    for address in &options.udp_echo {
        let socket = UdpSocket::bind(address)
            .await
            .with_context(|| format!("failed to bind UDP {address}"))?;
        tokio::spawn(plain::echo_datagrams(socket, Arc::clone(&state)));
    }
    until_told_to_end(&state).await
}

async fn until_told_to_end(state: &State) -> Result<()> {
    let mut toggle = signal(SignalKind::user_defined1())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = toggle.recv() => drop(state.ready.fetch_not(Ordering::Relaxed)),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// Every connection is an open file. Root may raise the hard limit, others only the soft one; a
/// server that may do neither serves as many as it can.
fn raise_open_files() {
    const WANTED: u64 = 1 << 18;
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let most = WANTED.max(hard);
        let _raised = setrlimit(Resource::RLIMIT_NOFILE, most, most)
            .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that is started again must get its port back at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().with_context(|| format!("failed to listen on {address}"))
}

/// Hands every connection to `serve`, each in a task of its own.
fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Small answers should not wait for a delayed ACK.
                    drop(stream.set_nodelay(true));
                    tokio::spawn(serve(stream));
                }
                // Out of files: others must be closed first.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send, state: Arc<State>) {
    let service = service_fn(|request| pages::page(request, &state));
    // A client that breaks off is no concern of the server.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

fn tls(options: &Options) -> Result<ServerConfig> {
    let (certificate, key) =
        options.certificate.as_ref().context("`--listen` needs `--cert` and `--key`")?;
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("failed to read the key `{}`", key.display()))?;
    let provider = crate::pki::provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &options.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(file)? {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("failed to read certificates from `{}`", file.display()))
}
