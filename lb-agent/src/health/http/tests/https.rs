use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{assert_failed, assert_passed, hasty, http_check, prober};
use crate::{
    config::{CheckKind, TlsCheck},
    health::test_server::{Authority, OK, Reply, Server},
};

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

fn trusting(authority: &Authority) -> TlsCheck {
    TlsCheck { sni: None, ca_file: Some(authority.file.clone()), client: None, insecure: false }
}

fn https(tls: TlsCheck) -> CheckKind {
    CheckKind::Https(http_check(), tls)
}

async fn reason(address: SocketAddr, tls: TlsCheck) -> String {
    prober(address, https(tls)).probe().await.reason
}

#[tokio::test]
async fn a_certificate_is_known_by_address_or_name() {
    let authority = Authority::new("kubernetes");
    let server =
        Server::start(Some(authority.server(&["127.0.0.1", "api.test"])), Reply::Answer(OK)).await;
    let by_address = trusting(&authority);
    let by_name = TlsCheck { sni: Some("api.test".to_owned()), ..by_address.clone() };
    for tls in [by_address, by_name] {
        assert_passed(&prober(server.address, https(tls)).probe().await);
    }
}

#[tokio::test]
async fn a_tls_connection_is_kept_too() {
    let authority = Authority::new("kubernetes");
    let server = Server::start(Some(authority.server(&["127.0.0.1"])), Reply::Answer(OK)).await;
    let mut prober = prober(server.address, https(trusting(&authority)));
    for _ in 0..8 {
        assert_passed(&prober.probe().await);
    }
    assert_eq!(server.accepted(), 1);
    server.close_connections().await;
    assert_passed(&prober.probe().await);
    assert_eq!((server.accepted(), server.resumed()), (2, 0), "each connection is verified");
}

#[tokio::test]
async fn a_bad_certificate_fails_unless_insecure() {
    let (authority, stranger) = (Authority::new("kubernetes"), Authority::new("stranger"));
    let namesake = Authority::new("kubernetes");
    let trust = trusting(&authority);
    let misnamed = TlsCheck { sni: Some("other.test".to_owned()), ..trust.clone() };
    let address: &[&str] = &["127.0.0.1"];
    for (config, tls, words) in [
        (stranger.server(address), trust.clone(), "unknown certificate authority"),
        (
            namesake.server(address),
            trust.clone(),
            "unknown certificate authority (a known one has its name, but another key)",
        ),
        (authority.server(&["api.test"]), trust.clone(), "certificate not valid for `127.0.0.1`"),
        (authority.server(address), misnamed, "certificate not valid for `other.test`"),
        (authority.expired_server(address), trust, "certificate expired"),
    ] {
        let server = Server::start(Some(config), Reply::Answer(OK)).await;
        assert_eq!(reason(server.address, tls.clone()).await, words);
        let careless = TlsCheck { insecure: true, ca_file: None, ..tls };
        assert_passed(&prober(server.address, https(careless)).probe().await);
    }
}

#[tokio::test]
async fn insecure_works_with_both_versions_of_tls() {
    let authority = Authority::new("kubernetes");
    for versions in VERSIONS {
        let config = authority.demanding_server(&["127.0.0.1"], versions);
        let server = Server::start(Some(config), Reply::Answer(OK)).await;
        let client = Some(authority.client());
        let tls = TlsCheck { sni: None, ca_file: None, client, insecure: true };
        assert_passed(&prober(server.address, https(tls)).probe().await);
    }
}

#[tokio::test]
async fn a_demanded_client_certificate_is_shown_or_missed_in_words() {
    let (authority, stranger) = (Authority::new("kubernetes"), Authority::new("stranger"));
    for versions in VERSIONS {
        let config = authority.demanding_server(&["127.0.0.1"], versions);
        let server = Server::start(Some(config), Reply::Answer(OK)).await;
        let bare = trusting(&authority);
        assert_eq!(
            reason(server.address, bare.clone()).await,
            "the server demands a client certificate"
        );
        let strange = TlsCheck { client: Some(stranger.client()), ..bare.clone() };
        assert_eq!(
            reason(server.address, strange).await,
            "the server does not know the authority of our client certificate"
        );
        let known = TlsCheck { client: Some(authority.client()), ..bare };
        assert_passed(&prober(server.address, https(known)).probe().await);
    }
}

#[tokio::test]
async fn silence_in_the_handshake_is_told() {
    let authority = Authority::new("kubernetes");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outcome = hasty(address, https(trusting(&authority))).probe().await;
    assert_failed(&outcome, "no answer within 300ms (TLS handshake)");
}

#[tokio::test]
async fn a_server_without_tls_is_recognized() {
    let authority = Authority::new("kubernetes");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let greeting = tokio::spawn(async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.test ESMTP\r\n").await.unwrap();
        stream
    });
    assert_eq!(reason(address, trusting(&authority)).await, "the server does not speak TLS");
    drop(greeting.await.unwrap());
}
