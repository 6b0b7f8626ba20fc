//! Whom a webhook over TLS trusts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};
use tokio_rustls::TlsConnector;

/// Where systems keep the authorities they trust: Debian and Alpine, Red Hat, SUSE.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Why TLS cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub(in crate::notify) enum TlsFault {
    #[error("this system has no list of authorities: set `ca_file`")]
    NoSystemList,
    #[error("failed to read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is not sound PEM: {source}", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("`{}` holds no authority", path.display())]
    Empty { path: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Versions(#[from] rustls::Error),
    #[error("the authorities could not be read: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Reads the authorities anew, as they may have been renewed since.
pub(super) async fn connector(ca_file: Option<PathBuf>) -> Result<TlsConnector, TlsFault> {
    let roots = tokio::task::spawn_blocking(move || roots(ca_file)).await??;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca_file: Option<PathBuf>) -> Result<RootCertStore, TlsFault> {
    let system = || SYSTEM.into_iter().map(Path::new).find(|path| path.exists());
    let path = match ca_file {
        Some(path) => path,
        None => system().ok_or(TlsFault::NoSystemList)?.to_owned(),
    };
    let text = fs::read(&path).map_err(|source| TlsFault::Read { path: path.clone(), source })?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsFault::Pem { path: path.clone(), source })?;
    let mut roots = RootCertStore::empty();
    // A system's list may hold some that rustls cannot read.
    let (usable, _unusable) = roots.add_parsable_certificates(certificates);
    if usable == 0 { Err(TlsFault::Empty { path }) } else { Ok(roots) }
}
