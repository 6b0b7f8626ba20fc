use std::{fs, net::Ipv4Addr, path::PathBuf};

use super::{ExecError, HttpError, Prober, ProberError, TlsError};
use crate::{
    config::{CheckKind, ClientCertificate, ExecCheck, HttpCheck, TlsCheck},
    health::{
        Target,
        test_server::{Authority, check},
    },
};

fn refusal(kind: CheckKind) -> ProberError {
    let target = Target { service: "s".to_owned(), backend: "b".to_owned() };
    match Prober::new(&target, &check(kind), Ipv4Addr::LOCALHOST.into(), 6443) {
        Ok(_prober) => panic!("accepted"),
        Err(error) => error,
    }
}

fn http(path: &str, host: Option<&str>) -> HttpCheck {
    HttpCheck { path: path.to_owned(), host: host.map(str::to_owned), expect: 200, body: None }
}

fn tls_refusal(tls: TlsCheck) -> TlsError {
    match refusal(CheckKind::Https(http("/", None), tls)) {
        ProberError::Tls(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_request_that_cannot_be_sent_is_refused() {
    assert!(matches!(
        refusal(CheckKind::Http(http("/a b", None))),
        ProberError::Http(HttpError::Path { path, .. }) if path == "/a b"
    ));
    assert!(matches!(
        refusal(CheckKind::Http(http("/", Some("a\nb")))),
        ProberError::Http(HttpError::Host { host, .. }) if host == "a\nb"
    ));
}

#[test]
fn every_bad_file_is_named() {
    let authority = Authority::new("kubernetes");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let tls =
        |ca_file: Option<PathBuf>, client| TlsCheck { sni: None, ca_file, client, insecure: false };
    assert!(matches!(tls_refusal(tls(None, None)), TlsError::NoAuthority));

    let missing = dir.path().join("missing.pem");
    assert!(matches!(
        tls_refusal(tls(Some(missing.clone()), None)),
        TlsError::Read { path, .. } if path == missing
    ));
    let empty = file("empty.pem", "# nothing\n");
    assert!(matches!(
        tls_refusal(tls(Some(empty.clone()), None)),
        TlsError::Pem { what: "certificate", path, .. } if path == empty
    ));
    let garbage = file("garbage.pem", garbage);
    assert!(matches!(
        tls_refusal(tls(Some(garbage.clone()), None)),
        TlsError::Authority { path, .. } if path == garbage
    ));

    let good = authority.client();
    let no_key = ClientCertificate { key_file: empty.clone(), ..good.clone() };
    assert!(matches!(
        tls_refusal(tls(Some(authority.file.clone()), Some(no_key))),
        TlsError::Pem { what: "private key", path, .. } if path == empty
    ));
    let stranger = Authority::new("stranger");
    let others_key = ClientCertificate { key_file: stranger.client().key_file, ..good.clone() };
    assert!(matches!(
        tls_refusal(tls(Some(authority.file.clone()), Some(others_key))),
        TlsError::Client { cert_file, .. } if cert_file == good.cert_file
    ));
}

#[test]
fn a_server_name_must_be_one() {
    let tls = TlsCheck { sni: Some("a b".to_owned()), ca_file: None, client: None, insecure: true };
    assert!(matches!(tls_refusal(tls), TlsError::ServerName { name } if name == "a b"));
}

#[test]
fn a_command_needs_a_program_and_a_user() {
    let exec = |command: &[&str], user: &str| {
        CheckKind::Exec(ExecCheck {
            command: command.iter().map(ToString::to_string).collect(),
            user: user.to_owned(),
        })
    };
    assert!(matches!(refusal(exec(&[], "root")), ProberError::Exec(ExecError::NoCommand)));
    assert!(matches!(
        refusal(exec(&["/bin/true"], "no-such-user")),
        ProberError::Exec(ExecError::NoUser { user }) if user == "no-such-user"
    ));
    if !nix::unistd::Uid::effective().is_root() {
        assert!(matches!(
            refusal(exec(&["/bin/true"], "root")),
            ProberError::Exec(ExecError::NotRoot { .. })
        ));
    }
}
