//! Forms that strings must have.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use rustls_pki_types::ServerName;

use super::endpoint;

/// The form that a key asks of its string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A name of a service or backend: stands in `SERVICE/BACKEND` on command lines.
    Name,
    /// A machine's name.
    NodeName,
    /// A Linux network interface (`IFNAMSIZ` is 16 with the final zero).
    Interface,
    /// A path from the root.
    AbsolutePath,
    /// The same, short enough for `sun_path` (108 bytes with the final zero).
    SocketPath,
    /// Path and query of an HTTP request.
    HttpPath,
    /// An HTTP `Host` header.
    Host,
    /// A server name for TLS: a DNS name or an IP address.
    ServerName,
    /// What to look for in an answer.
    Body,
    /// An argument of a command.
    Argument,
    /// The name of a user.
    User,
    /// The label of an IPv4 address (`IFNAMSIZ` again).
    Label,
    /// A mail server's name or address, with its port if need be.
    MailServer,
    /// A mail address, without a display name.
    MailAddress,
    /// Where to send a notice by HTTP.
    Url,
}

impl Form {
    /// Whether `text` has the form.
    pub(super) fn accepts(self, text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match self {
            Self::Name => (1..=63).contains(&text.len()) && text.chars().all(plain),
            Self::NodeName => (1..=253).contains(&text.len()) && text.chars().all(plain),
            Self::Interface => {
                (1..=15).contains(&text.len())
                    && text != "."
                    && text != ".."
                    && text.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':')
            }
            Self::AbsolutePath => absolute(text) && text.len() <= 4095,
            Self::SocketPath => absolute(text) && text.len() <= 107 && !text.ends_with('/'),
            Self::HttpPath => {
                text.starts_with('/')
                    && text.len() <= 2048
                    && text.chars().all(|c| c.is_ascii_graphic() && c != '#')
            }
            Self::Host => {
                (1..=255).contains(&text.len())
                    && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '@' | '\\'))
            }
            Self::ServerName => ServerName::try_from(text).is_ok(),
            Self::Body => (1..=4096).contains(&text.len()),
            Self::Argument => !text.contains('\0'),
            Self::User => (1..=32).contains(&text.len()) && text.chars().all(plain),
            Self::Label => {
                (1..=15).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
            }
            Self::MailServer => endpoint::split(text, 25).is_some(),
            Self::MailAddress => mail_address(text),
            Self::Url => endpoint::url(text).is_some(),
        }
    }

    /// What it is, with its article.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Name => "a name",
            Self::NodeName => "a machine's name",
            Self::Interface => "the name of an interface",
            Self::AbsolutePath => "an absolute path",
            Self::SocketPath => "an absolute path that a socket can have",
            Self::HttpPath => "the path of a request",
            Self::Host => "a `Host` header",
            Self::ServerName => "a server name",
            Self::Body => "a text to look for",
            Self::Argument => "an argument",
            Self::User => "the name of a user",
            Self::Label => "a label",
            Self::MailServer => "a mail server",
            Self::MailAddress => "a mail address",
            Self::Url => "a URL of `http` or `https`",
        }
    }

    /// How to write one.
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Name => "write 1 to 63 characters of `A-Z a-z 0-9 . _ -`",
            Self::NodeName => "write 1 to 253 characters of `A-Z a-z 0-9 . _ -`",
            Self::Interface => {
                "write a name as `ip link` shows it: 1 to 15 characters, no blank, `/` or `:`"
            }
            Self::AbsolutePath => "write the whole path, beginning with `/`",
            Self::SocketPath => "write the whole path, beginning with `/`, at most 107 bytes",
            Self::HttpPath => {
                "write path and query only, beginning with `/`, blanks as `%20`: `/readyz?verbose`"
            }
            Self::Host => "write a name or an address, with `:PORT` if need be, but no `https://`",
            Self::ServerName => {
                "write a DNS name or an IP address of the server's certificate, without a port"
            }
            Self::Body => "write 1 to 4096 bytes that the answer contains, or take `body` out",
            Self::Argument => "take the zero byte out",
            Self::User => "write a name as in `/etc/passwd`, not a number",
            Self::Label => "write the interface's name, a colon and a word: at most 15 characters",
            Self::MailServer => {
                "write a name or an address, with `:PORT` unless it is 25; IPv6 with a port in \
                 brackets: `[2001:db8::25]:587`"
            }
            Self::MailAddress => "write the bare address: `ops@example.com`",
            Self::Url => {
                "write `http://` or `https://`, a name or an address, a port if need be, and a \
                 path: `https://hooks.example.com/lb`"
            }
        }
    }
}

fn absolute(text: &str) -> bool {
    text.starts_with('/') && !text.chars().any(char::is_control)
}

/// The common part of RFC 5321: no quotes, no comments, no address literals.
fn mail_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    (1..=64).contains(&local.len())
        && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
        && !domain.contains('_')
        && endpoint::host_name(domain)
}
