//! `[[vrrp]]` and `[notify]` taken apart.

use std::{net::IpAddr, time::Duration};

use super::{SMALLEST, assert_accepted};
use crate::{
    config::{
        Config, Endpoint, Url,
        notify::{Mail, Notify, NotifyCommand, Webhook},
        vrrp::{Authentication, Script, Secret, Track, Tracked, Unicast, VirtualAddress, Vrrp},
    },
    vrrp::Version,
};

/// Every key once, on known lines: the first is line 1, after `SMALLEST` it is 11.
pub(super) const ROUTERS: &str = r#"[[vrrp]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
version = 2
priority = 101
advert_interval = "3s"
addresses = ["10.0.0.50/24", "10.0.0.51"]
excluded_addresses = ["2001:db8::99/64"]
label = "eth0:vip"
preempt = true
preempt_delay = "5m"
unicast_source = "10.0.0.1"
unicast_peers = ["10.0.0.2", "10.0.0.3"]
check_source = false
authentication = { type = "ah", secret_file = "/etc/lb/vrrp.secret" }
sync_group = "VG_1"
[[vrrp.track]]
script = "/usr/bin/curl  -fs https://localhost/"
weight = -2
interval = "100ms"
timeout = "50ms"
rise = 3
fall = 10
user = "daemon"
[[vrrp.track]]
interface = "eth1"
weight = 253
[[vrrp.track]]
service = "api"

[[vrrp]]
name = "VI_6"
interface = "eth0"
virtual_router_id = 52
advert_interval = "10ms"
addresses = ["fe80::51", "2001:db8::50/64"]
sync_group = "VG_1"
[[vrrp.track]]
script = ["/bin/check it", "a b"]

[notify]
command = ["/etc/lb/notify.sh", "-v"]
user = "daemon"
[notify.mail]
server = "mail.example.com:587"
from = "lb@example.com"
to = ["ops@example.com", "dev@example.com"]
timeout = "7s"
[notify.webhook]
url = "https://hooks.example.com:8443/lb?x=1"
ca_file = "/etc/lb/ca.crt"
timeout = "2s"
attempts = 3
"#;

