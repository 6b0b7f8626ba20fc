//! `[notify]`: who is told when a virtual router changes its state.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{path::PathBuf, time::Duration};

use super::{
    check,
    claim::Fact,
    command,
    document::{At, Findings, Table},
    endpoint::{self, Endpoint, Url},
    error::{Fault, Shown},
    form::Form,
    keys::Section,
};

/// SMTP's port between servers.
const SMTP: u16 = 25;
/// keepalived's `smtp_connect_timeout`.
const MAIL_TIMEOUT: Duration = Duration::from_secs(30);
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 5;

/// `[notify]`; by default nobody is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Run at each change.
    pub command: Option<NotifyCommand>,
    /// Sent at each change.
    pub mail: Option<Mail>,
    /// Posted at each change.
    pub webhook: Option<Webhook>,
}

/// `command` and `user`. keepalived's arguments follow: `INSTANCE NAME STATE PRIORITY` or `GROUP
/// NAME STATE PRIORITY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyCommand {
    /// Program and its first arguments; the program's path is absolute.
    pub command: Vec<String>,
    /// User it runs as; root only when the file says `user = "root"`.
    pub user: String,
}

/// `[notify.mail]`: SMTP without encryption and password, to a relay of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The relay.
    pub server: Endpoint,
    /// The sender's bare address.
    pub from: String,
    /// The recipients' bare addresses; at least one, each once.
    pub to: Vec<String>,
    /// For the whole delivery of one mail.
    pub timeout: Duration,
}

/// `[notify.webhook]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where to.
    pub url: Url,
    /// PEM file with the certificate authorities to trust; `None` = the system's.
    pub ca_file: Option<PathBuf>,
    /// For one attempt.
    pub timeout: Duration,
    /// Attempts in all, 1..=20.
    pub attempts: u32,
}

/// The section, or `None` when it cannot be completed; the reasons are in `findings`.
pub(super) fn read<'t>(findings: &mut Findings<'t>, root: &Table<'t>) -> Option<Notify> {
    if !root.has("notify") {
        return Some(Notify::default());
    }
    let table = findings.table(root, "notify", Section::Notify)?;
    let command = table.has("command").then(|| command(findings, &table));
    if let Some(line) = findings.line_of(&table, "user")
        && !table.has("command")
    {
        findings.report(line, Fault::Alone { present: "user", absent: "command" });
    }
    let mail = table.has("mail").then(|| mail(findings, &table));
    let webhook = table.has("webhook").then(|| webhook(findings, &table));
    // `None` inside: there and wrong.
    Some(Notify {
        command: command.map_or(Some(None), |read| read.map(Some))?,
        mail: mail.map_or(Some(None), |read| read.map(Some))?,
        webhook: webhook.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn command<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<NotifyCommand> {
    let words = findings.strings(table, "command");
    let command::Command { words, user } = command::read(findings, table, "command", words)?;
    Some(NotifyCommand { command: words, user })
}

fn mail<'t>(findings: &mut Findings<'t>, notify: &Table<'t>) -> Option<Mail> {
    let table = &findings.table(notify, "mail", Section::Mail)?;
    findings.require(table, "server", "server = \"mail.example.com\"");
    findings.require(table, "from", "from = \"lb@example.com\"");
    findings.require(table, "to", "to = [\"ops@example.com\"]");
    let server = findings.formed(table, "server", Form::MailServer);
    let from = findings.formed(table, "from", Form::MailAddress);
    let timeout = findings.duration(table, "timeout");
    let to = recipients(findings, table);
    Some(Mail {
        server: endpoint::split(server?.value, SMTP)?,
        from: from?.value.to_owned(),
        to: to?,
        timeout: timeout.map_or(MAIL_TIMEOUT, |timeout| timeout.value),
    })
}

fn recipients<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<Vec<String>> {
    let mut seen: Vec<At<&str>> = Vec::new();
    for address in findings.strings(table, "to")? {
        let Some(address) = findings.check_form("to", address, Form::MailAddress) else { continue };
        if let Some(first) = seen.iter().find(|earlier| earlier.value == address.value) {
            let (value, first) = (Shown::from(address.value), first.line);
            findings.report(address.line, Fault::Duplicate { what: "recipient", value, first });
            continue;
        }
        seen.push(address);
    }
    Some(seen.into_iter().map(|address| address.value.to_owned()).collect())
}

fn webhook<'t>(findings: &mut Findings<'t>, notify: &Table<'t>) -> Option<Webhook> {
    let table = &findings.table(notify, "webhook", Section::Webhook)?;
    findings.require(table, "url", "url = \"https://hooks.example.com/lb\"");
    let url = findings.formed(table, "url", Form::Url);
    let url = url.and_then(|url| endpoint::url(url.value));
    let ca_file = check::file(findings, table, "ca_file", Fact::Certificates);
    if let (Some(line), Some(false)) =
        (findings.line_of(table, "ca_file"), url.as_ref().map(|url| url.tls))
    {
        findings.report(line, Fault::PlainUrl);
    }
    let timeout = findings.duration(table, "timeout");
    let attempts = findings.integer(table, "attempts", 1..=20);
    Some(Webhook {
        url: url?,
        ca_file,
        timeout: timeout.map_or(WEBHOOK_TIMEOUT, |timeout| timeout.value),
        attempts: attempts.map_or(ATTEMPTS, |attempts| attempts.value),
    })
}
