//! `[service.check]`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{path::PathBuf, time::Duration};

use super::{
    Check, CheckKind, ClientCertificate, ExecCheck, HttpCheck, TlsCheck,
    claim::Fact,
    command::{self, Command},
    document::{At, Findings, Table, Words},
    error::Fault,
    form::Form,
    keys::Section,
};

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const RISE: u32 = 2;
const FALL: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Tcp,
    Http,
    Https,
    Exec,
}

const TYPES: &Words<Type> =
    &[("tcp", Type::Tcp), ("http", Type::Http), ("https", Type::Https), ("exec", Type::Exec)];

/// Keys that only some types have, those types, and how to name them.
const OWNED: [(&[&str], &[Type], &str); 3] = [
    (
        &["path", "expect", "body", "host"],
        &[Type::Http, Type::Https],
        "type `http` and type `https`",
    ),
    (&["sni", "ca_file", "client_cert", "client_key", "insecure"], &[Type::Https], "type `https`"),
    (&["command", "user"], &[Type::Exec], "type `exec`"),
];

/// The service's check, or `None` when it cannot be completed; the reasons are in `findings`.
pub(super) fn read<'t>(findings: &mut Findings<'t>, service: &Table<'t>) -> Option<Check> {
    if !service.has("check") {
        return Some(Check {
            kind: CheckKind::Tcp,
            interval: INTERVAL,
            fast_interval: INTERVAL,
            down_interval: INTERVAL,
            timeout: TIMEOUT,
            rise: RISE,
            fall: FALL,
            port: None,
        });
    }
    let table = findings.table(service, "check", Section::Check)?;
    let interval = findings.duration(&table, "interval").map_or(INTERVAL, |d| d.value);
    let fast_interval = findings.duration(&table, "fast_interval");
    let down_interval = findings.duration(&table, "down_interval");
    let timeout = findings.duration(&table, "timeout");
    let rise = findings.integer(&table, "rise", 1..=100);
    let fall = findings.integer(&table, "fall", 1..=100);
    let port = findings.port(&table, "port");
    let kind = kind(findings, &table);
    Some(Check {
        kind: kind?,
        interval,
        fast_interval: fast_interval.map_or(interval, |d| d.value),
        down_interval: down_interval.map_or(interval, |d| d.value),
        timeout: timeout.map_or_else(|| TIMEOUT.min(interval), |d| d.value),
        rise: rise.map_or(RISE, |n| n.value),
        fall: fall.map_or(FALL, |n| n.value),
        port: port.map(|port| port.value),
    })
}

fn kind<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<CheckKind> {
    let kind = if table.has("type") { findings.word(table, "type", TYPES)? } else { Type::Tcp };
    foreign_keys(findings, table, kind);
    match kind {
        Type::Tcp => Some(CheckKind::Tcp),
        Type::Http => Some(CheckKind::Http(http(findings, table))),
        Type::Https => {
            let http = http(findings, table);
            Some(CheckKind::Https(http, tls(findings, table)))
        }
        Type::Exec => exec(findings, table).map(CheckKind::Exec),
    }
}

fn foreign_keys<'t>(findings: &mut Findings<'t>, table: &Table<'t>, kind: Type) {
    let word = TYPES.iter().find(|(_, each)| *each == kind).map_or("", |(word, _)| word);
    for (keys, types, owner) in OWNED {
        if types.contains(&kind) {
            continue;
        }
        for key in keys {
            if let Some(line) = findings.line_of(table, key) {
                findings.report(line, Fault::NotForType { key, kind: word, owner });
            }
        }
    }
}

fn http<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> HttpCheck {
    let text = |value: At<&str>| value.value.to_owned();
    let path = findings.formed(table, "path", Form::HttpPath);
    let expect = findings.integer(table, "expect", 100..=599);
    HttpCheck {
        path: path.map_or_else(|| "/".to_owned(), text),
        host: findings.formed(table, "host", Form::Host).map(text),
        expect: expect.and_then(|status| u16::try_from(status.value).ok()).unwrap_or(200),
        body: findings.formed(table, "body", Form::Body).map(text),
    }
}

fn tls<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> TlsCheck {
    let insecure = findings.boolean(table, "insecure").is_some_and(|flag| flag.value);
    let sni = findings.formed(table, "sni", Form::ServerName);
    let ca_file = file(findings, table, "ca_file", Fact::Certificates);
    match (table.has("ca_file"), insecure) {
        (false, false) => {
            let line = findings.line_of(table, "type").unwrap_or(table.line);
            findings.report(line, Fault::NoTrust);
        }
        (true, true) => {
            let line = findings.line_of(table, "insecure").unwrap_or(table.line);
            findings.report(line, Fault::TrustUnused);
        }
        (true, false) | (false, true) => {}
    }
    TlsCheck {
        sni: sni.map(|name| name.value.to_owned()),
        ca_file,
        client: client(findings, table),
        insecure,
    }
}

fn client<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<ClientCertificate> {
    const CERT: &str = "client_cert";
    const KEY: &str = "client_key";
    let cert_file = file(findings, table, CERT, Fact::Certificates);
    let key_file = file(findings, table, KEY, Fact::PrivateKey);
    for (present, absent) in [(CERT, KEY), (KEY, CERT)] {
        if let Some(line) = findings.line_of(table, present)
            && !table.has(absent)
        {
            findings.report(line, Fault::Alone { present, absent });
        }
    }
    Some(ClientCertificate { cert_file: cert_file?, key_file: key_file? })
}

/// A file and the claim about it.
pub(super) fn file<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    key: &'static str,
    fact: fn(PathBuf) -> Fact,
) -> Option<PathBuf> {
    let path = findings.path(table, key, Form::AbsolutePath)?;
    findings.claim(path.line, key, fact(path.value.clone()));
    Some(path.value)
}

fn exec<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<ExecCheck> {
    findings.require(table, "command", "command = [\"/usr/local/bin/check\", \"argument\"]");
    let words = findings.strings(table, "command");
    let Command { words, user } = command::read(findings, table, "command", words)?;
    Some(ExecCheck { command: words, user })
}
