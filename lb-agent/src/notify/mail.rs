//! A mail by SMTP to a relay of one's own, without encryption or password, as keepalived sends it.

use std::time::UNIX_EPOCH;

use lettre::{
    Address,
    address::{AddressError, Envelope},
    transport::smtp::{self, client::AsyncSmtpConnection, extension::ClientId},
};

use super::{Notice, keepalived_state};
use crate::config::notify::Mail;

/// Of a line of the body, in characters: RFC 5322 §2.1.1 allows 998.
const LINE: usize = 500;

/// Why a mail was not sent to everybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum MailFault {
    #[error("`{address}` is not a mail address: {source}")]
    Address { address: String, source: AddressError },
    #[error("no connection to the mail server `{server}`: {source}")]
    Connection { server: String, source: smtp::Error },
    #[error("the mail server `{server}` did not take the mail for {}: {source}", .to.join(", "))]
    Refused { server: String, to: Vec<String>, source: smtp::Error },
    #[error("the mail server `{server}` took longer than {timeout:?}")]
    TooLong { server: String, timeout: std::time::Duration },
}

pub(super) async fn send(config: &Mail, node: &str, notice: &Notice) -> Result<(), MailFault> {
    let text = compose(config, node, notice);
    let delivery = deliver(config, node, text.as_bytes());
    tokio::time::timeout(config.timeout, delivery).await.unwrap_or_else(|_elapsed| {
        Err(MailFault::TooLong { server: config.server.to_string(), timeout: config.timeout })
    })
}

/// Each recipient by itself, so that a refused one does not cost the others their mail.
async fn deliver(config: &Mail, node: &str, text: &[u8]) -> Result<(), MailFault> {
    let from = address(&config.from)?;
    let server = config.server.to_string();
    let mut refused: Option<(Vec<String>, smtp::Error)> = None;
    for to in &config.to {
        // One sender and one recipient are always an envelope.
        let Ok(envelope) = Envelope::new(Some(from.clone()), vec![address(to)?]) else { continue };
        let mut connection = connect(config, node)
            .await
            .map_err(|source| MailFault::Connection { server: server.clone(), source })?;
        match connection.send(&envelope, text).await {
            // The mail is taken; a server that does not say good-bye changes nothing.
            Ok(_taken) => drop(connection.quit().await),
            Err(source) => {
                refused.get_or_insert((Vec::new(), source)).0.push(to.clone());
            }
        }
    }
    refused.map_or(Ok(()), |(to, source)| Err(MailFault::Refused { server, to, source }))
}

async fn connect(config: &Mail, node: &str) -> Result<AsyncSmtpConnection, smtp::Error> {
    let server = (config.server.host.as_str(), config.server.port);
    let name = ClientId::Domain(ascii(node));
    AsyncSmtpConnection::connect_tokio1(server, Some(config.timeout), &name, None, None).await
}

fn address(text: &str) -> Result<Address, MailFault> {
    text.parse().map_err(|source| MailFault::Address { address: text.to_owned(), source })
}

/// Headers and body (RFC 5322), in ASCII, which every server takes.
fn compose(config: &Mail, node: &str, notice: &Notice) -> String {
    let (node, name) = (ascii(node), ascii(&notice.name));
    let state = keepalived_state(notice.new);
    let title = format!("{} {name}", notice.kind.title());
    let since_epoch = notice.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let headers = [
        ("From", config.from.clone()),
        ("To", config.to.join(",\r\n ")),
        ("Subject", format!("[{node}] {title} - Entering {state} state")),
        // `GMT` is an obsolete zone of RFC 5322 §4.3.
        ("Date", httpdate::fmt_http_date(notice.at).replace("GMT", "+0000")),
        ("Message-ID", format!("<{since_epoch}.{name}.{state}@{node}>")),
        // RFC 3834: nobody's absence is to be announced to us.
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=us-ascii".to_owned()),
    ];
    let mut text: String =
        headers.into_iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
    let at = humantime::format_rfc3339_millis(notice.at);
    for line in [
        format!(
            "{title} is now in {state} state, and was in {} state.",
            keepalived_state(notice.old)
        ),
        format!("Node: {node}"),
        format!("Priority: {}", notice.priority),
        format!("Reason: {}", ascii(&notice.reason)),
        format!("Time: {at}"),
    ] {
        for piece in line.as_bytes().chunks(LINE) {
            text.push_str("\r\n");
            text.push_str(&String::from_utf8_lossy(piece));
        }
    }
    // The last line's end is part of the end of data, which lettre adds.
    text
}

/// Nothing that ends a line, and nothing that a server might refuse.
fn ascii(text: &str) -> String {
    let escaped = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().map(escaped).collect()
}
