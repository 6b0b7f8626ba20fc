//! The XDP object: embedded in a release, read from a file otherwise.

use std::{borrow::Cow, io};

/// Names the object's file where none is embedded.
pub const PATH_VARIABLE: &str = "LB_EBPF_OBJECT";

/// The object cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to read the XDP object `{path}`\n  hint: this agent was built without it; \
     `cargo xtask build` embeds it, or set {PATH_VARIABLE}"
)]
pub struct NoObject {
    path: String,
    #[source]
    source: io::Error,
}

/// The object's bytes.
#[cfg(feature = "embed")]
pub fn bytes() -> Result<Cow<'static, [u8]>, NoObject> {
    Ok(Cow::Borrowed(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/lb-ebpf"))))
}

/// The object's bytes.
#[cfg(not(feature = "embed"))]
pub fn bytes() -> Result<Cow<'static, [u8]>, NoObject> {
    let path = std::env::var(PATH_VARIABLE).unwrap_or_else(|_| "target/bpf/lb-ebpf".to_owned());
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Cow::Owned(bytes)),
        Err(source) => Err(NoObject { path, source }),
    }
}
