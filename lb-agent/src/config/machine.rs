//! Whether a configuration's claims hold on this machine. The only room of `config` beside `file`
//! that looks outside.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    net::if_::{if_nameindex, if_nametoindex},
    unistd::{Gid, User, getgrouplist},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use super::{
    claim::{Claim, Fact, Unmet},
    error::{Fault, Problem},
    vrrp::Secret,
    warning::{Caution, Warning},
};

/// No file of certificates or keys is larger.
const MAX_FILE: u64 = 1 << 20;
/// No file of a password is larger.
const MAX_SECRET_FILE: u64 = 4096;

/// The machine's name, for `[node]` `name`; `None` where `/proc` does not tell.
pub(super) fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim_end().to_owned())
}

/// What the machine says to a configuration's claims.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The claims that do not hold.
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    /// Number of each `[[vrrp]]` that has a secret, from 0, and the secret.
    pub(super) secrets: Vec<(usize, Secret)>,
}

pub(super) fn verify(claims: &[Claim]) -> Verdict {
    let mut verdict = Verdict::default();
    for claim in claims {
        let held = match &claim.fact {
            Fact::Secret { path, instance } => secret(path).map(|(secret, size)| {
                verdict.secrets.push((*instance, secret));
                if size > secret.0.len() {
                    let caution = Caution::LongSecret { path: path.clone(), size };
                    verdict.warnings.push(Warning::new(claim.line, caution));
                }
            }),
            Fact::Interface(name) => interface(name),
            Fact::Certificates(path) => certificates(path),
            Fact::PrivateKey(path) => private_key(path),
            Fact::User(name) => find_user(name).map(drop),
            Fact::Program { path, user } => program(path, user),
        };
        if let Err(unmet) = held {
            let fault = Fault::Unmet { key: claim.key, unmet };
            verdict.problems.push(Problem::new(Some(claim.line), fault));
        }
    }
    verdict
}

/// Asks the kernel rather than `/sys/class/net`: sysfs shows the network namespace in which it was
/// mounted, which need not be the agent's.
fn interface(name: &str) -> Result<(), Unmet> {
    if if_nametoindex(name).is_ok() {
        return Ok(());
    }
    let present = if_nameindex().map_or_else(
        |_unknown| Vec::new(),
        |all| all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect(),
    );
    Err(Unmet::NoInterface { name: name.to_owned(), present })
}

fn certificates(path: &Path) -> Result<(), Unmet> {
    let bytes = read(path)?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        certificate.map_err(|source| Unmet::BadPem { path: path.to_path_buf(), source })?;
        found = true;
    }
    if found { Ok(()) } else { Err(Unmet::NoCertificate { path: path.to_path_buf() }) }
}

fn private_key(path: &Path) -> Result<(), Unmet> {
    not_exposed(path)?;
    match PrivateKeyDer::from_pem_slice(&read(path)?) {
        Ok(_key) => Ok(()),
        Err(pem::Error::NoItemsFound) => Err(Unmet::NoPrivateKey { path: path.to_path_buf() }),
        Err(source) => Err(Unmet::BadPem { path: path.to_path_buf(), source }),
    }
}

/// The first 8 bytes of a password, and how long it is. One line end belongs to the editor, not to
/// the password.
fn secret(path: &Path) -> Result<(Secret, usize), Unmet> {
    if not_exposed(path)?.len() > MAX_SECRET_FILE {
        return Err(Unmet::NotASecret { path: path.to_path_buf() });
    }
    let bytes = read(path)?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(Unmet::NoSecret { path: path.to_path_buf() });
    }
    if bytes.contains(&b'\n') {
        return Err(Unmet::ManyLines { path: path.to_path_buf() });
    }
    let mut secret = Secret([0; 8]);
    secret.0.iter_mut().zip(bytes).for_each(|(room, byte)| *room = *byte);
    Ok((secret, bytes.len()))
}

fn not_exposed(path: &Path) -> Result<fs::Metadata, Unmet> {
    let metadata = regular_file(path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Unmet::Exposed { path: path.to_path_buf(), mode });
    }
    Ok(metadata)
}

/// Looks before it opens: opening a FIFO would block.
fn read(path: &Path) -> Result<Vec<u8>, Unmet> {
    regular_file(path)?;
    let unreadable = |source| Unmet::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Unmet::TooLarge { path: path.to_path_buf() });
    }
    Ok(bytes)
}

fn regular_file(path: &Path) -> Result<fs::Metadata, Unmet> {
    let metadata = fs::metadata(path)
        .map_err(|source| Unmet::Unreadable { path: path.to_path_buf(), source })?;
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(Unmet::NotAFile { path: path.to_path_buf() })
    }
}

fn find_user(name: &str) -> Result<User, Unmet> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        // What some name services answer for "not found"; see getpwnam(3).
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => {
            Err(Unmet::NoUser { user: name.to_owned() })
        }
        Err(source) => Err(Unmet::UserLookup { user: name.to_owned(), source }),
    }
}

/// The file's own bits are looked at; those of the directories above it show when it is run.
fn program(path: &Path, name: &str) -> Result<(), Unmet> {
    let metadata = regular_file(path)?;
    // An unknown user is the claim of `user` already.
    let Ok(user) = find_user(name) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o7777;
    let may = if user.uid.is_root() {
        mode & 0o111 != 0
    } else if metadata.uid() == user.uid.as_raw() {
        mode & 0o100 != 0
    } else if in_group(&user, Gid::from_raw(metadata.gid())) {
        mode & 0o010 != 0
    } else {
        mode & 0o001 != 0
    };
    if may {
        return Ok(());
    }
    Err(Unmet::NotExecutable { path: path.to_path_buf(), user: name.to_owned(), mode })
}

fn in_group(user: &User, group: Gid) -> bool {
    // invariant of getpwnam: the name came out of a C string, so it holds no zero byte.
    let Ok(name) = std::ffi::CString::new(user.name.as_str()) else { return false };
    user.gid == group || getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}
