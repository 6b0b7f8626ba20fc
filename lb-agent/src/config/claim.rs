//! What a configuration says about its machine. The pure rooms collect claims; `machine` verifies
//! them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{io, path::PathBuf};

use super::{error::Shown, error::quoted, keys};

/// One fact that must hold on the machine for the configuration to be valid there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Line that makes it.
    pub(super) line: usize,
    /// Key that makes it.
    pub(super) key: &'static str,
    pub(super) fact: Fact,
}

/// See [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The interface exists in the agent's network namespace.
    Interface(String),
    /// A readable PEM file with at least one certificate.
    Certificates(PathBuf),
    /// A readable PEM file with a private key that nobody but its owner may read.
    PrivateKey(PathBuf),
    /// A readable file of one line that nobody but its owner may read: the secret of the
    /// `instance`th `[[vrrp]]`, from 0.
    Secret { path: PathBuf, instance: usize },
    /// The user exists.
    User(String),
    /// A file that the user may execute.
    Program { path: PathBuf, user: String },
}

/// A claim that does not hold. Causes from outside stand in the text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmet {
    #[error("there is no interface `{name}`")]
    NoInterface { name: String, present: Vec<String> },
    #[error("failed to read `{path}`: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{path}` is not a regular file")]
    NotAFile { path: PathBuf },
    #[error("`{path}` is larger than 1 MiB")]
    TooLarge { path: PathBuf },
    #[error("`{path}` is not sound PEM: {source}")]
    BadPem { path: PathBuf, source: rustls_pki_types::pem::Error },
    #[error("`{path}` holds no certificate in PEM form")]
    NoCertificate { path: PathBuf },
    #[error("`{path}` holds no private key in PEM form")]
    NoPrivateKey { path: PathBuf },
    #[error("`{path}` has mode {mode:04o}: others than its owner may use it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("`{path}` holds no secret")]
    NoSecret { path: PathBuf },
    #[error("`{path}` is larger than 4 KiB")]
    NotASecret { path: PathBuf },
    #[error("`{path}` holds more than one line")]
    ManyLines { path: PathBuf },
    #[error("there is no user `{user}`")]
    NoUser { user: String },
    #[error("failed to look up the user `{user}`: {source}")]
    UserLookup { user: String, source: nix::Error },
    #[error("user `{user}` may not execute `{path}`, which has mode {mode:04o}")]
    NotExecutable { path: PathBuf, user: String, mode: u32 },
}

impl Unmet {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::NoInterface { name, present } => {
                let present: Vec<&str> = present.iter().map(String::as_str).collect();
                let here = format!("this machine has {}", quoted(&present, "and"));
                keys::nearest(name, present.iter().copied()).map_or_else(
                    || here.clone(),
                    |near| format!("did you mean `{near}`? {}", capitalised(&here)),
                )
            }
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "correct the path, or put the file there".into()
            }
            Self::Unreadable { .. } => "make the file readable for the agent's user".into(),
            Self::NotAFile { .. } => "name a file".into(),
            Self::TooLarge { .. } | Self::NoCertificate { .. } => {
                "name a PEM file: it has a line `-----BEGIN CERTIFICATE-----`".into()
            }
            Self::BadPem { .. } => "write the file anew; it is damaged or cut off".into(),
            Self::NoPrivateKey { .. } => {
                "name a PEM file without a passphrase: it has a line `-----BEGIN PRIVATE KEY-----`"
                    .into()
            }
            Self::NoSecret { .. } => {
                "write the neighbours' password into it: keepalived's `auth_pass`".into()
            }
            Self::ManyLines { .. } | Self::NotASecret { .. } => {
                "write the password alone, on one line".into()
            }
            Self::Exposed { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::NoUser { user } => {
                format!("create it with `useradd --system {}`, or name another", Shown::from(user))
            }
            Self::UserLookup { .. } => "see whether `getent passwd` works".into(),
            Self::NotExecutable { path, .. } => format!(
                "run `chmod 755 {}`, or name in `user` somebody who may execute it",
                path.display()
            ),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}
