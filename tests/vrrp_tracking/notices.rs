//! Programs and a webhook that are told of changes.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use lb_tests::{
    lab::{Host, topology},
    routers::{Routers, Table, config, lab, text},
    wait::{SOON, wait_until},
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Where the webhook listens on each node.
const PORT: u16 = 8099;

type Posts = Arc<Mutex<Vec<Value>>>;

/// Takes one request after the other on the host's loopback; the first is answered with 503. The
/// thread ends with the test program.
fn sink(host: &Host) -> Posts {
    let posts = Posts::default();
    let taken = Arc::clone(&posts);
    let listener = host.in_netns(|| TcpListener::bind(("127.0.0.1", PORT)).unwrap()).unwrap();
    std::thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let mut connection = connection.unwrap();
            let body = request(&connection);
            let status = if number == 0 { "503 Service Unavailable" } else { "204 No Content" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            if number > 0 {
                taken.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            }
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    posts
}

fn request(connection: &std::net::TcpStream) -> String {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// A program that writes down what it is called with.
fn scribe(dir: &Path) -> (PathBuf, PathBuf) {
    let (program, file) = (dir.join("notify.sh"), dir.join("notified"));
    let text =
        format!("#!/bin/sh\necho \"$* from $LB_OLD_STATE on $LB_NODE\" >> {}\n", file.display());
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (program, file)
}

#[test]
fn programs_and_webhooks_are_told_of_every_change() {
    let (vip, vip6) = (topology::vip4(1), topology::vip6(1));
    let lab = lab().unwrap();
    let (program, file) = scribe(&lab.dir());
    let posts = sink(lab.lb(1));
    let tables = |four: u8, six: u8| {
        [
            Table::new(four, vip).line("sync_group = \"G\""),
            Table::new(six, vip6).named("VI_6", 51).line("sync_group = \"G\""),
        ]
    };
    let mut own = config(&lab, 1, vip, &[]);
    own.tail = format!(
        "\n[notify]\ncommand = [{program:?}, \"said\"]\nuser = \"root\"\n[notify.webhook]\n\
         url = \"http://127.0.0.1:{PORT}/lb\"\n{}",
        text(&tables(101, 101))
    );
    let configs = vec![own, config(&lab, 2, vip, &tables(100, 100))];
    let mut routers = Routers::start(lab, vip, configs).unwrap();
    let told =
        |line: &str| fs::read_to_string(&file).unwrap_or_default().lines().any(|told| told == line);
    let wait_told = |lines: &[&str]| {
        for line in lines {
            let what = format!("`{line}` to be told");
            wait_until(&what, SOON, || told(line))
                .map_err(|error| error.context(fs::read_to_string(&file).unwrap_or_default()))
                .unwrap();
        }
    };
    wait_told(&[
        "said INSTANCE VI_1 BACKUP 101 from init on lb-01",
        "said INSTANCE VI_6 BACKUP 101 from init on lb-01",
        "said GROUP G BACKUP 0 from init on lb-01",
        "said INSTANCE VI_1 MASTER 101 from backup on lb-01",
        "said INSTANCE VI_6 MASTER 101 from backup on lb-01",
        "said GROUP G MASTER 0 from backup on lb-01",
    ]);
    let posted = |name: &str, new: &str| {
        let what = format!("`{name}` {new} to be posted");
        wait_until(&what, SOON, || {
            let posts = posts.lock().unwrap();
            posts.iter().any(|post| post["name"] == name && post["new"] == new)
        })
        .unwrap();
        let posts = posts.lock().unwrap();
        posts.iter().find(|post| post["name"] == name && post["new"] == new).unwrap().clone()
    };
    let post = posted("VI_1", "active");
    assert_eq!(post["keepalived_state"], "MASTER");
    assert_eq!((&post["node"], &post["kind"]), (&"lb-01".into(), &"instance".into()));
    assert_eq!((&post["old"], &post["priority"]), (&"backup".into(), &101.into()));
    assert_eq!(posted("G", "active")["kind"], "group");

    // Its last words are not lost.
    routers.agents[0].kill(Signal::SIGTERM).unwrap();
    assert!(routers.agents[0].wait(SOON).unwrap().success());
    for line in [
        "said INSTANCE VI_1 STOP 101 from active on lb-01",
        "said INSTANCE VI_6 STOP 101 from active on lb-01",
        "said GROUP G STOP 0 from active on lb-01",
    ] {
        assert!(told(line), "{line} is not in\n{}", fs::read_to_string(&file).unwrap());
    }
    posted("VI_1", "init");
    posted("G", "init");
    routers.wait_owner(1).unwrap();
}
