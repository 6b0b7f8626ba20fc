//! How a server is known: the client side of TLS, prepared once per prober.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
    client::{
        Resumption, WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, UnixTime,
    pem::{self, PemObject},
};
use tokio_rustls::TlsConnector;

use crate::config::{ClientCertificate, TlsCheck};

/// Why a TLS check cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Nothing says whom to trust.
    #[error(
        "no certificate authority to verify the server with: set `ca_file`, or `insecure = true`"
    )]
    NoAuthority,
    /// A file is missing, or not readable by the agent.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file has no usable certificate or key in it.
    #[error("no {what} in `{}` (PEM expected)", path.display())]
    Pem {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        #[source]
        source: pem::Error,
    },
    /// A certificate in the CA file cannot be an authority.
    #[error("a certificate in `{}` cannot be used as an authority", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What rustls objects to.
        #[source]
        source: rustls::Error,
    },
    /// Certificate and key do not work together.
    #[error(
        "client certificate `{}` and key `{}` cannot be used together",
        cert_file.display(),
        key_file.display()
    )]
    Client {
        /// The certificate chain's file.
        cert_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
        /// What rustls objects to.
        #[source]
        source: rustls::Error,
    },
    /// `sni` is neither a DNS name nor an address.
    #[error("`sni = \"{name}\"` is not a server name")]
    ServerName {
        /// As configured.
        name: String,
    },
    /// The cryptography offers no protocol version.
    #[error("TLS cannot be set up")]
    Versions(#[source] rustls::Error),
}

/// Connects over TLS to one server.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl Tls {
    /// Reads the files; `address` is the server's name when none is configured.
    pub(super) fn new(check: &TlsCheck, address: IpAddr) -> Result<Self, TlsError> {
        let name = match &check.sni {
            Some(sni) => ServerName::try_from(sni.clone())
                .map_err(|_invalid| TlsError::ServerName { name: sni.clone() })?,
            None => ServerName::from(address),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?;
        let builder = with_verifier(builder, check, provider)?;
        let mut config = match &check.client {
            Some(client) => with_client(builder, client)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session skips the certificate; each new connection is to verify it afresh.
        config.resumption = Resumption::disabled();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

fn with_verifier(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    check: &TlsCheck,
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    if check.insecure {
        let verifier = Arc::new(AcceptAny { provider });
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier));
    }
    let path = check.ca_file.as_deref().ok_or(TlsError::NoAuthority)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    }
    Ok(builder.with_root_certificates(roots))
}

fn with_client(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    client: &ClientCertificate,
) -> Result<ClientConfig, TlsError> {
    let chain = certificates(&client.cert_file)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&client.key_file)?).map_err(|source| {
        TlsError::Pem { what: "private key", path: client.key_file.clone(), source }
    })?;
    builder.with_client_auth_cert(chain, key).map_err(|source| TlsError::Client {
        cert_file: client.cert_file.clone(),
        key_file: client.key_file.clone(),
        source,
    })
}

/// At least one certificate.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |source| TlsError::Pem { what: "certificate", path: path.to_owned(), source };
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    if found.is_empty() {
        return Err(unusable(pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// `insecure`: whoever answers is believed.
///
/// The handshake's signature is not verified either: without a trusted certificate it proves
/// nothing that an impostor could not sign just as well.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
