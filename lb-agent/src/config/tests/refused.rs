//! What is refused in `[node]`, `[[service]]`, `[[service.backend]]` and in the text as a whole:
//! file, line, value and cure.

use super::{FULL, SMALLEST, assert_refused, changed, parsed};

/// `FULL` with one piece replaced is refused with this one problem.
#[track_caller]
pub(super) fn refused(from: &str, to: &str, printed: &str) {
    assert_refused(&changed(from, to), printed);
}

#[test]
fn syntax() {
    refused(
        "name = \"lb-01\"",
        "name = lb-01",
        "lb.toml:2: not valid TOML in `name = lb-01`: string values must be quoted, expected \
         literal string\nhint: write `key = value` lines under `[node]`, `[[service]]`, \
         `[service.check]`, `[[service.backend]]`, `[[vrrp]]`, `[[vrrp.track]]` and `[notify]`, with \
         strings in double quotes, each key once",
    );
    let twice = parsed("[node]\nname = \"a\"\nname = \"b\"\nx = \n").expect_err("refused");
    let lines: Vec<_> = twice.problems().iter().map(super::Problem::line).collect();
    assert_eq!(lines, [Some(3), Some(4)], "{twice}");
    // The parser has three complaints about the last line; the first is the cause.
    let open = parsed("a = [1,\nc = 'x").expect_err("refused");
    assert_eq!(open.problems().len(), 1, "{open}");
}

#[test]
fn unknown_keys() {
    refused(
        "pin_dir",
        "pindir",
        "lb.toml:5: unknown key `pindir` in `[node]`\nhint: did you mean `pin_dir`?",
    );
    refused(
        "max_connections = 1000",
        "vip = \"10.0.0.51\"",
        "lb.toml:7: unknown key `vip` in `[node]`\n\
         hint: `vip` belongs to `[[service]]`; a line counts to the last `[…]` above it",
    );
    refused(
        "max_connections = 1000",
        "port = 1",
        "lb.toml:7: unknown key `port` in `[node]`\nhint: `port` belongs to `[[service]]`, \
         `[service.check]` or `[[service.backend]]`; a line counts to the last `[…]` above it",
    );
    refused(
        "weight = 256",
        "afinity = 1",
        "lb.toml:39: unknown key `afinity` in `[[service.backend]]`\n\
         hint: did you mean `affinity`, which belongs to `[[service]]`?",
    );
    refused(
        "weight = 256",
        "colour = \"red\"",
        "lb.toml:39: unknown key `colour` in `[[service.backend]]`\n\
         hint: valid in `[[service.backend]]` is `name`, `address`, `port` or `weight`",
    );
    assert_refused(
        &format!("interfaces = []\n{SMALLEST}"),
        "lb.toml:1: unknown key `interfaces` in the top level\nhint: `interfaces` belongs to \
         `[node]`; a line counts to the last `[…]` above it",
    );
    assert_refused(
        &format!("{SMALLEST}[[services]]\n"),
        "lb.toml:11: unknown key `services` in the top level\nhint: did you mean `service`?",
    );
}

#[test]
fn not_in_this_version() {
    refused(
        "max_connections = 1000",
        "http_listen = \"127.0.0.1:9440\"",
        "lb.toml:7: `http_listen` in `[node]` is not in this version\nhint: take `http_listen` \
         out; this version serves `[node]`, `[[service]]`, `[[vrrp]]` and `[notify]` only",
    );
    assert_refused(
        &format!("{SMALLEST}[sync]\nname = \"x\"\n"),
        "lb.toml:11: `sync` in the top level is not in this version\nhint: take `sync` out; this \
         version serves `[node]`, `[[service]]`, `[[vrrp]]` and `[notify]` only",
    );
    for mode in ["l2-dsr", "ipip"] {
        refused(
            "\"nat\"",
            &format!("\"{mode}\""),
            &format!(
                "lb.toml:14: `mode` is `{mode}`, which is not in this version\nhint: full NAT is \
                 the one mode there is: write `mode = \"nat\"` or leave it out"
            ),
        );
    }
}

