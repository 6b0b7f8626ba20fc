//! One valid file, taken apart; the room's other tests break it.

use std::{path::Path, time::Duration};

use super::*;

mod machine;
mod random;
mod refused;
mod refused_check;
mod refused_notify;
mod refused_service;
mod refused_track;
mod refused_vrrp;
mod vrrp;
mod warnings;

/// Every key once, on known lines.
pub(super) const FULL: &str = r#"[node]
name = "lb-01"
interfaces = ["eth0", "eth1"]
xdp_mode = "native"
pin_dir = "/sys/fs/bpf/test"
admin_socket = "/run/test.sock"
max_connections = 1000

[[service]]
name = "kube-apiserver"
vip = "10.0.0.50"
port = 6443
protocol = "tcp"
mode = "nat"
affinity = "client"
on_backend_down = "keep"
when_no_backend = "try-all"
[service.check]
type = "https"
path = "/readyz?verbose"
expect = 204
body = "ok"
host = "api.example"
sni = "kubernetes"
ca_file = "/etc/lb/ca.crt"
client_cert = "/etc/lb/client.crt"
client_key = "/etc/lb/client.key"
interval = "3s"
fast_interval = "500ms"
down_interval = "1m"
timeout = "1500ms"
rise = 4
fall = 5
port = 8080
[[service.backend]]
name = "cp-01"
address = "10.0.0.11"
port = 7443
weight = 256
[[service.backend]]
name = "cp-02"
address = "10.0.0.12"

[[service]]
name = "dns"
vip = "2001:db8::50"
port = 53
protocol = "udp"
[service.check]
type = "exec"
command = ["/usr/bin/dig", "+short"]
user = "daemon"
[[service.backend]]
name = "cp-01"
address = "2001:db8::11"
weight = 0
"#;

pub(super) fn parsed(text: &str) -> Result<Config, Errors> {
    parse(Path::new("lb.toml"), text, "this-host")
}

/// `FULL` with one piece replaced; the piece must be there exactly once.
pub(super) fn changed(from: &str, to: &str) -> String {
    assert_eq!(FULL.matches(from).count(), 1, "`{from}` must stand in FULL once");
    FULL.replacen(from, to, 1)
}

/// The only problem of `text`, as it is printed.
#[track_caller]
pub(super) fn assert_refused(text: &str, printed: &str) {
    let errors = parsed(text).expect_err("the text is refused");
    assert_eq!(errors.to_string(), printed);
}

/// That `text` is accepted, and what it says.
#[track_caller]
pub(super) fn assert_accepted(text: &str) -> Config {
    match parsed(text) {
        Ok(config) => config,
        Err(errors) => panic!("refused:\n{errors}"),
    }
}

#[test]
fn every_key_arrives_in_its_field() {
    let config = assert_accepted(FULL);
    assert_eq!(
        config.node,
        Node {
            name: "lb-01".into(),
            interfaces: vec!["eth0".into(), "eth1".into()],
            xdp_mode: XdpMode::Native,
            pin_dir: "/sys/fs/bpf/test".into(),
            admin_socket: "/run/test.sock".into(),
            max_connections: 1000,
        }
    );
    let [api, dns] = config.services.as_slice() else { panic!("two services") };
    assert_eq!(
        *api,
        Service {
            name: "kube-apiserver".into(),
            vip: "10.0.0.50".parse().expect("an address"),
            port: 6443,
            protocol: Protocol::Tcp,
            affinity: Affinity::Client,
            on_backend_down: OnBackendDown::Keep,
            when_no_backend: WhenNoBackend::TryAll,
            check: full_check(),
            backends: vec![
                backend("cp-01", "10.0.0.11", 7443, 256),
                backend("cp-02", "10.0.0.12", 6443, 1),
            ],
        }
    );
    assert_eq!(dns.protocol, Protocol::Udp);
    assert_eq!(
        dns.check.kind,
        CheckKind::Exec(ExecCheck {
            command: vec!["/usr/bin/dig".into(), "+short".into()],
            user: "daemon".into(),
        })
    );
    assert_eq!(dns.backends, [backend("cp-01", "2001:db8::11", 53, 0)]);
}

