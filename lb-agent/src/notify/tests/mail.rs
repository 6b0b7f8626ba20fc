//! A mail server on loopback that keeps what it is told.

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::config::{Endpoint, notify::Mail};

/// Every line of every connection, without its end.
type Transcript = Arc<Mutex<Vec<String>>>;

struct Sink {
    port: u16,
    heard: Transcript,
    serving: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sink {
    /// `silent`: accepts, and says nothing.
    async fn start(silent: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Transcript::default();
        let all = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (tcp, _peer) = listener.accept().await.unwrap();
                if silent {
                    kept.push(tcp);
                } else {
                    serve(tcp, &all).await;
                }
            }
        });
        Self { port, heard, serving }
    }

    fn lines(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Refuses recipients called `nobody`.
async fn serve(tcp: TcpStream, heard: &Transcript) {
    let (reader, mut writer) = tcp.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut in_data = false;
    writer.write_all(b"220 sink ready\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let verb: String = line.chars().take(4).collect();
        let answer = match (in_data, verb.as_str()) {
            (true, ".") => "250 taken\r\n",
            (true, _) => "",
            (false, "DATA") => "354 go on\r\n",
            (false, "QUIT") => "221 bye\r\n",
            (false, "RCPT") if line.contains("nobody@") => "550 no such user\r\n",
            (false, _) => "250 fine\r\n",
        };
        in_data = (in_data || verb == "DATA") && line != ".";
        heard.lock().unwrap().push(line);
        writer.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn config(port: u16, to: &[&str], timeout: Duration) -> Notify {
    let mail = Mail {
        server: Endpoint { host: "127.0.0.1".to_owned(), port },
        from: "lb@example.com".to_owned(),
        to: to.iter().map(ToString::to_string).collect(),
        timeout,
    };
    Notify { mail: Some(mail), ..Notify::default() }
}

#[tokio::test]
async fn a_mail_as_keepalived_writes_it() {
    let sink = Sink::start(false).await;
    let mut notifier = spawn(&config(sink.port, &["ops@example.com"], LONG), "lb-01");
    let told = Notice {
        reason: "script fails: caf\u{e9}\r\nBcc: x@example.com".to_owned(),
        ..notice("VI_1", State::Backup, State::Active)
    };
    notifier.tell(told);
    notifier.finish(LONG).await;
    assert_eq!(
        sink.lines(),
        [
            "EHLO lb-01",
            "MAIL FROM:<lb@example.com>",
            "RCPT TO:<ops@example.com>",
            "DATA",
            "From: lb@example.com",
            "To: ops@example.com",
            "Subject: [lb-01] VRRP Instance VI_1 - Entering MASTER state",
            "Date: Sat, 21 Nov 2026 20:04:06 +0000",
            "Message-ID: <1795291446250000000.VI_1.MASTER@lb-01>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=us-ascii",
            "",
            "VRRP Instance VI_1 is now in MASTER state, and was in BACKUP state.",
            "Node: lb-01",
            "Priority: 101",
            "Reason: script fails: caf???Bcc: x@example.com",
            "Time: 2026-11-21T20:04:06.250Z",
            ".",
            "QUIT",
        ]
    );
}

#[tokio::test]
async fn one_refused_recipient_costs_the_others_nothing() {
    let (log, _guard) = Log::capture();
    let sink = Sink::start(false).await;
    let to = ["nobody@example.com", "ops@example.com", "dev@example.com"];
    let mut notifier = spawn(&config(sink.port, &to, LONG), "lb-01");
    let group = Notice { kind: Kind::Group, ..notice("VG_1", State::Active, State::Fault) };
    notifier.tell(group);
    notifier.finish(LONG).await;
    let lines = sink.lines();
    let count = |line: &str| lines.iter().filter(|each| *each == line).count();
    assert_eq!(count("Subject: [lb-01] VRRP Group VG_1 - Entering FAULT state"), 2, "{lines:?}");
    assert_eq!(count("RCPT TO:<dev@example.com>"), 1);
    assert_eq!(count("To: nobody@example.com,"), 2);
    let text = log.text();
    assert!(text.contains("did not take the mail for nobody@example.com: "), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_does_not_speak() {
    let (log, _guard) = Log::capture();
    let sink = Sink::start(true).await;
    let to = ["ops@example.com"];
    let mut notifier = spawn(&config(sink.port, &to, Duration::from_millis(50)), "lb-01");
    notifier.tell(notice("VI_1", State::Backup, State::Active));
    notifier.finish(LONG).await;
    let port = sink.port;
    let silent = format!("the mail server `127.0.0.1:{port}` took longer than 50ms");
    assert!(log.text().contains(&silent), "{}", log.text());

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut notifier = spawn(&config(closed, &to, LONG), "lb-01");
    notifier.tell(notice("VI_1", State::Backup, State::Active));
    notifier.finish(LONG).await;
    let refused = format!("no connection to the mail server `127.0.0.1:{closed}`");
    assert!(log.text().contains(&refused), "{}", log.text());
}