#[test]
fn missing() {
    for (line, from, section, at, example) in [
        ("interfaces", "interfaces = [\"eth0\"]\n", "`[node]`", 2, "interfaces = [\"eth0\"]"),
        ("name", "name = \"api\"\n", "`[[service]]`", 4, "name = \"kube-apiserver\""),
        ("vip", "vip = \"10.0.0.50\"\n", "`[[service]]`", 4, "vip = \"10.0.0.50\""),
        ("name", "name = \"a\"\n", "`[[service.backend]]`", 8, "name = \"cp-01\""),
        (
            "address",
            "address = \"10.0.0.11\"\n",
            "`[[service.backend]]`",
            8,
            "address = \"10.0.0.11\"",
        ),
        ("port", "port = 6443\n", "`[[service]]`", 4, "port = 6443"),
    ] {
        assert_refused(
            &SMALLEST.replacen(from, "", 1),
            &format!("lb.toml:{at}: `{line}` is missing in {section}\nhint: add `{example}`"),
        );
    }
    let (node, service) = SMALLEST.split_at(SMALLEST.find("[[service]]").expect("a service"));
    assert_refused(service, "lb.toml:1: `node` is missing in the top level\nhint: add `[node]`");
    assert_refused(
        node,
        "lb.toml:1: `service` is missing in the top level\nhint: add `[[service]]`",
    );
    let (service, _) = SMALLEST.split_once("[[service.backend]]").expect("a backend");
    assert_refused(
        service,
        "lb.toml:4: `backend` is missing in `[[service]]`\nhint: add `[[service.backend]]`",
    );
    let nameless = super::text::read(SMALLEST, None);
    assert!(nameless.config.is_none());
    assert_eq!(nameless.problems[0].what(), "`name` is missing in `[node]`");
}

#[test]
fn wrong_types() {
    refused(
        "max_connections = 1000",
        "max_connections = \"1000\"",
        "lb.toml:7: `max_connections` is `\"1000\"`, not a whole number\n\
         hint: write a whole number without quotes: `max_connections = 1`",
    );
    refused(
        "vip = \"10.0.0.50\"",
        "vip = 10.5",
        "lb.toml:11: `vip` is `10.5`, not a string\n\
         hint: write a string in double quotes: `vip = \"…\"`",
    );
    refused(
        "[\"eth0\", \"eth1\"]",
        "\"eth0\"",
        "lb.toml:3: `interfaces` is `\"eth0\"`, not a list of strings\n\
         hint: write a list of strings: `interfaces = [\"…\", \"…\"]`",
    );
    refused(
        "[\"eth0\", \"eth1\"]",
        "[\"eth0\",\n1]",
        "lb.toml:4: `interfaces` is `1`, not a list of strings\n\
         hint: write a list of strings: `interfaces = [\"…\", \"…\"]`",
    );
    assert_refused(
        &SMALLEST.replace("[[service]]", "[service]"),
        "lb.toml:4: `service` is `[service]`, not a repeated section\n\
         hint: write `[[service]]`, its keys on the lines below it; it may stand more than once",
    );
    assert_refused(
        &SMALLEST.replace("[node]", "[[node]]"),
        "lb.toml:2: `node` is `[[node]]`, not a section\n\
         hint: write `[node]` once, its keys on the lines below it",
    );
    assert_refused(
        &SMALLEST.replace("[[service.backend]]", "[service.backend]"),
        "lb.toml:8: `backend` is `[service.backend]`, not a repeated section\n\
         hint: write `[[service.backend]]`, its keys on the lines below it; it may stand more than once",
    );
    refused(
        "max_connections = 1000",
        "[[service]]\nbackend = 1\nname = \"x\"\nvip = \"10.0.0.60\"\nport = 1",
        "lb.toml:8: `backend` is `1`, not a repeated section\n\
         hint: write `[[service.backend]]`, its keys on the lines below it; it may stand more than once",
    );
}

#[test]
fn empty_lists() {
    refused(
        "[\"eth0\", \"eth1\"]",
        "[]",
        "lb.toml:3: `interfaces` is an empty list\nhint: name at least one in `interfaces`",
    );
    let (service, _) = SMALLEST.split_once("[[service.backend]]").expect("a backend");
    assert_refused(
        &format!("{service}backend = []\n"),
        "lb.toml:8: `backend` is an empty list\nhint: name at least one in `backend`",
    );
    let (node, _) = SMALLEST.split_once("[node]").expect("a node");
    assert_refused(
        &format!("{node}service = []\n[node]\ninterfaces = [\"eth0\"]\n"),
        "lb.toml:2: `service` is an empty list\nhint: name at least one in `service`",
    );
}

#[test]
fn numbers_out_of_range() {
    for (from, key, line, value, low, high) in [
        ("weight = 256", "weight", 39, "257", 0, 256),
        ("weight = 256", "weight", 39, "-1", 0, 256),
        ("port = 6443", "port", 12, "0", 1, 65_535),
        ("port = 6443", "port", 12, "65536", 1, 65_535),
        ("port = 7443", "port", 38, "99999999999999999999", 1, 65_535),
        ("max_connections = 1000", "max_connections", 7, "0", 1, 16_777_216),
        ("max_connections = 1000", "max_connections", 7, "16777217", 1, 16_777_216),
    ] {
        refused(
            from,
            &format!("{key} = {value}"),
            &format!(
                "lb.toml:{line}: `{key}` is `{value}`, outside {low}..={high}\n\
                 hint: write a whole number from {low} to {high}"
            ),
        );
    }
}

