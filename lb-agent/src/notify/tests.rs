//! Real commands, a mail server and a web server on loopback.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;

use super::*;
use crate::{
    config::notify::NotifyCommand,
    process::test_pair::{eventually, own_name},
};

mod mail;
mod webhook;

/// More than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn notice(name: &str, old: State, new: State) -> Notice {
    Notice {
        kind: Kind::Instance,
        name: name.to_owned(),
        old,
        new,
        priority: 101,
        reason: "no advertisement heard for 3609 ms".to_owned(),
        // 2026-11-21 20:04:06.250 UTC.
        at: UNIX_EPOCH + Duration::from_millis(1_795_291_446_250),
    }
}

/// A shell script that writes what it gets to a file.
struct Script {
    dir: TempDir,
}

impl Script {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `$OUT` and `$GATE` are files of the script's directory.
    fn config(&self, text: &str) -> Notify {
        let (out, gate) = (self.path("out"), self.path("gate"));
        let text = format!("OUT={} GATE={}; {text}", out.display(), gate.display());
        let command = ["/bin/sh", "-c", &text, "notify"].map(str::to_owned).to_vec();
        let command = Some(NotifyCommand { command, user: own_name() });
        Notify { command, ..Notify::default() }
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("out")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// What is logged on this thread while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_command_gets_the_arguments_of_keepalived() {
    let script = Script::new();
    let config = script.config("echo \"$#:$*\" >> $OUT");
    let mut notifier = spawn(&config, "lb-01");
    for state in [State::Active, State::Backup, State::Fault, State::Init] {
        notifier.tell(notice("VI_1", State::Backup, state));
    }
    notifier.finish(LONG).await;
    let words = ["MASTER", "BACKUP", "FAULT", "STOP"];
    assert_eq!(script.lines(), words.map(|word| format!("4:INSTANCE VI_1 {word} 101")));

    let mut notifier = spawn(&config, "lb-01");
    let group =
        Notice { kind: Kind::Group, priority: 0, ..notice("VG_1", State::Backup, State::Active) };
    notifier.tell(group);
    notifier.finish(LONG).await;
    assert_eq!(script.lines()[4], "4:GROUP VG_1 MASTER 0");
}

#[tokio::test]
async fn the_commands_environment_says_more() {
    let script = Script::new();
    let config = script.config("echo $LB_NODE $LB_OLD_STATE $LB_NEW_STATE $LB_REASON >> $OUT");
    let mut notifier = spawn(&config, "lb-01");
    let mut notice = notice("VI_1", State::Backup, State::Active);
    notice.reason = "a\0b".to_owned();
    notifier.tell(notice);
    notifier.finish(LONG).await;
    assert_eq!(script.lines(), ["lb-01 backup active ab"]);
}

/// One at a time and in order for each subject; subjects do not wait for each other.
#[tokio::test]
async fn each_subject_has_its_own_order() {
    let script = Script::new();
    // VI_1 waits until VI_2 is through; whoever finds another of its own at work says so.
    let mut notifier = spawn(
        &script.config(
            "mkdir $GATE.$2 || echo overlap >> $OUT
             [ $2 = VI_2 ] || until [ -e $GATE ]; do sleep 0.01; done
             echo $2 $4 >> $OUT; rmdir $GATE.$2; [ $2 = VI_1 ] || [ $4 != 3 ] || touch $GATE",
        ),
        "lb-01",
    );
    for name in ["VI_1", "VI_2"] {
        for priority in 1..=3 {
            notifier.tell(Notice { priority, ..notice(name, State::Backup, State::Active) });
        }
    }
    notifier.finish(LONG).await;
    let expected = ["VI_2 1", "VI_2 2", "VI_2 3", "VI_1 1", "VI_1 2", "VI_1 3"];
    assert_eq!(script.lines(), expected);
}

#[tokio::test]
async fn the_oldest_give_way_and_that_is_said() {
    let (log, _guard) = Log::capture();
    let script = Script::new();
    let config = script.config("echo $4 >> $OUT; until [ -e $GATE ]; do sleep 0.01; done");
    let mut notifier = spawn(&config, "lb-01");
    let tell = |notifier: &mut Notifier, priority| {
        notifier.tell(Notice { priority, ..notice("VI_1", State::Backup, State::Active) });
    };
    tell(&mut notifier, 0);
    eventually("the first is being told", || script.lines() == ["0"]).await;
    for priority in 1..=(QUEUE as u8 + 10) {
        tell(&mut notifier, priority);
    }
    std::fs::write(script.path("gate"), "").unwrap();
    notifier.finish(LONG).await;
    let told: Vec<String> =
        std::iter::once(0).chain(11..=QUEUE as u8 + 10).map(|n| n.to_string()).collect();
    assert_eq!(script.lines(), told);
    let text = log.text();
    assert!(text.contains("the oldest were dropped") && text.contains("dropped=10"), "{text}");
}

#[tokio::test]
async fn a_failure_is_logged_and_does_not_stop_the_next() {
    let (log, _guard) = Log::capture();
    let script = Script::new();
    let mut notifier = spawn(&script.config("echo $4 >> $OUT; echo no >&2; exit $4"), "lb-01");
    for priority in [3, 0, 4] {
        notifier.tell(Notice { priority, ..notice("VI_1", State::Backup, State::Active) });
    }
    notifier.finish(LONG).await;
    assert_eq!(script.lines(), ["3", "0", "4"]);
    let text = log.text();
    assert!(text.contains("`/bin/sh`: exit status 3: no"), "{text}");
    assert!(text.contains("`/bin/sh`: exit status 4: no"), "{text}");
    assert_eq!(text.matches("a notice was not told").count(), 2, "{text}");

    let command = vec!["/nonexistent/notify".to_owned()];
    for (user, what) in [
        (own_name(), "cannot start `/nonexistent/notify`: no such file or directory"),
        ("nosuchuser".to_owned(), "`user = \"nosuchuser\"` is not a user of this machine"),
    ] {
        let command = Some(NotifyCommand { command: command.clone(), user });
        let mut notifier = spawn(&Notify { command, ..Notify::default() }, "lb-01");
        notifier.tell(notice("VI_1", State::Backup, State::Active));
        notifier.finish(LONG).await;
        assert!(log.text().contains(what), "{}", log.text());
    }
}

#[tokio::test]
async fn without_a_way_to_tell_nothing_happens() {
    let mut notifier = spawn(&Notify::default(), "lb-01");
    notifier.tell(notice("VI_1", State::Backup, State::Active));
    notifier.finish(LONG).await;
}

#[tokio::test]
async fn the_end_waits_no_longer_than_it_is_told_to() {
    let (log, _guard) = Log::capture();
    let script = Script::new();
    let mut notifier = spawn(&script.config("echo $$ >> $OUT; sleep 600"), "lb-01");
    notifier.tell(notice("VI_1", State::Active, State::Init));
    eventually("it runs", || script.lines().len() == 1).await;
    notifier.finish(Duration::from_millis(1)).await;
    assert!(log.text().contains("some notices were not told"), "{}", log.text());
    let process = PathBuf::from(format!("/proc/{}", script.lines()[0]));
    eventually("it is killed", || !process.exists()).await;
}
