use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::{Notify, mpsc};

use super::{SPREAD, Schedule, run};
use crate::{
    config::{Check, CheckKind, ExecCheck},
    health::{
        Report, Target,
        probe::Prober,
        test_server::{OK, Reply, Server, check},
        tracker::Tracker,
    },
    process::test_pair::{Pair, both_gone, own_name},
};

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(1);

fn schedule(interval: Duration, fast_interval: Duration, down_interval: Duration) -> Schedule {
    Schedule { interval, fast_interval, down_interval, rise: 2, fall: 3 }
}

fn target(number: u32) -> Target {
    Target { service: "kube-apiserver".to_owned(), backend: format!("cp-{number:02}") }
}

fn prober(address: SocketAddr, kind: CheckKind) -> Prober {
    let check = Check { timeout: Duration::from_secs(60), ..check(kind) };
    Prober::new(&target(1), &check, address.ip(), address.port()).unwrap()
}

async fn next(reports: &mut mpsc::Receiver<Report>) -> Report {
    tokio::time::timeout(Duration::from_secs(30), reports.recv()).await.unwrap().unwrap()
}

#[test]
fn the_wait_follows_the_state() {
    let seconds = Duration::from_secs;
    let schedule = schedule(seconds(10), seconds(1), seconds(5));
    let mut tracker = Tracker::new(2, 3);
    assert_eq!(schedule.wait(&tracker), seconds(1));
    let waits: Vec<u64> = "-++-+---+-++"
        .chars()
        .map(|outcome| {
            let _transition = tracker.observe(outcome == '+');
            schedule.wait(&tracker).as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 10, 10, 1, 10, 1, 1, 5, 1, 5, 1, 10]);
}

#[test]
fn first_checks_are_spread_but_never_late() {
    let slow = schedule(NEVER, NEVER, NEVER);
    let quick = schedule(SOON, SOON, SOON);
    let waits: Vec<Duration> = (0..100).map(|number| slow.first_wait(&target(number))).collect();
    assert!(waits.iter().all(|&wait| wait < SPREAD));
    assert!((0..100).all(|number| quick.first_wait(&target(number)) < SOON));
    for tenth in 0..10 {
        let (from, to) = (SPREAD * tenth / 10, SPREAD * (tenth + 1) / 10);
        assert!(waits.iter().any(|&wait| wait >= from && wait < to), "none in tenth {tenth}");
    }
    assert_eq!(slow.first_wait(&target(7)), slow.first_wait(&target(7)));
}

#[tokio::test]
async fn it_hurries_until_settled_then_waits_for_a_notification() {
    let mut server = Server::start(None, Reply::Answer(OK)).await;
    server.stop_listening().await;
    let (sender, mut reports) = mpsc::channel(16);
    let check_now = Arc::new(Notify::new());
    let prober = prober(server.address, CheckKind::Tcp);
    let schedule = schedule(NEVER, SOON, NEVER);
    let task = tokio::spawn(run(target(1), prober, schedule, sender, Arc::clone(&check_now)));

    for _ in 0..3 {
        let report = next(&mut reports).await;
        assert_eq!((report.target, report.outcome.passed), (target(1), false));
        assert_eq!(report.outcome.reason, "connection refused");
    }
    // Down and settled: each further check is one that was asked for.
    for _ in 0..3 {
        check_now.notify_one();
        assert!(!next(&mut reports).await.outcome.passed);
    }
    drop(reports);
    tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_goes_on_at_its_interval_while_up() {
    let server = Server::start(None, Reply::Answer(OK)).await;
    let (sender, mut reports) = mpsc::channel(1);
    let prober = prober(server.address, CheckKind::Tcp);
    let task = tokio::spawn(run(
        target(1),
        prober,
        schedule(SOON, NEVER, NEVER),
        sender,
        Arc::new(Notify::new()),
    ));
    for _ in 0..10 {
        let report = next(&mut reports).await;
        assert_eq!(report.outcome.reason, "connection accepted");
    }
    task.abort();
}

#[tokio::test]
async fn aborting_or_losing_the_receiver_kills_a_running_command() {
    for abort in [true, false] {
        let pair = Pair::new();
        let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), pair.script.clone()];
        let kind = CheckKind::Exec(ExecCheck { command, user: own_name() });
        let prober = prober("127.0.0.1:1".parse().unwrap(), kind);
        let (sender, reports) = mpsc::channel(1);
        let task = tokio::spawn(run(
            target(1),
            prober,
            schedule(NEVER, NEVER, NEVER),
            sender,
            Arc::new(Notify::new()),
        ));
        let running = pair.running().await;
        if abort {
            task.abort();
        } else {
            drop(reports);
        }
        both_gone(running).await;
    }
}
