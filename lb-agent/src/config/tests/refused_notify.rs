//! What is refused in `[notify]`: line, value and cure.

use lettre::Address;
use proptest::prelude::*;

use super::{refused_vrrp::refused, vrrp::routers};
use crate::config::form::Form;

#[test]
fn keys() {
    refused(
        "attempts = 3",
        "atempts = 3",
        54,
        "unknown key `atempts` in `[notify.webhook]`",
        "did you mean `attempts`?",
    );
    for (from, key, line, section, example) in [
        (
            "server = \"mail.example.com:587\"\n",
            "server",
            45,
            "`[notify.mail]`",
            "server = \"mail.example.com\"",
        ),
        ("from = \"lb@example.com\"\n", "from", 45, "`[notify.mail]`", "from = \"lb@example.com\""),
        (
            "to = [\"ops@example.com\", \"dev@example.com\"]\n",
            "to",
            45,
            "`[notify.mail]`",
            "to = [\"ops@example.com\"]",
        ),
        (
            "url = \"https://hooks.example.com:8443/lb?x=1\"\n",
            "url",
            50,
            "`[notify.webhook]`",
            "url = \"https://hooks.example.com/lb\"",
        ),
    ] {
        let what = format!("`{key}` is missing in {section}");
        refused(from, "", line, &what, &format!("add `{example}`"));
    }
}

#[test]
fn values() {
    refused(
        "command = [\"/etc/lb/notify.sh\", \"-v\"]\n",
        "",
        43,
        "`user` stands without `command`",
        "add `command`, or take `user` out",
    );
    refused(
        "command = [\"/etc/lb/notify.sh\", \"-v\"]",
        "command = \"/etc/lb/notify.sh\"",
        43,
        "`command` is `\"/etc/lb/notify.sh\"`, not a list of strings",
        "write a list of strings: `command = [\"…\", \"…\"]`",
    );
    refused(
        "attempts = 3",
        "attempts = 21",
        54,
        "`attempts` is `21`, outside 1..=20",
        "write a whole number from 1 to 20",
    );
    refused(
        "\"2s\"",
        "\"2\"",
        53,
        "`timeout` is `2`, a duration without a unit",
        "write the unit: `timeout = \"2s\"` or `timeout = \"2ms\"`",
    );
    refused(
        "https://hooks.example.com:8443",
        "http://hooks.example.com:8443",
        52,
        "`ca_file` stands beside a `url` without TLS, and would not be used",
        "write `https://` in `url`, or take `ca_file` out",
    );
}

#[test]
fn addresses_of_mail() {
    for value in [
        "",
        "ops",
        "@example.com",
        "ops@",
        "ops@@example.com",
        "Ops <ops@example.com>",
        "o ps@example.com",
        ".ops@example.com",
        "o..ps@example.com",
        "ops@10.0.0.1",
        "ops@-example.com",
        "ops@example..com",
    ] {
        let rule = "write the bare address: `ops@example.com`";
        let what = format!("`from` is `{value}`, which is not a mail address");
        refused("lb@example.com", value, 47, &what, rule);
        let what = format!("`to` is `{value}`, which is not a mail address");
        refused("dev@example.com", value, 48, &what, rule);
    }
    refused(
        "dev@example.com",
        "ops@example.com",
        48,
        "recipient `ops@example.com` is already used on line 58",
        "give each recipient once",
    );
}

#[test]
fn servers_and_urls() {
    for value in [
        "",
        ":25",
        "mail:",
        "mail:0",
        "mail:65536",
        "mail:+25",
        "[10.0.0.1]:25",
        "[2001:db8::1",
        "[2001:db8::1]25",
        "2001:db8::1::25",
        "ma il",
        "10.0.0.256",
        "smtp://mail",
    ] {
        refused(
            "mail.example.com:587",
            value,
            46,
            &format!("`server` is `{value}`, which is not a mail server"),
            "write a name or an address, with `:PORT` unless it is 25; IPv6 with a port in \
             brackets: `[2001:db8::25]:587`",
        );
    }
    for value in [
        "",
        "hooks.example.com",
        "ftp://h.example/",
        "HTTPS://h.example/",
        "https://",
        "https:///path",
        "https://user:pass@h.example/",
        "https://h.example/a b",
        "https://h.example/#a",
        "https://h.example:0/",
        "https://2001:db8::1/",
    ] {
        refused(
            "https://hooks.example.com:8443/lb?x=1",
            value,
            51,
            &format!("`url` is `{value}`, which is not a URL of `http` or `https`"),
            "write `http://` or `https://`, a name or an address, a port if need be, and a path: \
             `https://hooks.example.com/lb`",
        );
    }
    assert!(super::parsed(&routers("VI_1", "VI_1")).is_ok());
}

proptest! {
    /// What the configuration lets pass, the sender takes.
    #[test]
    fn no_accepted_address_is_refused_later(
        text in prop_oneof!["[a-z.!#$%'*+=?^_`{|}~-]{1,9}@[a-z0-9._-]{1,12}", any::<String>()],
    ) {
        if Form::MailAddress.accepts(&text) {
            prop_assert!(text.parse::<Address>().is_ok(), "{text}");
        }
    }

    #[test]
    fn no_accepted_url_is_refused_later(text in "https?://[a-z0-9:.@\\[\\]-]{1,9}[/?][ -~]{0,9}") {
        if let Some(url) = crate::config::endpoint::url(&text) {
            prop_assert!(url.path.parse::<hyper::Uri>().is_ok(), "{text}");
            prop_assert!(hyper::header::HeaderValue::from_str(&url.authority).is_ok(), "{text}");
        }
    }
}
