//! `[[service]]` and `[[service.backend]]`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, SocketAddr};

use super::{
    Affinity, Backend, OnBackendDown, Protocol, Service, WhenNoBackend, check,
    cross::Seen,
    document::{At, Findings, Table, Words},
    error::{Fault, Shown},
    form::Form,
    keys::Section,
    value::ValueFault,
};

const PROTOCOLS: &Words<Protocol> = &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
/// `true`: this version has it.
const MODES: &Words<(&str, bool)> =
    &[("nat", ("nat", true)), ("l2-dsr", ("l2-dsr", false)), ("ipip", ("ipip", false))];
const AFFINITIES: &Words<Affinity> =
    &[("connection", Affinity::Connection), ("client", Affinity::Client)];
const ON_BACKEND_DOWN: &Words<OnBackendDown> =
    &[("reset", OnBackendDown::Reset), ("keep", OnBackendDown::Keep)];
const WHEN_NO_BACKEND: &Words<WhenNoBackend> = &[
    ("reject", WhenNoBackend::Reject),
    ("drop", WhenNoBackend::Drop),
    ("try-all", WhenNoBackend::TryAll),
];

/// One service, or `None` when it cannot be completed; the reasons are in `findings`.
pub(super) fn read<'t>(
    findings: &mut Findings<'t>,
    seen: &mut Seen<'t>,
    table: &Table<'t>,
) -> Option<Service> {
    findings.require(table, "name", "name = \"kube-apiserver\"");
    findings.require(table, "vip", "vip = \"10.0.0.50\"");
    findings.require(table, "port", "port = 6443");
    let name = findings.formed(table, "name", Form::Name);
    let vip = findings.address(table, "vip");
    let port = findings.port(table, "port");
    let protocol = findings.word(table, "protocol", PROTOCOLS).unwrap_or(Protocol::Tcp);
    mode(findings, table);
    let affinity = findings.word(table, "affinity", AFFINITIES).unwrap_or(Affinity::Connection);
    let on_backend_down =
        findings.word(table, "on_backend_down", ON_BACKEND_DOWN).unwrap_or(OnBackendDown::Reset);
    let when_no_backend =
        findings.word(table, "when_no_backend", WHEN_NO_BACKEND).unwrap_or(WhenNoBackend::Reject);
    seen.service(findings, table.line, name, vip, port, protocol);
    let check = check::read(findings, table);
    let backends = backends(findings, seen, table, vip, port);
    Some(Service {
        name: name?.value.to_owned(),
        vip: vip?.value,
        port: port?.value,
        protocol,
        affinity,
        on_backend_down,
        when_no_backend,
        check: check?,
        backends: backends?,
    })
}

fn mode<'t>(findings: &mut Findings<'t>, table: &Table<'t>) {
    let Some((value, present)) = findings.word(table, "mode", MODES) else { return };
    if !present {
        let line = findings.line_of(table, "mode").unwrap_or(table.line);
        findings.refuse(line, "mode", value, ValueFault::ModeNotInThisVersion);
    }
}

fn backends<'t>(
    findings: &mut Findings<'t>,
    seen: &mut Seen<'t>,
    table: &Table<'t>,
    vip: Option<At<IpAddr>>,
    port: Option<At<u16>>,
) -> Option<Vec<Backend>> {
    const KEY: &str = "backend";
    findings.require(table, KEY, "[[service.backend]]");
    let tables = findings.tables(table, KEY, Section::Backend);
    seen.next_service();
    let backends = tables.iter().map(|table| backend(findings, seen, table, vip, port));
    let backends: Vec<Option<Backend>> = backends.collect();
    backends.into_iter().collect()
}

fn backend<'t>(
    findings: &mut Findings<'t>,
    seen: &mut Seen<'t>,
    table: &Table<'t>,
    vip: Option<At<IpAddr>>,
    service_port: Option<At<u16>>,
) -> Option<Backend> {
    findings.require(table, "name", "name = \"cp-01\"");
    findings.require(table, "address", "address = \"10.0.0.11\"");
    let name = findings.formed(table, "name", Form::Name);
    let address = findings.address(table, "address");
    let port = if table.has("port") { findings.port(table, "port") } else { service_port };
    let weight = findings.integer(table, "weight", 0..=256).map_or(1, |weight| weight.value);
    if let (Some(address), Some(vip)) = (address, vip)
        && address.value.is_ipv4() != vip.value.is_ipv4()
    {
        let vip = Shown::from(vip.value.to_string());
        let value = Shown::from(address.value.to_string());
        findings.report(address.line, Fault::MixedFamilies { value, vip });
    }
    let socket = address.zip(port).map(|(address, port)| At {
        line: address.line,
        value: SocketAddr::new(address.value, port.value),
    });
    seen.backend(findings, table.line, name, address, socket);
    Some(Backend {
        name: name?.value.to_owned(),
        address: address?.value,
        port: port?.value,
        weight: u16::try_from(weight).ok()?,
    })
}
