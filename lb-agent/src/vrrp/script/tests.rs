use std::{collections::BTreeMap, path::Path};

use nix::unistd::Uid;
use tempfile::TempDir;

use super::*;
use crate::{
    config::vrrp::{Authentication, Track},
    process::test_pair::{Pair, both_gone, own_name},
    vrrp::Version,
};

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(10);
/// More than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn script(command: &[&str], user: &str, interval: Duration, timeout: Duration) -> Track {
    let command = command.iter().map(ToString::to_string).collect();
    let user = user.to_owned();
    let script = Script { command, interval, timeout, rise: 1, fall: 1, user };
    Track { what: Tracked::Script(script), weight: 0 }
}

fn shell(text: &str, interval: Duration, timeout: Duration) -> Track {
    script(&["/bin/sh", "-c", text], &own_name(), interval, timeout)
}

fn router(name: &str, tracks: Vec<Track>) -> Vrrp {
    Vrrp {
        name: name.to_owned(),
        interface: "eth0".to_owned(),
        virtual_router_id: 1,
        version: Version::V3,
        priority: 100,
        advert_interval: Duration::from_secs(1),
        addresses: Vec::new(),
        excluded_addresses: Vec::new(),
        label: None,
        preempt: true,
        preempt_delay: Duration::ZERO,
        unicast: None,
        authentication: Authentication::None,
        sync_group: None,
        tracks,
    }
}

fn start(routers: &[Vrrp]) -> (Scripts, mpsc::Receiver<ScriptReport>) {
    let (sender, reports) = mpsc::channel(1);
    (Scripts::start(routers, &sender), reports)
}

async fn next(reports: &mut mpsc::Receiver<ScriptReport>) -> ScriptReport {
    tokio::time::timeout(LONG, reports.recv()).await.expect("in time").expect("a report")
}

/// The first result of the only script of an instance called `VI_1`.
async fn result(track: Track) -> (bool, String) {
    let (_scripts, mut reports) = start(&[router("VI_1", vec![track])]);
    let report = next(&mut reports).await;
    (report.passed, report.reason)
}

#[tokio::test]
async fn every_script_of_every_instance_is_run_and_told_apart() {
    let say = |status| shell(&format!("echo $LB_VRRP_INSTANCE; exit {status}"), NEVER, LONG);
    let link = Track { what: Tracked::Interface("eth1".to_owned()), weight: 0 };
    let routers = [router("VI_1", vec![say(0), link, say(1)]), router("VI_6", vec![say(2)])];
    let (_scripts, mut reports) = start(&routers);
    let mut seen = BTreeMap::new();
    while seen.len() < 3 {
        let ScriptReport { instance, track, passed, reason } = next(&mut reports).await;
        assert_eq!(seen.insert((instance, track), (passed, reason)), None, "once in an hour");
    }
    let expected = [
        (("VI_1", 0), (true, "exit status 0: VI_1")),
        (("VI_1", 2), (false, "exit status 1: VI_1")),
        (("VI_6", 0), (false, "exit status 2: VI_6")),
    ];
    let expected = expected.map(|((instance, track), (passed, reason))| {
        ((instance.to_owned(), track), (passed, reason.to_owned()))
    });
    assert_eq!(seen, BTreeMap::from(expected));
}

#[tokio::test]
async fn what_cannot_be_run_has_failed() {
    let missing = script(&["/nonexistent/check"], &own_name(), NEVER, LONG);
    let reason = "cannot start `/nonexistent/check`: no such file or directory";
    assert_eq!(result(missing).await, (false, reason.to_owned()));
    let nobody = script(&["/bin/true"], "nosuchuser", NEVER, LONG);
    let reason = "`user = \"nosuchuser\"` is not a user of this machine";
    assert_eq!(result(nobody).await, (false, reason.to_owned()));
}

#[tokio::test]
async fn it_runs_as_the_user_named() {
    if !Uid::effective().is_root() {
        println!("skipped: only root can become nobody");
        return;
    }
    let who = script(&["/usr/bin/id", "-un"], "nobody", NEVER, LONG);
    assert_eq!(result(who).await, (true, "exit status 0: nobody".to_owned()));
}

#[tokio::test]
async fn runs_follow_each_other_and_never_overlap() {
    let dir = TempDir::new().unwrap();
    let lock = dir.path().join("lock").display().to_string();
    // Each takes longer than the interval.
    let text = format!("mkdir {lock} || exit 1; sleep 0.05; rmdir {lock}");
    let (_scripts, mut reports) = start(&[router("VI_1", vec![shell(&text, SOON, LONG)])]);
    for _ in 0..10 {
        let report = next(&mut reports).await;
        assert!(report.passed, "{}", report.reason);
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails_and_dies_with_its_children() {
    let pair = Pair::new();
    let timeout = Duration::from_secs(2);
    let (_scripts, mut reports) =
        start(&[router("VI_1", vec![shell(&pair.script, NEVER, timeout)])]);
    let running = pair.running().await;
    let report = next(&mut reports).await;
    assert_eq!((report.passed, report.reason.as_str()), (false, "still running after 2s"));
    both_gone(running).await;
}

#[tokio::test]
async fn a_script_is_run_again_after_a_failure() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("there");
    let text = format!("test -e {}", file.display());
    let (_scripts, mut reports) = start(&[router("VI_1", vec![shell(&text, SOON, LONG)])]);
    assert!(!next(&mut reports).await.passed);
    std::fs::write(&file, "").unwrap();
    while !next(&mut reports).await.passed {}
}

#[tokio::test]
async fn dropping_the_scripts_or_the_receiver_kills_what_runs() {
    for drop_receiver in [true, false] {
        let pair = Pair::new();
        let (scripts, reports) = start(&[router("VI_1", vec![shell(&pair.script, NEVER, LONG)])]);
        let running = pair.running().await;
        assert!(Path::new(&format!("/proc/{}", running[0])).exists());
        if drop_receiver {
            drop(reports);
            both_gone(running).await;
        } else {
            drop(scripts);
            both_gone(running).await;
            drop(reports);
        }
    }
}