fn full_check() -> Check {
    Check {
        kind: CheckKind::Https(
            HttpCheck {
                path: "/readyz?verbose".into(),
                host: Some("api.example".into()),
                expect: 204,
                body: Some("ok".into()),
            },
            TlsCheck {
                sni: Some("kubernetes".into()),
                ca_file: Some("/etc/lb/ca.crt".into()),
                client: Some(ClientCertificate {
                    cert_file: "/etc/lb/client.crt".into(),
                    key_file: "/etc/lb/client.key".into(),
                }),
                insecure: false,
            },
        ),
        interval: Duration::from_secs(3),
        fast_interval: Duration::from_millis(500),
        down_interval: Duration::from_secs(60),
        timeout: Duration::from_millis(1500),
        rise: 4,
        fall: 5,
        port: Some(8080),
    }
}

fn backend(name: &str, address: &str, port: u16, weight: u16) -> Backend {
    let address = address.parse().expect("an address");
    Backend { name: name.into(), address, port, weight }
}

const SMALLEST: &str = r#"
[node]
interfaces = ["eth0"]
[[service]]
name = "api"
vip = "10.0.0.50"
port = 6443
[[service.backend]]
name = "a"
address = "10.0.0.11"
"#;

#[test]
fn what_is_left_out_has_its_default() {
    let config = assert_accepted(SMALLEST);
    assert_eq!(
        config.node,
        Node {
            name: "this-host".into(),
            interfaces: vec!["eth0".into()],
            xdp_mode: XdpMode::Auto,
            pin_dir: "/sys/fs/bpf/lb".into(),
            admin_socket: "/run/lb/admin.sock".into(),
            max_connections: 65_536,
        }
    );
    let service = &config.services[0];
    assert_eq!(service.protocol, Protocol::Tcp);
    assert_eq!(service.affinity, Affinity::Connection);
    assert_eq!(service.on_backend_down, OnBackendDown::Reset);
    assert_eq!(service.when_no_backend, WhenNoBackend::Reject);
    assert_eq!(service.backends, [backend("a", "10.0.0.11", 6443, 1)]);
    let by_default = Check {
        kind: CheckKind::Tcp,
        interval: Duration::from_secs(2),
        fast_interval: Duration::from_secs(2),
        down_interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        port: None,
    };
    assert_eq!(service.check, by_default);
    let empty = assert_accepted(&format!("{SMALLEST}[service.check]\n"));
    assert_eq!(empty.services[0].check, by_default, "an empty section says nothing");
}

#[test]
fn defaults_follow_the_keys_they_depend_on() {
    let check = |keys: &str| {
        let text = format!("{SMALLEST}[service.check]\n{keys}\n");
        assert_accepted(&text).services.remove(0).check
    };
    let quick = check("interval = \"100ms\"");
    assert_eq!(quick.timeout, Duration::from_millis(100), "no longer than the interval");
    assert_eq!(quick.fast_interval, quick.interval);
    assert_eq!(quick.down_interval, quick.interval);
    let patient = check("interval = \"100ms\"\ntimeout = \"5s\"");
    assert_eq!(patient.timeout, Duration::from_secs(5), "a written timeout stands");
    let CheckKind::Http(http) = check("type = \"http\"").kind else { panic!("http") };
    assert_eq!(http, HttpCheck { path: "/".into(), host: None, expect: 200, body: None });
    let CheckKind::Https(_, tls) = check("type = \"https\"\ninsecure = true").kind else {
        panic!("https")
    };
    assert_eq!(tls, TlsCheck { sni: None, ca_file: None, client: None, insecure: true });
    let CheckKind::Exec(exec) = check("type = \"exec\"\ncommand = [\"/bin/true\"]").kind else {
        panic!("exec")
    };
    assert_eq!(exec.user, "nobody");
}

