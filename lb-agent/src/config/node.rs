//! `[node]`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::PathBuf;

use lb_common::abi::DEFAULT_CONNECTIONS;

use super::{
    DEFAULT_ADMIN_SOCKET, DEFAULT_PIN_DIR, Node, XdpMode,
    claim::Fact,
    document::{At, Findings, Table, Words},
    error::{Fault, Shown},
    form::Form,
    keys::Section,
};

const XDP_MODES: &Words<XdpMode> =
    &[("auto", XdpMode::Auto), ("native", XdpMode::Native), ("generic", XdpMode::Generic)];

/// The section, or `None` when it cannot be completed; the reasons are in `findings`.
pub(super) fn read<'t>(
    findings: &mut Findings<'t>,
    root: &Table<'t>,
    host_name: Option<&str>,
) -> Option<Node> {
    findings.require(root, "node", "[node]");
    let table = findings.table(root, "node", Section::Node)?;
    if host_name.is_none() {
        findings.require(&table, "name", "name = \"lb-01\"");
    }
    let name = findings.formed(&table, "name", Form::NodeName).map(|name| name.value);
    let interfaces = interfaces(findings, &table);
    let xdp_mode = findings.word(&table, "xdp_mode", XDP_MODES).unwrap_or(XdpMode::Auto);
    let pin_dir = findings.path(&table, "pin_dir", Form::AbsolutePath);
    let admin_socket = findings.path(&table, "admin_socket", Form::SocketPath);
    let max_connections = findings.integer(&table, "max_connections", 1..=1 << 24);
    Some(Node {
        name: name.or(host_name)?.to_owned(),
        interfaces: interfaces?,
        xdp_mode,
        pin_dir: pin_dir.map_or_else(|| PathBuf::from(DEFAULT_PIN_DIR), |path| path.value),
        admin_socket: admin_socket
            .map_or_else(|| PathBuf::from(DEFAULT_ADMIN_SOCKET), |path| path.value),
        max_connections: max_connections.map_or(DEFAULT_CONNECTIONS, |number| number.value),
    })
}

fn interfaces<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<Vec<String>> {
    const KEY: &str = "interfaces";
    findings.require(table, KEY, "interfaces = [\"eth0\"]");
    let names = findings.strings(table, KEY)?;
    let mut seen: Vec<At<&str>> = Vec::new();
    for name in names {
        if findings.check_form(KEY, name, Form::Interface).is_none() {
            continue;
        }
        if let Some(first) = seen.iter().find(|earlier| earlier.value == name.value) {
            let (value, first) = (Shown::from(name.value), first.line);
            findings.report(name.line, Fault::Duplicate { what: "interface", value, first });
            continue;
        }
        findings.claim(name.line, KEY, Fact::Interface(name.value.to_owned()));
        seen.push(name);
    }
    Some(seen.into_iter().map(|name| name.value.to_owned()).collect())
}
