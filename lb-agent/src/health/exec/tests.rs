use std::{fs, net::Ipv6Addr, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use tempfile::TempDir;

use crate::{
    config::{Check, CheckKind, ExecCheck},
    health::{Outcome, Target, probe::Prober, test_server::check},
    process::test_pair::{Pair, both_gone, gone, own_name, pids},
};

fn exec(command: &[&str], user: &str, timeout: Duration) -> Prober {
    let command = command.iter().map(ToString::to_string).collect();
    let kind = CheckKind::Exec(ExecCheck { command, user: user.to_owned() });
    let check = Check { timeout, ..check(kind) };
    let target = Target { service: "kube-apiserver".to_owned(), backend: "cp-01".to_owned() };
    Prober::new(&target, &check, Ipv6Addr::LOCALHOST.into(), 6443).unwrap()
}

async fn run(command: &[&str]) -> Outcome {
    exec(command, &own_name(), Duration::from_secs(20)).probe().await
}

async fn shell(script: &str) -> Outcome {
    run(&["/bin/sh", "-c", script]).await
}

#[tokio::test]
async fn the_exit_status_decides_and_the_first_line_explains() {
    for (script, passed, reason) in [
        ("exit 0", true, "exit status 0"),
        ("echo; echo '  leader: yes '; echo more", true, "exit status 0: leader: yes"),
        ("echo no quorum >&2; exit 3", false, "exit status 3: no quorum"),
        ("kill -SEGV $$", false, "killed by SIGSEGV"),
        ("printf '\\033[31mred'; exit 1", false, "exit status 1: \u{fffd}[31mred"),
        ("printf '\\377'; exit 1", false, "exit status 1: \u{fffd}"),
    ] {
        let outcome = shell(script).await;
        assert_eq!((outcome.passed, outcome.reason.as_str()), (passed, reason), "{script}");
    }
}

#[tokio::test]
async fn output_is_bounded_and_never_blocks_the_command() {
    let outcome = shell("head -c 1000000 /dev/zero | tr '\\0' 'é'; exit 1").await;
    assert_eq!(outcome.reason.len(), "exit status 1: ".len() + 200 - 200 % "\u{fffd}".len());
    let outcome = shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 1").await;
    assert_eq!(outcome.reason, format!("exit status 1: {}", "x".repeat(200)));
}

#[tokio::test]
async fn a_command_that_cannot_start_fails() {
    let outcome = run(&["/nonexistent/check"]).await;
    assert!(!outcome.passed);
    assert_eq!(outcome.reason, "cannot start `/nonexistent/check`: no such file or directory");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("check.sh");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    let outcome = run(&[file.to_str().unwrap()]).await;
    assert_eq!(outcome.reason, format!("cannot start `{}`: permission denied", file.display()));
}

#[tokio::test]
async fn the_environment_is_all_ours() {
    let outcome = shell("tr '\\0' ' ' < /proc/$$/environ").await;
    let (_status, environment) = outcome.reason.split_once(": ").unwrap();
    let mut variables: Vec<&str> = environment.split(' ').collect();
    variables.sort_unstable();
    assert_eq!(
        variables,
        [
            "LB_BACKEND=cp-01",
            "LB_BACKEND_ADDRESS=::1",
            "LB_BACKEND_PORT=6443",
            "LB_SERVICE=kube-apiserver",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    );
}

#[tokio::test]
async fn it_runs_in_the_root_directory_as_leader_of_its_own_group_without_input() {
    let outcome =
        shell("read -r _ && exit 9; echo $(pwd) $(( $(cut -d' ' -f5 /proc/$$/stat) - $$ ))").await;
    assert_eq!(outcome.reason, "exit status 0: / 0");
}

#[tokio::test]
async fn it_runs_as_the_user_named_and_in_no_group_of_root() {
    if !Uid::effective().is_root() {
        println!("skipped: only root can become nobody");
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let script = "echo $(id -ru) $(id -u) $(id -rg) $(id -g) $(id -G)";
    let command = ["/bin/sh", "-c", script];
    let outcome = exec(&command, "nobody", Duration::from_secs(20)).probe().await;
    let (uid, gid) = (nobody.uid, nobody.gid);
    assert_eq!(outcome.reason, format!("exit status 0: {uid} {uid} {gid} {gid} {gid}"));
}

#[tokio::test]
async fn on_timeout_the_whole_group_dies() {
    let pair = Pair::new();
    let command = ["/bin/sh", "-c", &pair.script];
    let outcome = exec(&command, &own_name(), Duration::from_secs(3)).probe().await;
    assert!(!outcome.passed);
    assert_eq!(outcome.reason, "no answer within 3s (running the command)");
    both_gone(pids(&pair.file())).await;
}

#[tokio::test]
async fn dropping_the_check_kills_the_whole_group() {
    let pair = Pair::new();
    let command = ["/bin/sh", "-c", &pair.script];
    let mut prober = exec(&command, &own_name(), Duration::from_secs(600));
    let running = tokio::select! {
        outcome = prober.probe() => panic!("ended: {}", outcome.reason),
        running = pair.running() => running,
    };
    both_gone(running).await;
}

#[tokio::test]
async fn a_child_left_behind_does_not_hold_up_the_outcome() {
    let outcome = shell("sleep 600 & echo $!").await;
    let child = outcome.reason.strip_prefix("exit status 0: ").unwrap().parse().unwrap();
    assert!(!gone(child));
    kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
}