#[test]
fn words_mean_what_they_say() {
    let node = |word: &str| assert_accepted(&changed("\"native\"", word)).node.xdp_mode;
    assert_eq!(node("\"auto\""), XdpMode::Auto);
    assert_eq!(node("\"generic\""), XdpMode::Generic);
    let service = |from: &str, to: &str| assert_accepted(&changed(from, to)).services.remove(0);
    assert_eq!(service("\"client\"", "\"connection\"").affinity, Affinity::Connection);
    assert_eq!(service("\"keep\"", "\"reset\"").on_backend_down, OnBackendDown::Reset);
    assert_eq!(service("\"try-all\"", "\"reject\"").when_no_backend, WhenNoBackend::Reject);
    assert_eq!(service("\"try-all\"", "\"drop\"").when_no_backend, WhenNoBackend::Drop);
}

#[test]
fn units_of_durations() {
    for (text, milliseconds) in
        [("10ms", 10), ("150ms", 150), ("2s", 2_000), ("1m", 60_000), ("1h", 3_600_000)]
    {
        let config = assert_accepted(&changed("\"3s\"", &format!("\"{text}\"")));
        assert_eq!(config.services[0].check.interval, Duration::from_millis(milliseconds));
    }
}

#[test]
fn unusual_and_right() {
    // Everything drained: new connections meet `when_no_backend`, old ones go on.
    let drained = changed("weight = 256", "weight = 0");
    assert_accepted(&drained.replace("10.0.0.12\"", "10.0.0.12\"\nweight = 0"));
    // A service port among the ports used towards backends: services are looked up after flows.
    assert_accepted(&changed("port = 6443", "port = 12288"));
    // One socket per protocol, one backend per port, one backend in two services.
    let twice = "\nprotocol = \"udp\"\n[[service.backend]]\nname = \"b\"\naddress = \"10.0.0.11\"\n\
                 port = 1\n[[service.backend]]\nname = \"c\"\naddress = \"10.0.0.11\"\nport = 2\n";
    let other = "[[service]]\nname = \"api-udp\"\nvip = \"10.0.0.50\"\nport = 6443";
    assert_accepted(&format!("{SMALLEST}{other}{twice}"));
    // Windows line ends.
    assert_accepted(&FULL.replace('\n', "\r\n"));
}

#[test]
fn the_packaged_example_is_valid() {
    let text = include_str!("../../../packaging/lb.toml.example");
    let config = assert_accepted(text);
    assert!(!config.services.is_empty());
    assert_eq!(config.warnings, []);
    // The lines that are commented out are valid too, beside or instead of those that are not.
    let all: String = text
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n")
        .collect();
    assert_ne!(all, text);
    let all = assert_accepted(&all);
    assert!(!all.vrrp.is_empty());
    assert_eq!(all.warnings, []);
}

#[test]
fn the_manual_has_every_key() {
    use keys::Section;
    let manual = include_str!("../../../docs/configuration.md");
    for (section, heading) in [
        (Section::Node, "## `[node]`"),
        (Section::Service, "## `[[service]]`"),
        (Section::Check, "## `[service.check]`"),
        (Section::Backend, "## `[[service.backend]]`"),
        (Section::Vrrp, "## `[[vrrp]]`"),
        (Section::Authentication, "## `authentication`"),
        (Section::Track, "## `[[vrrp.track]]`"),
        (Section::Notify, "## `[notify]`"),
        (Section::Mail, "## `[notify.mail]`"),
        (Section::Webhook, "## `[notify.webhook]`"),
    ] {
        let (_, part) = manual.split_once(heading).expect(heading);
        let part = part.split("\n## ").next().unwrap_or_default();
        let mut described: Vec<&str> =
            part.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let mut keys: Vec<&str> = section
            .keys()
            .iter()
            .copied()
            .filter(|key| !["check", "backend", "track", "mail", "webhook"].contains(key))
            .collect();
        described.sort_unstable();
        keys.sort_unstable();
        assert_eq!(described, keys, "{heading}");
    }
}
