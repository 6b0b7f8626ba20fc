//! What can be wrong with a configuration file, where, and the cure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    error::Error,
    fmt::{self, Display},
    io,
    path::{Path, PathBuf},
};

use super::{
    claim::Unmet,
    keys::{Cure, Section},
    value::ValueFault,
    vrrp::RouterFault,
};

/// Everything that is wrong with one file, in the file's order; never empty.
///
/// Each problem prints as `FILE:LINE: what is wrong` and a second line `hint: the cure`.
#[derive(Debug)]
pub struct Errors {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl Errors {
    pub(super) fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { file: file.to_path_buf(), problems }
    }

    /// The file as it was named.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The problems, by line.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": {}\nhint: {}", problem.what(), problem.hint())?;
        }
        Ok(())
    }
}

impl Error for Errors {}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    line: Option<usize>,
    fault: Fault,
}

impl Problem {
    pub(super) const fn new(line: Option<usize>, fault: Fault) -> Self {
        Self { line, fault }
    }

    /// Line in the file, from 1; `None` when the file could not be read at all.
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong with which value, with its causes.
    pub fn what(&self) -> String {
        let mut text = self.fault.to_string();
        let mut cause = self.fault.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// How to put it right.
    pub fn hint(&self) -> String {
        self.fault.hint()
    }
}

/// A piece of the file as it is shown to people: control characters escaped, at most
/// [`Shown::MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown(String);

impl Shown {
    const MAX: usize = 80;
}

impl<T: AsRef<str>> From<T> for Shown {
    fn from(text: T) -> Self {
        let mut shown = String::new();
        for (n, c) in text.as_ref().chars().enumerate() {
            if n == Self::MAX {
                shown.push('…');
                break;
            }
            if c.is_control() {
                shown.extend(c.escape_debug());
            } else {
                shown.push(c);
            }
        }
        Self(shown)
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of TOML value that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    String,
    Integer,
    Boolean,
    /// A list of strings.
    List,
    /// A string or a list of strings.
    Command,
    /// One `[section]`.
    Table(Section),
    /// A `[[section]]`, repeated at will.
    Tables(Section),
}

impl Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Integer => "a whole number",
            Self::Boolean => "`true` or `false`",
            Self::List => "a list of strings",
            Self::Command => "a string or a list of strings",
            Self::Table(_) => "a section",
            Self::Tables(_) => "a repeated section",
        })
    }
}

