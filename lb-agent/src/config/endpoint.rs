//! Whom notices go to: a host and a port, a URL.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv6Addr};

/// A name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// 1..=65535.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A URL of `http` or `https`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub tls: bool,
    /// Host, and port: by default 80 or 443.
    pub endpoint: Endpoint,
    /// What goes into the `Host` header: the host as it is written, with its port.
    pub authority: String,
    /// Path and query, beginning with `/`.
    pub path: String,
}

/// `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT`, `IPV6`.
pub(super) fn split(text: &str, default_port: u16) -> Option<Endpoint> {
    if let Ok(v6) = text.parse::<Ipv6Addr>() {
        return Some(Endpoint { host: v6.to_string(), port: default_port });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let host = inside.parse::<Ipv6Addr>().ok()?.to_string();
        let port = if after.is_empty() { default_port } else { port(after.strip_prefix(':')?)? };
        return Some(Endpoint { host, port });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, written)) => (host, port(written)?),
        None => (text, default_port),
    };
    let sound = host_name(host) || host.parse::<IpAddr>().is_ok();
    sound.then(|| Endpoint { host: host.to_owned(), port })
}

/// See [`Url`]; without user names, passwords and fragments.
pub(super) fn url(text: &str) -> Option<Url> {
    let (tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://")?),
    };
    // RFC 3986 §2, without what fragments and user names take.
    let sound = |c: char| c.is_ascii_alphanumeric() || "-._~:/?[]!$&'()*+,;=%".contains(c);
    if text.len() > 2048 || !rest.chars().all(|c| sound(c) || c == '@') {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // An IPv6 address stands in brackets in a URL.
    if authority.parse::<Ipv6Addr>().is_ok() {
        return None;
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Some(Url {
        tls,
        endpoint: split(authority, if tls { 443 } else { 80 })?,
        authority: authority.to_owned(),
        path,
    })
}

fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port > 0)
}

/// A DNS name as machines have it (RFC 1123 §2.1, and `_`, which is common all the same). What
/// looks like an IPv4 address is none.
pub(super) fn host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&text.len())
        && text.split('.').all(label)
        && text.contains(|c: char| c.is_ascii_alphabetic())
}
