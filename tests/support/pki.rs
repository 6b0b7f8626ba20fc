//! A certificate authority for one lab, and what it signed.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The name that every server certificate holds, as in a real cluster.
pub const SERVER_NAME: &str = "kubernetes.default.svc";

/// Files of a lab's certificates, PEM; keys are readable by their owner alone.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// Names the files under a lab's directory without making them.
    pub(crate) fn empty(lab_dir: &Path) -> Self {
        Self { dir: lab_dir.join("pki") }
    }

    /// Makes an authority, a certificate for each server (its name, [`SERVER_NAME`], `localhost`
    /// and its addresses) and one for a client (`client`, organisation `system:masters`).
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(lab_dir: impl AsRef<Path>, servers: &[(String, Vec<IpAddr>)]) -> Result<Self> {
        let pki = Self::empty(lab_dir.as_ref());
        fs::create_dir_all(&pki.dir)
            .with_context(|| format!("failed to create `{}`", pki.dir.display()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "lb lab CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        write(&pki.ca_file(), &authority.pem(), 0o644)?;
        for (name, addresses) in servers {
            let names = [name.clone(), SERVER_NAME.to_owned(), "localhost".to_owned()];
            let mut params = CertificateParams::new(names.to_vec())?;
            params.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
            params.distinguished_name.push(DnType::CommonName, name.as_str());
            pki.sign(name, params, &authority)?;
        }
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        pki.sign("client", params, &authority)?;
        Ok(pki)
    }

    /// Server and client authentication both: etcd's members use one certificate for either.
    fn sign(
        &self,
        name: &str,
        mut params: CertificateParams,
        authority: &CertifiedIssuer<'_, KeyPair>,
    ) -> Result<()> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, authority)?;
        write(&self.certificate(name), &certificate.pem(), 0o644)?;
        write(&self.key(name), &key.serialize_pem(), 0o600)
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Certificate of `cp-01`, …, or `client`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// Key of [`Self::certificate`].
    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }

    /// A TLS client that trusts the authority alone and shows the client certificate if asked.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.ca_file()).context("failed to read the CA")?)?;
        let certificate = CertificateDer::from_pem_file(self.certificate("client"))
            .context("failed to read the client's certificate")?;
        let key = PrivateKeyDer::from_pem_file(self.key("client"))
            .context("failed to read the client's key")?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Arc::new(config))
    }
}

/// The one cryptography that this workspace builds.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("failed to create `{}`", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("failed to write `{}`", path.display()))
}
