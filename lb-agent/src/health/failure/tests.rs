use std::io;

use nix::libc;
use rustls::{AlertDescription, CertificateError};

use super::{Failure, Stage};

#[test]
fn socket_errors_are_told_in_words() {
    for (code, stage, words) in [
        (libc::ECONNREFUSED, Stage::Connecting, "connection refused"),
        (libc::EHOSTUNREACH, Stage::Connecting, "no route to host"),
        (libc::ENETUNREACH, Stage::Connecting, "network is unreachable"),
        (libc::EPERM, Stage::Connecting, "operation not permitted"),
        (libc::ECONNRESET, Stage::Handshake, "connection reset (TLS handshake)"),
        (libc::EPIPE, Stage::Response, "connection closed (waiting for the response)"),
    ] {
        let failure = Failure::io(stage, "", io::Error::from_raw_os_error(code));
        assert_eq!(failure.to_string(), words);
    }
}

#[test]
fn tls_errors_are_found_inside_socket_errors() {
    for (error, words) in [
        (
            rustls::Error::InvalidCertificate(CertificateError::NotValidForName),
            "certificate not valid for `api.test`",
        ),
        (
            rustls::Error::InvalidCertificate(CertificateError::NotValidYet),
            "certificate not valid yet",
        ),
        (rustls::Error::InvalidCertificate(CertificateError::Revoked), "bad certificate: Revoked"),
        (
            rustls::Error::AlertReceived(AlertDescription::BadCertificate),
            "the server refuses our client certificate, or demands one",
        ),
        (
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
            "the server ended TLS with the alert ProtocolVersion",
        ),
    ] {
        let failure = Failure::io(Stage::Handshake, "api.test", io::Error::other(error));
        assert_eq!(failure.to_string(), words);
    }
}