#[test]
fn unknown_words() {
    for (from, to, printed) in [
        (
            "\"native\"",
            "nativ",
            "lb.toml:4: `xdp_mode` is `nativ`, which is not one of its values\n\
             hint: did you mean `native`? Valid is `auto`, `native` or `generic`",
        ),
        (
            "\"tcp\"",
            "sctp",
            "lb.toml:13: `protocol` is `sctp`, which is not one of its values\n\
             hint: valid is `tcp` or `udp`",
        ),
        (
            "\"nat\"",
            "dnat",
            "lb.toml:14: `mode` is `dnat`, which is not one of its values\n\
             hint: did you mean `nat`? Valid is `nat`, `l2-dsr` or `ipip`",
        ),
        (
            "\"client\"",
            "source",
            "lb.toml:15: `affinity` is `source`, which is not one of its values\n\
             hint: valid is `connection` or `client`",
        ),
        (
            "\"keep\"",
            "Keep",
            "lb.toml:16: `on_backend_down` is `Keep`, which is not one of its values\n\
             hint: did you mean `keep`? Valid is `reset` or `keep`",
        ),
        (
            "\"try-all\"",
            "try_all",
            "lb.toml:17: `when_no_backend` is `try_all`, which is not one of its values\n\
             hint: did you mean `try-all`? Valid is `reject`, `drop` or `try-all`",
        ),
    ] {
        refused(from, &format!("\"{to}\""), printed);
    }
}

#[test]
fn malformed_strings() {
    let long = "x".repeat(64);
    let socket = format!("/{}", "s".repeat(107));
    for (from, line, key, value, noun, rule) in [
        (
            "lb-01",
            2,
            "name",
            "lb 01",
            "a machine's name",
            "1 to 253 characters of `A-Z a-z 0-9 . _ -`",
        ),
        (
            "kube-apiserver",
            10,
            "name",
            "kube/api",
            "a name",
            "1 to 63 characters of `A-Z a-z 0-9 . _ -`",
        ),
        ("cp-02", 41, "name", "", "a name", "1 to 63 characters of `A-Z a-z 0-9 . _ -`"),
        ("cp-02", 41, "name", &long, "a name", "1 to 63 characters of `A-Z a-z 0-9 . _ -`"),
        (
            "/sys/fs/bpf/test",
            5,
            "pin_dir",
            "bpf",
            "an absolute path",
            "the whole path, beginning with `/`",
        ),
        (
            "/sys/fs/bpf/test",
            5,
            "pin_dir",
            "/a\\u0000",
            "an absolute path",
            "the whole path, beginning with `/`",
        ),
        (
            "/run/test.sock",
            6,
            "admin_socket",
            &socket,
            "an absolute path that a socket can have",
            "the whole path, beginning with `/`, at most 107 bytes",
        ),
    ] {
        // Values longer than 80 characters are cut.
        let shown: String = value.replace("\\u0000", "\\0").chars().take(80).collect();
        let cut = if value.len() > 80 { "…" } else { "" };
        refused(
            from,
            value,
            &format!(
                "lb.toml:{line}: `{key}` is `{shown}{cut}`, which is not {noun}\nhint: write {rule}"
            ),
        );
    }
}

#[test]
fn names_that_no_interface_has() {
    for interface in ["", ".", "..", "eth 0", "a/b", "eth0:1", "sixteen-letters-", "é"] {
        refused(
            "eth1",
            interface,
            &format!(
                "lb.toml:3: `interfaces` is `{interface}`, which is not the name of an interface\n\
                 hint: write a name as `ip link` shows it: 1 to 15 characters, no blank, `/` or `:`"
            ),
        );
    }
}

#[test]
fn everything_is_found_in_one_go() {
    let text = FULL
        .replace("pin_dir", "pin_dri")
        .replace("10.0.0.50", "api.example")
        .replace("weight = 256", "weight = 300")
        .replace("rise = 4", "rise = 0")
        .replace("\"dns\"", "\"kube-apiserver\"");
    let errors = parsed(&text).expect_err("refused");
    let lines: Vec<_> = errors.problems().iter().filter_map(super::Problem::line).collect();
    assert_eq!(lines, [5, 11, 32, 39, 45], "{errors}");
    let printed = errors.to_string();
    assert_eq!(printed.lines().filter(|line| line.starts_with("lb.toml:")).count(), 5);
    assert_eq!(printed.lines().filter(|line| line.starts_with("hint: ")).count(), 5);
}
