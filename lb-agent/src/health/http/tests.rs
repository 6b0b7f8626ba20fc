use std::{net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

use crate::{
    config::{CheckKind, HttpCheck},
    health::{
        Outcome, Target,
        probe::Prober,
        test_server::{OK, Reply, Server, check},
    },
};

mod https;

fn http_check() -> HttpCheck {
    HttpCheck { path: "/readyz?verbose".to_owned(), host: None, expect: 200, body: None }
}

fn with_body(text: &str) -> HttpCheck {
    HttpCheck { body: Some(text.to_owned()), ..http_check() }
}

fn target() -> Target {
    Target { service: "kube-apiserver".to_owned(), backend: "cp-01".to_owned() }
}

fn prober(address: SocketAddr, kind: CheckKind) -> Prober {
    Prober::new(&target(), &check(kind), address.ip(), address.port()).unwrap()
}

fn hasty(address: SocketAddr, kind: CheckKind) -> Prober {
    let check = crate::config::Check { timeout: Duration::from_millis(300), ..check(kind) };
    Prober::new(&target(), &check, address.ip(), address.port()).unwrap()
}

async fn ask(reply: Reply, http: HttpCheck) -> Outcome {
    let server = Server::start(None, reply).await;
    prober(server.address, CheckKind::Http(http)).probe().await
}

#[track_caller]
fn assert_passed(outcome: &Outcome) {
    assert_eq!((outcome.passed, outcome.reason.as_str()), (true, "200 OK"));
}

#[track_caller]
fn assert_failed(outcome: &Outcome, reason: &str) {
    assert_eq!((outcome.passed, outcome.reason.as_str()), (false, reason));
}

#[tokio::test]
async fn the_request_is_as_configured() {
    let server = Server::start(None, Reply::Answer(OK)).await;
    assert_passed(&prober(server.address, CheckKind::Http(http_check())).probe().await);
    let named = HttpCheck { host: Some("api.test".to_owned()), ..http_check() };
    assert_passed(&prober(server.address, CheckKind::Http(named)).probe().await);

    let requests = server.requests();
    let agent = concat!("user-agent: lb-agent/", env!("CARGO_PKG_VERSION"), "\r\n");
    for (request, host) in requests.iter().zip([server.address.to_string(), "api.test".to_owned()])
    {
        assert!(request.starts_with("GET /readyz?verbose HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {host}\r\n")), "{request}");
        assert!(request.contains(agent), "{request}");
        assert!(request.contains("accept: */*\r\n"), "{request}");
    }
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn the_status_decides() {
    let broken = Reply::Answer("HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n");
    assert_failed(&ask(broken, http_check()).await, "status 500 instead of 200");
    let expected = HttpCheck { expect: 500, ..http_check() };
    assert_eq!(ask(broken, expected).await.reason, "500 Internal Server Error");
}

#[tokio::test]
async fn the_body_is_searched() {
    assert_passed(&ask(Reply::Answer(OK), with_body("ok")).await);
    assert_passed(&ask(Reply::Answer(OK), with_body("")).await);
    let outcome = ask(Reply::Answer(OK), with_body("ready")).await;
    assert_failed(&outcome, "body does not contain `ready`");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n";
    assert_passed(&ask(Reply::Answer(chunked), with_body("ready")).await);
}

#[tokio::test]
async fn only_the_first_64_kib_are_searched() {
    for (padding, found) in [(65_536 - 5, true), (65_536 - 4, false), (200_000, false)] {
        let length = padding + 5;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}ready",
            "x".repeat(padding)
        );
        let outcome = ask(Reply::Answer(answer.leak()), with_body("ready")).await;
        assert_eq!(outcome.passed, found, "after {padding} bytes: {}", outcome.reason);
    }
}

#[tokio::test]
async fn silence_is_told_with_its_stage() {
    let server = Server::start(None, Reply::Silence).await;
    let outcome = hasty(server.address, CheckKind::Http(http_check())).probe().await;
    assert_failed(&outcome, "no answer within 300ms (waiting for the response)");
    assert!(outcome.latency >= Duration::from_millis(300));

    let server =
        Server::start(None, Reply::Answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")).await;
    let outcome = hasty(server.address, CheckKind::Http(with_body("ok"))).probe().await;
    assert_failed(&outcome, "no answer within 300ms (reading the body)");
}

#[tokio::test]
async fn a_full_backlog_is_no_answer_while_connecting() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100))
    {
        waiting.push(stream);
        assert!(waiting.len() < 10, "the backlog never fills");
    }
    for kind in [CheckKind::Tcp, CheckKind::Http(http_check())] {
        let outcome = hasty(address, kind).probe().await;
        assert_failed(&outcome, "no answer within 300ms (connecting)");
    }
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for kind in [CheckKind::Tcp, CheckKind::Http(http_check())] {
        assert_failed(&prober(address, kind).probe().await, "connection refused");
    }
}

#[tokio::test]
async fn an_answer_must_be_http_and_whole() {
    let outcome = ask(Reply::AnswerAndClose("220 mail.test ESMTP\r\n\r\n"), http_check()).await;
    assert!(outcome.reason.starts_with("the answer is not HTTP: "), "{}", outcome.reason);
    for (sent, reason) in [
        ("", "connection closed (waiting for the response)"),
        ("HTTP/1.1 200 OK\r\n", "connection closed (waiting for the response)"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot", "connection closed (reading the body)"),
    ] {
        assert_failed(&ask(Reply::AnswerAndClose(sent), with_body("ready")).await, reason);
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_renewed_in_time() {
    let server = Server::start(None, Reply::Answer(OK)).await;
    let mut prober = prober(server.address, CheckKind::Http(http_check()));
    for (checks, connections) in [(8, 1), (8, 2), (1, 3)] {
        for _ in 0..checks {
            assert_passed(&prober.probe().await);
        }
        assert_eq!(server.accepted(), connections, "knocks must not count either");
    }
    assert_eq!(server.requests().len(), 17);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_dialled_again() {
    let server = Server::start(None, Reply::Answer(OK)).await;
    let mut prober = prober(server.address, CheckKind::Http(http_check()));
    for connections in 1..=3 {
        assert_passed(&prober.probe().await);
        assert_eq!(server.accepted(), connections);
        server.close_connections().await;
    }
    let server = Server::start(None, Reply::AnswerAndClose(OK)).await;
    let mut prober = self::prober(server.address, CheckKind::Http(http_check()));
    for connections in 1..=3 {
        assert_passed(&prober.probe().await);
        assert_eq!(server.accepted(), connections);
    }
}

#[tokio::test]
async fn a_dead_listener_is_noticed_behind_a_live_connection() {
    let mut server = Server::start(None, Reply::Answer(OK)).await;
    let mut prober = prober(server.address, CheckKind::Http(http_check()));
    assert_passed(&prober.probe().await);
    server.stop_listening().await;
    for _ in 0..3 {
        assert_failed(&prober.probe().await, "connection refused");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_endless_body_costs_the_connection_and_nothing_else() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n";
    for reply in [Reply::Endless(head), Reply::Answer(head)] {
        let server = Server::start(None, reply).await;
        let mut prober = prober(server.address, CheckKind::Http(http_check()));
        for connections in 1..=3 {
            assert_passed(&prober.probe().await);
            assert_eq!(server.accepted(), connections);
        }
    }
}

#[tokio::test]
async fn an_endless_head_fails() {
    let outcome = ask(Reply::Endless("HTTP/1.1 200 OK\r\nx: y\r\nz: a"), http_check()).await;
    assert!(outcome.reason.starts_with("the answer is not HTTP: "), "{}", outcome.reason);
}
