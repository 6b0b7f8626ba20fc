//! Which keys a section has, and what someone meant who wrote another one.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::{self, Display};

use super::error::{Fault, Shown, quoted};

const SERVICE: &[&str] = &[
    "name",
    "vip",
    "port",
    "protocol",
    "mode",
    "affinity",
    "on_backend_down",
    "when_no_backend",
    "check",
    "backend",
];
const CHECK: &[&str] = &[
    "type",
    "path",
    "expect",
    "body",
    "host",
    "sni",
    "ca_file",
    "client_cert",
    "client_key",
    "insecure",
    "command",
    "user",
    "interval",
    "fast_interval",
    "down_interval",
    "timeout",
    "rise",
    "fall",
    "port",
];
const VRRP: &[&str] = &[
    "name",
    "interface",
    "virtual_router_id",
    "version",
    "priority",
    "advert_interval",
    "addresses",
    "excluded_addresses",
    "label",
    "preempt",
    "preempt_delay",
    "unicast_source",
    "unicast_peers",
    "check_source",
    "authentication",
    "sync_group",
    "track",
];

/// A place in the file where keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Top,
    Node,
    Service,
    Check,
    Backend,
    Vrrp,
    Authentication,
    Track,
    Notify,
    Mail,
    Webhook,
}

impl Section {
    /// Those that have keys of their own beside sections.
    const WITH_KEYS: [Self; 10] = [
        Self::Node,
        Self::Service,
        Self::Check,
        Self::Backend,
        Self::Vrrp,
        Self::Authentication,
        Self::Track,
        Self::Notify,
        Self::Mail,
        Self::Webhook,
    ];

    /// Every key that may stand here, sections below it included.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &["node", "service", "vrrp", "notify"],
            Self::Node => {
                &["name", "interfaces", "xdp_mode", "pin_dir", "admin_socket", "max_connections"]
            }
            Self::Service => SERVICE,
            Self::Check => CHECK,
            Self::Backend => &["name", "address", "port", "weight"],
            Self::Vrrp => VRRP,
            Self::Authentication => &["type", "secret_file"],
            Self::Track => &[
                "script",
                "interface",
                "service",
                "weight",
                "interval",
                "timeout",
                "rise",
                "fall",
                "user",
            ],
            Self::Notify => &["command", "user", "mail", "webhook"],
            Self::Mail => &["server", "from", "to", "timeout"],
            Self::Webhook => &["url", "ca_file", "timeout", "attempts"],
        }
    }

    /// Keys of the design that a later version will know.
    const fn later(self) -> &'static [&'static str] {
        match self {
            Self::Top => &["sync"],
            Self::Node => &["http_listen"],
            _ => &[],
        }
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Top => "the top level",
            Self::Node => "`[node]`",
            Self::Service => "`[[service]]`",
            Self::Check => "`[service.check]`",
            Self::Backend => "`[[service.backend]]`",
            Self::Vrrp => "`[[vrrp]]`",
            Self::Authentication => "`[vrrp.authentication]`",
            Self::Track => "`[[vrrp.track]]`",
            Self::Notify => "`[notify]`",
            Self::Mail => "`[notify.mail]`",
            Self::Webhook => "`[notify.webhook]`",
        })
    }
}

/// What to do about an unknown key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// A key of the same section is spelt nearly so.
    Typo(&'static str),
    /// The key exists, in these sections.
    Elsewhere(&'static str, Vec<Section>),
    /// A key of other sections is spelt nearly so.
    TypoElsewhere(&'static str, Vec<Section>),
    /// Nothing is like it.
    Nothing(Section),
}

impl Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typo(near) => write!(f, "did you mean `{near}`?"),
            Self::Elsewhere(key, sections) => write!(
                f,
                "`{key}` belongs to {}; a line counts to the last `[…]` above it",
                listed(sections)
            ),
            Self::TypoElsewhere(near, sections) => {
                write!(f, "did you mean `{near}`, which belongs to {}?", listed(sections))
            }
            Self::Nothing(section) => {
                write!(f, "valid in {section} is {}", quoted(section.keys(), "or"))
            }
        }
    }
}

fn listed(sections: &[Section]) -> String {
    let mut text = String::new();
    for (n, section) in sections.iter().enumerate() {
        if n > 0 {
            text.push_str(if n + 1 == sections.len() { " or " } else { ", " });
        }
        text.push_str(&section.to_string());
    }
    text
}

/// Why `key` may not stand in `section`; `None` when it may.
pub(super) fn diagnose(section: Section, key: &str) -> Option<Fault> {
    if section.keys().contains(&key) {
        return None;
    }
    if let Some(key) = section.later().iter().find(|&&later| later == key) {
        return Some(Fault::NotInThisVersion { key, section });
    }
    Some(Fault::UnknownKey { key: Shown::from(key), section, cure: cure(section, key) })
}

fn cure(section: Section, key: &str) -> Cure {
    let homes = |wanted: &str| -> Vec<Section> {
        let has = |home: &Section| *home != section && home.keys().contains(&wanted);
        Section::WITH_KEYS.into_iter().filter(has).collect()
    };
    let elsewhere = || Section::WITH_KEYS.into_iter().filter(|home| *home != section);
    if let Some(&known) = elsewhere().flat_map(Section::keys).find(|&&known| known == key) {
        return Cure::Elsewhere(known, homes(known));
    }
    if let Some(near) = nearest(key, section.keys().iter().copied()) {
        return Cure::Typo(near);
    }
    let others = elsewhere().flat_map(|home| home.keys().iter().copied());
    match nearest(key, others) {
        Some(near) => Cure::TypoElsewhere(near, homes(near)),
        None => Cure::Nothing(section),
    }
}

/// The word most like `text`, if any is like it: two edits in five letters are too many.
pub(super) fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Nothing that long is a misspelt key, and the distance takes quadratic time.
    if text.len() > 64 {
        return None;
    }
    let folded = text.to_lowercase().replace(['-', ' '], "_");
    let distance = |word: &str| strsim::damerau_levenshtein(&folded, &word.replace('-', "_"));
    words
        .map(|word| (distance(word), word))
        .filter(|(edits, word)| edits * 3 <= word.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}