/// One cause for refusing a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("failed to read the configuration")]
    Read {
        #[source]
        source: io::Error,
    },
    #[error("not valid TOML in `{text}`: {message}")]
    Syntax { text: Shown, message: String },
    #[error("unknown key `{key}` in {section}")]
    UnknownKey { key: Shown, section: Section, cure: Cure },
    #[error("`{key}` in {section} is not in this version")]
    NotInThisVersion { key: &'static str, section: Section },
    #[error("`{key}` is missing in {section}")]
    Missing { key: &'static str, section: Section, example: &'static str },
    #[error("`{key}` is `{value}`, not {expected}")]
    WrongType { key: Shown, value: Shown, expected: Expected },
    #[error("`{key}` is an empty list")]
    Empty { key: &'static str },
    #[error("`{key}` is `{value}`, {fault}")]
    Value { key: &'static str, value: Shown, fault: ValueFault },
    #[error("{what} `{value}` is already used on line {first}")]
    Duplicate { what: &'static str, value: Shown, first: usize },
    #[error("backend address `{value}` is the VIP of service `{service}` (line {line})")]
    VipIsBackend { value: Shown, service: Shown, line: usize },
    #[error("`address` is `{value}`, not of the same family as the VIP `{vip}`")]
    MixedFamilies { value: Shown, vip: Shown },
    #[error("{what} `{value}` is number {number}, more than fit")]
    TooMany { what: &'static str, value: Shown, number: usize, limit: usize, scope: &'static str },
    #[error("`{key}` does not belong to a check of type `{kind}`")]
    NotForType { key: &'static str, kind: &'static str, owner: &'static str },
    #[error("a check of type `https` without `ca_file` trusts no server")]
    NoTrust,
    #[error("`insecure` is `true` beside `ca_file`, which would not be used")]
    TrustUnused,
    #[error("`{present}` stands without `{absent}`")]
    Alone { present: &'static str, absent: &'static str },
    #[error("`ca_file` stands beside a `url` without TLS, and would not be used")]
    PlainUrl,
    #[error(transparent)]
    Router(RouterFault),
    #[error("`{key}`: {unmet}")]
    Unmet {
        key: &'static str,
        /// Its own causes are read through it, so it is part of the text, not of the chain.
        unmet: Unmet,
    },
}

impl Fault {
    fn hint(&self) -> String {
        match self {
            Self::Read { source } => read_hint(source).into(),
            Self::Syntax { .. } => {
                "write `key = value` lines under `[node]`, `[[service]]`, `[service.check]`, \
                 `[[service.backend]]`, `[[vrrp]]`, `[[vrrp.track]]` and `[notify]`, with strings \
                 in double quotes, each key once"
                    .into()
            }
            Self::UnknownKey { cure, .. } => cure.to_string(),
            Self::NotInThisVersion { key, .. } => format!(
                "take `{key}` out; this version serves `[node]`, `[[service]]`, `[[vrrp]]` and \
                 `[notify]` only"
            ),
            Self::Missing { example, .. } => format!("add `{example}`"),
            Self::WrongType { key, expected, .. } => type_hint(key, *expected),
            Self::Empty { key } => format!("name at least one in `{key}`"),
            Self::Value { key, value, fault } => fault.hint(key, value),
            Self::Duplicate { what, .. } => format!("give each {what} once"),
            Self::VipIsBackend { .. } => {
                "the VIP is what clients connect to; write the backend's own address".into()
            }
            Self::MixedFamilies { .. } => {
                "give IPv4 and IPv6 a `[[service]]` each, with a VIP and backends of one family"
                    .into()
            }
            Self::TooMany { limit, scope, .. } => format!("at most {limit} {scope}"),
            Self::NotForType { key, owner, .. } => {
                format!("`{key}` belongs to {owner}; change `type` or take the key out")
            }
            Self::NoTrust => "add `ca_file = \"/etc/kubernetes/pki/ca.crt\"` (the cluster's CA; \
                              this is kubeadm's), or `insecure = true` to accept any certificate"
                .into(),
            Self::TrustUnused => "take one of the two out".into(),
            Self::Alone { present, absent } => format!("add `{absent}`, or take `{present}` out"),
            Self::PlainUrl => "write `https://` in `url`, or take `ca_file` out".into(),
            Self::Router(fault) => fault.hint(),
            Self::Unmet { unmet, .. } => unmet.hint(),
        }
    }
}

fn read_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "name the file with `--config FILE`; `packaging/lb.toml.example` is one to start from"
        }
        io::ErrorKind::PermissionDenied => "run as root, or make the file readable",
        io::ErrorKind::InvalidData => "the file must be UTF-8 text",
        _ => "name a readable file with `--config FILE`",
    }
}

fn type_hint(key: &Shown, expected: Expected) -> String {
    match expected {
        Expected::String => format!("write a string in double quotes: `{key} = \"…\"`"),
        Expected::Integer => format!("write a whole number without quotes: `{key} = 1`"),
        Expected::Boolean => format!("write `{key} = true` or `{key} = false`, without quotes"),
        Expected::List => format!("write a list of strings: `{key} = [\"…\", \"…\"]`"),
        Expected::Command => format!("write a string in double quotes: `{key} = \"/…\"`"),
        Expected::Table(section) => {
            format!("write {section} once, its keys on the lines below it")
        }
        Expected::Tables(section) => {
            format!("write {section}, its keys on the lines below it; it may stand more than once")
        }
    }
}

/// "`a`, `b` or `c`".
pub(super) fn quoted(words: &[&str], conjunction: &str) -> String {
    let mut text = String::new();
    for (n, word) in words.iter().enumerate() {
        if n > 0 && n + 1 == words.len() {
            text.push_str(&format!(" {conjunction} "));
        } else if n > 0 {
            text.push_str(", ");
        }
        text.push_str(&format!("`{word}`"));
    }
    text
}