/// `SMALLEST` and `ROUTERS`, of the latter one piece replaced; the piece must be there once.
pub(super) fn routers(from: &str, to: &str) -> String {
    assert_eq!(ROUTERS.matches(from).count(), 1, "`{from}` must stand in ROUTERS once");
    format!("{SMALLEST}{}", ROUTERS.replacen(from, to, 1))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn held(text: &str, prefix: u8) -> VirtualAddress {
    VirtualAddress { address: address(text), prefix }
}

fn accepted(from: &str, to: &str) -> Config {
    assert_accepted(&routers(from, to))
}

#[test]
fn every_key_arrives_in_its_field() {
    let config = accepted("VI_1", "VI_1");
    let [v4, v6] = config.vrrp.as_slice() else { panic!("two instances") };
    let script = Script {
        command: vec!["/usr/bin/curl".into(), "-fs".into(), "https://localhost/".into()],
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(50),
        rise: 3,
        fall: 10,
        user: "daemon".into(),
    };
    assert_eq!(
        *v4,
        Vrrp {
            name: "VI_1".into(),
            interface: "eth0".into(),
            virtual_router_id: 51,
            version: Version::V2,
            priority: 101,
            advert_interval: Duration::from_secs(3),
            addresses: vec![held("10.0.0.50", 24), held("10.0.0.51", 32)],
            excluded_addresses: vec![held("2001:db8::99", 64)],
            label: Some("eth0:vip".into()),
            preempt: true,
            preempt_delay: Duration::from_secs(300),
            unicast: Some(Unicast {
                source: Some(address("10.0.0.1")),
                peers: vec![address("10.0.0.2"), address("10.0.0.3")],
                check_source: false,
            }),
            authentication: Authentication::Ah(Secret([0; 8])),
            sync_group: Some("VG_1".into()),
            tracks: vec![
                Track { what: Tracked::Script(script), weight: -2 },
                Track { what: Tracked::Interface("eth1".into()), weight: 253 },
                Track { what: Tracked::Service("api".into()), weight: 0 },
            ],
        }
    );
    assert_eq!(v6.advert_interval, Duration::from_millis(10));
    assert_eq!(v6.addresses, [held("fe80::51", 128), held("2001:db8::50", 64)]);
    assert_eq!(config.warnings, []);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = accepted("VI_1", "VI_1");
    let v6 = &config.vrrp[1];
    assert_eq!(v6.version, Version::V3);
    assert_eq!(v6.priority, 100);
    assert_eq!((v6.preempt, v6.preempt_delay), (true, Duration::ZERO));
    assert_eq!((&v6.unicast, &v6.authentication), (&None, &Authentication::None));
    assert_eq!((&v6.excluded_addresses, &v6.label), (&vec![], &None));
    let script = Script {
        command: vec!["/bin/check it".into(), "a b".into()],
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        user: "nobody".into(),
    };
    assert_eq!(v6.tracks, [Track { what: Tracked::Script(script), weight: 0 }]);
    let v4 = &accepted("advert_interval = \"3s\"\n", "").vrrp[0];
    assert_eq!(v4.advert_interval, Duration::from_secs(1));
    let v4 = &accepted("check_source = false\n", "").vrrp[0];
    assert!(v4.unicast.as_ref().expect("unicast").check_source);
    let quick = accepted("timeout = \"50ms\"\n", "");
    let Tracked::Script(script) = &quick.vrrp[0].tracks[0].what else { panic!("a script") };
    assert_eq!(script.timeout, Duration::from_millis(100), "as long as the interval");
    assert_eq!(assert_accepted(SMALLEST).notify, Notify::default());
    assert_eq!(assert_accepted(SMALLEST).vrrp, []);
}

#[test]
fn notices_go_where_the_file_says() {
    let config = accepted("VI_1", "VI_1");
    let server = Endpoint { host: "mail.example.com".into(), port: 587 };
    let url = Url {
        tls: true,
        endpoint: Endpoint { host: "hooks.example.com".into(), port: 8443 },
        authority: "hooks.example.com:8443".into(),
        path: "/lb?x=1".into(),
    };
    assert_eq!(
        config.notify,
        Notify {
            command: Some(NotifyCommand {
                command: vec!["/etc/lb/notify.sh".into(), "-v".into()],
                user: "daemon".into(),
            }),
            mail: Some(Mail {
                server,
                from: "lb@example.com".into(),
                to: vec!["ops@example.com".into(), "dev@example.com".into()],
                timeout: Duration::from_secs(7),
            }),
            webhook: Some(Webhook {
                url,
                ca_file: Some("/etc/lb/ca.crt".into()),
                timeout: Duration::from_secs(2),
                attempts: 3,
            }),
        }
    );
    let text = format!(
        "{SMALLEST}[notify]\ncommand = [\"/bin/true\"]\n[notify.mail]\nserver = \"10.0.0.25\"\n\
         from = \"a@b.example\"\nto = [\"c@d.example\"]\n[notify.webhook]\nurl = \"http://h.example\"\n"
    );
    let notify = assert_accepted(&text).notify;
    assert_eq!(notify.command.expect("a command").user, "nobody");
    let mail = notify.mail.expect("mail");
    assert_eq!(mail.server, Endpoint { host: "10.0.0.25".into(), port: 25 });
    assert_eq!(mail.timeout, Duration::from_secs(30));
    let webhook = notify.webhook.expect("a webhook");
    assert_eq!((webhook.ca_file, webhook.attempts), (None, 5));
    assert_eq!((webhook.url.path.as_str(), webhook.timeout), ("/", Duration::from_secs(5)));
}

#[test]
fn urls_and_servers() {
    let url = |text: &str| accepted("https://hooks.example.com:8443/lb?x=1", text).notify.webhook;
    for (text, host, port, authority, path) in [
        ("https://10.0.0.1", "10.0.0.1", 443, "10.0.0.1", "/"),
        ("https://[2001:db8::1]/a/b", "2001:db8::1", 443, "[2001:db8::1]", "/a/b"),
        ("https://[2001:db8::1]:1?q", "2001:db8::1", 1, "[2001:db8::1]:1", "/?q"),
    ] {
        let url = url(text).expect("a webhook").url;
        let endpoint = Endpoint { host: host.into(), port };
        let expected = Url { tls: true, endpoint, authority: authority.into(), path: path.into() };
        assert_eq!(url, expected, "{text}");
    }
    for (text, shown) in [
        ("localhost", "localhost:25"),
        ("2001:db8::25", "[2001:db8::25]:25"),
        ("[2001:db8::25]:587", "[2001:db8::25]:587"),
        ("mail_1.example", "mail_1.example:25"),
    ] {
        let mail = accepted("mail.example.com:587", text).notify.mail.expect("mail");
        assert_eq!(mail.server.to_string(), shown, "{text}");
    }
}

#[test]
fn unusual_and_right() {
    // One number per family, per interface, and per way of talking.
    accepted("virtual_router_id = 52", "virtual_router_id = 51");
    // The longest and the shortest of both versions.
    accepted("\"3s\"", "\"255s\"");
    accepted("\"10ms\"", "\"40950ms\"");
    accepted("\"10ms\"", "\"120ms\"");
    // Link-local addresses are one to each interface.
    let other = "[[vrrp]]\nname = \"VI_7\"\ninterface = \"eth9\"\nvirtual_router_id = 1\n\
                 addresses = [\"fe80::51\"]\n";
    assert_accepted(&format!("{}{other}", routers("VI_1", "VI_1")));
    accepted("type = \"ah\"", "type = \"pass\"");
    // Whoever owns the addresses may track with weight 0.
    accepted("addresses = [\"fe80::51\"", "priority = 255\naddresses = [\"fe80::51\"");
    let as_section = "[vrrp.authentication]\ntype = \"pass\"\nsecret_file = \"/etc/lb/s\"\n";
    let text =
        routers("authentication = { type = \"ah\", secret_file = \"/etc/lb/vrrp.secret\" }\n", "");
    let text = text.replacen("[[vrrp.track]]", &format!("{as_section}[[vrrp.track]]"), 1);
    assert_eq!(assert_accepted(&text).vrrp[0].authentication, Authentication::Pass(Secret([0; 8])));
}
