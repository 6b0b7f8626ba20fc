//! The text of a configuration becomes a [`Config`], or a list of problems. Nothing outside the
//! text is looked at.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;

use toml::de::DeTable;

use super::{
    Config, Node, Service,
    claim::Claim,
    cross::Seen,
    document::Findings,
    error::{Errors, Problem},
    keys::Section,
    node,
    notify::{self, Notify},
    service,
    vrrp::{self, Routers, Vrrp},
    warning::Warning,
};

/// What one pass over the text gave.
#[derive(Debug)]
pub(super) struct Reading {
    /// `None` only if there are problems.
    pub(super) config: Option<Config>,
    pub(super) problems: Vec<Problem>,
    /// What must hold on the machine, also when there are problems.
    pub(super) claims: Vec<Claim>,
}

/// Validates a configuration by its text alone. Interfaces, files and users that it names are not
/// looked for: [`load`](super::load) does that too.
///
/// `file` is what errors call the text; `host_name` the default of `[node]` `name`.
///
/// # Errors
/// As of [`load`](super::load).
pub fn parse(file: &Path, text: &str, host_name: &str) -> Result<Config, Errors> {
    let Reading { config, problems, claims: _ } = read(text, Some(host_name));
    conclude(file, config, problems)
}

pub(super) fn read(text: &str, host_name: Option<&str>) -> Reading {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut findings = Findings::new(text);
    if !errors.is_empty() {
        // What the parser made of the rest would only give rise to further, wrong complaints.
        findings.syntax(&errors);
        return Reading { config: None, problems: findings.problems, claims: Vec::new() };
    }
    let root = findings.root(document.get_ref());
    let node = node::read(&mut findings, &root, host_name);
    findings.require(&root, "service", "[[service]]");
    let tables = findings.tables(&root, "service", Section::Service);
    let mut seen = Seen::default();
    let services: Vec<Option<Service>> =
        tables.iter().map(|table| service::read(&mut findings, &mut seen, table)).collect();
    let mut routers = Routers::default();
    let tables = findings.tables(&root, "vrrp", Section::Vrrp);
    let instances = tables.iter().enumerate();
    let vrrp: Vec<Option<Vrrp>> =
        instances.map(|(n, table)| vrrp::read(&mut findings, &mut routers, table, n)).collect();
    let notify = notify::read(&mut findings, &root);
    let interfaces = node.as_ref().map_or(&[][..], |node| &node.interfaces);
    routers.finish(&mut findings, &seen, interfaces);
    seen.finish(&mut findings);
    let config = complete(node, services, vrrp, notify, &findings);
    Reading { config, problems: findings.problems, claims: findings.claims }
}

fn complete(
    node: Option<Node>,
    services: Vec<Option<Service>>,
    vrrp: Vec<Option<Vrrp>>,
    notify: Option<Notify>,
    findings: &Findings<'_>,
) -> Option<Config> {
    let mut warnings = findings.warnings.clone();
    warnings.sort_by_key(Warning::line);
    Some(Config {
        node: node?,
        services: services.into_iter().collect::<Option<_>>()?,
        vrrp: vrrp.into_iter().collect::<Option<_>>()?,
        notify: notify?,
        warnings,
    })
}

/// The configuration, unless there are problems.
pub(super) fn conclude(
    file: &Path,
    config: Option<Config>,
    problems: Vec<Problem>,
) -> Result<Config, Errors> {
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Errors::new(file, problems)),
    }
}
