//! Requests sent from inside a host, with the lab's CA.

pub mod drip;
pub mod pool;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    sync::Semaphore,
    task::JoinSet,
};

use crate::{
    lab::Host,
    pki::{Pki, SERVER_NAME},
};

/// For each step of an exchange: connecting, and every read and write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that [`Client::spread`] has open at a time.
const AT_A_TIME: usize = 64;

/// A client on a host.
#[derive(Clone, Debug)]
pub struct Client {
    host: Host,
    tls: Arc<ClientConfig>,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// `X-Server`: the name of the backend that answered; empty when absent.
    pub server: String,
    /// Body.
    pub body: String,
}

/// How new connections fell to the backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Answered connections by the server's name.
    pub servers: BTreeMap<String, usize>,
    /// What became of the others, with how often.
    pub failures: BTreeMap<String, usize>,
}

impl Client {
    /// A client on `host` that trusts the lab's CA.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn new(host: &Host, pki: &Pki) -> Result<Self> {
        Ok(Self { host: host.clone(), tls: pki.client_config()? })
    }

    /// HTTPS GET over a new connection; the server is verified as
    /// [`SERVER_NAME`].
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn get(&self, address: SocketAddr, path: &str) -> Result<Answer> {
        self.request("GET", address, path, b"")
    }

    /// HTTPS POST over a new connection.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn post(&self, address: SocketAddr, path: &str, body: &[u8]) -> Result<Answer> {
        self.request("POST", address, path, body)
    }

    fn request(
        &self,
        method: &str,
        address: SocketAddr,
        path: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [request.as_bytes(), body].concat();
        self.host
            .in_netns(|| exchange(&self.tls, address, &bytes))?
            .with_context(|| format!("{method} https://{address}{path} from {}", self.host.name()))
    }

    /// One UDP datagram and its answer.
    ///
    /// # Errors
    /// When none comes within 5 s.
    pub fn udp(&self, address: SocketAddr, payload: &str) -> Result<String> {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        self.host
            .in_netns(|| -> std::io::Result<String> {
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_read_timeout(Some(TIMEOUT))?;
                socket.send(payload.as_bytes())?;
                let mut answer = [0; 2048];
                let length = socket.recv(&mut answer)?;
                Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
            })?
            .with_context(|| format!("UDP to {address} from {}", self.host.name()))
    }

    /// Opens `count` connections to a TCP echo, asks each who it is, and closes them.
    ///
    /// # Errors
    /// When the host cannot be entered; a connection that fails is counted instead.
    pub fn spread(&self, address: SocketAddr, count: usize) -> Result<Spread> {
        self.host.in_netns(|| -> Result<Spread> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(spread(address, count)))
        })?
    }
}

fn exchange(tls: &Arc<ClientConfig>, address: SocketAddr, request: &[u8]) -> Result<Answer> {
    let socket = TcpStream::connect_timeout(&address, TIMEOUT).context("failed to connect")?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let name = ServerName::try_from(SERVER_NAME)?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(tls), name)?, socket);
    stream.write_all(request).context("failed to send the request")?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // TLS calls it so when the peer closes without close_notify; the length is checked below.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        other => other.map(drop).context("failed to read the answer")?,
    }
    parse(&answer)
}

/// Reads a whole HTTP/1.1 answer: status, `X-Server`, body.
///
/// # Errors
/// When it is cut short.
pub fn parse(answer: &[u8]) -> Result<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of header")?;
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
    };
    if let Some(length) = field("content-length").and_then(|value| value.parse::<usize>().ok()) {
        ensure!(body.len() == length, "{} of {length} bytes of the body came", body.len());
    }
    Ok(Answer {
        status: status.context("the answer has no status")?,
        server: field("x-server").unwrap_or_default(),
        body: body.to_owned(),
    })
}

async fn spread(address: SocketAddr, count: usize) -> Spread {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            match tokio::time::timeout(TIMEOUT, identify(address)).await {
                Ok(result) => result,
                Err(elapsed) => Err(elapsed.into()),
            }
        });
    }
    let mut spread = Spread::default();
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(Ok(server)) => *spread.servers.entry(server).or_default() += 1,
            Ok(Err(error)) => *spread.failures.entry(error.to_string()).or_default() += 1,
            Err(error) => *spread.failures.entry(error.to_string()).or_default() += 1,
        }
    }
    spread
}

async fn identify(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = BufReader::new(tokio::net::TcpStream::connect(address).await?);
    whoami(&mut stream).await
}

/// Asks a TCP echo for its name.
async fn whoami(stream: &mut BufReader<tokio::net::TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"whoami\n").await?;
    let mut name = String::new();
    if stream.read_line(&mut name).await? == 0 {
        return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "closed before an answer"));
    }
    Ok(name.trim_end().to_owned())
}
