//! What is refused in `[service.check]`, and configurations larger than the maps.

use super::{SMALLEST, assert_accepted, assert_refused, parsed, refused::refused};

/// `SMALLEST` with these lines in `[service.check]` (from line 12) has this one problem.
#[track_caller]
fn check(lines: &str, printed: &str) {
    assert_refused(&format!("{SMALLEST}[service.check]\n{lines}\n"), printed);
}

const DURATION: &str = "write a whole number and its unit, `ms`, `s`, `m` or `h`, from `\"10ms\"` \
                        to `\"1h\"`";

#[test]
fn unknown_keys() {
    check(
        "intervall = \"2s\"",
        "lb.toml:12: unknown key `intervall` in `[service.check]`\nhint: did you mean `interval`?",
    );
    check(
        "affinity = \"client\"",
        "lb.toml:12: unknown key `affinity` in `[service.check]`\nhint: `affinity` belongs to \
         `[[service]]`; a line counts to the last `[…]` above it",
    );
}

#[test]
fn types() {
    check(
        "type = \"htps\"\npath = \"/x\"",
        "lb.toml:12: `type` is `htps`, which is not one of its values\n\
         hint: did you mean `https`? Valid is `tcp`, `http`, `https` or `exec`",
    );
    assert_refused(
        &format!("{SMALLEST}[[service.check]]\n"),
        "lb.toml:11: `check` is `[[service.check]]`, not a section\n\
         hint: write `[service.check]` once, its keys on the lines below it",
    );
}

#[test]
fn durations() {
    for key in ["interval", "fast_interval", "down_interval", "timeout"] {
        for value in ["2", "\"2\""] {
            check(
                &format!("{key} = {value}"),
                &format!(
                    "lb.toml:12: `{key}` is `2`, a duration without a unit\n\
                     hint: write the unit: `{key} = \"2s\"` or `{key} = \"2ms\"`"
                ),
            );
        }
        for value in ["9ms", "0s", "61m", "2h", "99999999999999999999s", "18446744073709551615h"] {
            check(
                &format!("{key} = \"{value}\""),
                &format!("lb.toml:12: `{key}` is `{value}`, outside 10ms..=1h\nhint: {DURATION}"),
            );
        }
        for value in ["", "s", "2 s", "0.5s", "-1s", "2S", "2us", "1m30s", "two"] {
            check(
                &format!("{key} = \"{value}\""),
                &format!(
                    "lb.toml:12: `{key}` is `{value}`, which is not a duration\nhint: {DURATION}"
                ),
            );
        }
        check(
            &format!("{key} = 0.5"),
            &format!("lb.toml:12: `{key}` is `0.5`, which is not a duration\nhint: {DURATION}"),
        );
    }
}

#[test]
fn numbers_out_of_range() {
    for (key, low, high, values) in [
        ("rise", 1, 100, ["0", "101"]),
        ("fall", 1, 100, ["0", "101"]),
        ("port", 1, 65_535, ["0", "65536"]),
        ("expect", 100, 599, ["99", "600"]),
    ] {
        for value in values {
            check(
                &format!("type = \"http\"\n{key} = {value}"),
                &format!(
                    "lb.toml:13: `{key}` is `{value}`, outside {low}..={high}\n\
                     hint: write a whole number from {low} to {high}"
                ),
            );
        }
    }
}

#[test]
fn keys_of_another_type() {
    let exec = "type = \"exec\"\ncommand = [\"/bin/true\"]";
    for (key, value, owner, others) in [
        ("path", "\"/\"", "type `http` and type `https`", ["type = \"tcp\"", exec]),
        ("expect", "200", "type `http` and type `https`", ["type = \"tcp\"", exec]),
        ("body", "\"x\"", "type `http` and type `https`", ["type = \"tcp\"", exec]),
        ("host", "\"x\"", "type `http` and type `https`", ["type = \"tcp\"", exec]),
        ("sni", "\"x\"", "type `https`", ["type = \"http\"", exec]),
        ("ca_file", "\"/x\"", "type `https`", ["type = \"http\"", exec]),
        ("client_cert", "\"/x\"", "type `https`", ["type = \"http\"", exec]),
        ("client_key", "\"/x\"", "type `https`", ["type = \"http\"", exec]),
        ("insecure", "true", "type `https`", ["type = \"http\"", "type = \"tcp\""]),
        ("command", "[\"/x\"]", "type `exec`", ["type = \"http\"", "type = \"tcp\""]),
        ("user", "\"x\"", "type `exec`", ["type = \"http\"", "type = \"tcp\""]),
    ] {
        for other in others {
            let kind = other.split('"').nth(1).unwrap_or_default();
            let line = 12 + other.lines().count();
            check(
                &format!("{other}\n{key} = {value}"),
                &format!(
                    "lb.toml:{line}: `{key}` does not belong to a check of type `{kind}`\nhint: \
                     `{key}` belongs to {owner}; change `type` or take the key out"
                ),
            );
        }
    }
    check(
        "path = \"/readyz\"",
        "lb.toml:12: `path` does not belong to a check of type `tcp`\nhint: `path` belongs to type \
         `http` and type `https`; change `type` or take the key out",
    );
}

#[test]
fn malformed_strings() {
    let path = "path and query only, beginning with `/`, blanks as `%20`: `/readyz?verbose`";
    let host = "a name or an address, with `:PORT` if need be, but no `https://`";
    let sni = "a DNS name or an IP address of the server's certificate, without a port";
    for (line, from, key, value, noun, rule) in [
        (20, "/readyz?verbose", "path", "readyz", "the path of a request", path),
        (20, "/readyz?verbose", "path", "/a b", "the path of a request", path),
        (20, "/readyz?verbose", "path", "/a#b", "the path of a request", path),
        (23, "api.example", "host", "https://api", "a `Host` header", host),
        (23, "api.example", "host", "", "a `Host` header", host),
        (24, "kubernetes", "sni", "api:6443", "a server name", sni),
        (24, "kubernetes", "sni", "", "a server name", sni),
        (
            22,
            "\"ok",
            "body",
            "",
            "a text to look for",
            "1 to 4096 bytes that the answer contains, or take `body` out",
        ),
        (
            25,
            "/etc/lb/ca.crt",
            "ca_file",
            "ca.crt",
            "an absolute path",
            "the whole path, beginning with `/`",
        ),
        (
            51,
            "/usr/bin/dig",
            "command",
            "dig",
            "an absolute path",
            "the whole path, beginning with `/`",
        ),
        (
            52,
            "daemon",
            "user",
            "a b",
            "the name of a user",
            "a name as in `/etc/passwd`, not a number",
        ),
    ] {
        let to = if from.starts_with('"') { format!("\"{value}") } else { value.to_owned() };
        refused(
            from,
            &to,
            &format!(
                "lb.toml:{line}: `{key}` is `{value}`, which is not {noun}\nhint: write {rule}"
            ),
        );
    }
    refused(
        "+short",
        "a\\u0000b",
        "lb.toml:51: `command` is `a\\0b`, which is not an argument\nhint: take the zero byte out",
    );
}

#[test]
fn trust() {
    let hint = "add `ca_file = \"/etc/kubernetes/pki/ca.crt\"` (the cluster's CA; this is \
                kubeadm's), or `insecure = true` to accept any certificate";
    for lines in ["rise = 1\ntype = \"https\"", "rise = 1\ntype = \"https\"\ninsecure = false"] {
        check(
            lines,
            &format!(
                "lb.toml:13: a check of type `https` without `ca_file` trusts no server\nhint: {hint}"
            ),
        );
    }
    check(
        "type = \"https\"\nca_file = \"/x\"\ninsecure = true",
        "lb.toml:14: `insecure` is `true` beside `ca_file`, which would not be used\n\
         hint: take one of the two out",
    );
    check(
        "type = \"https\"\ninsecure = \"yes\"\nca_file = \"/x\"",
        "lb.toml:13: `insecure` is `\"yes\"`, not `true` or `false`\n\
         hint: write `insecure = true` or `insecure = false`, without quotes",
    );
    for (present, absent) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        check(
            &format!("type = \"https\"\ninsecure = true\n{present} = \"/x\""),
            &format!(
                "lb.toml:14: `{present}` stands without `{absent}`\n\
                 hint: add `{absent}`, or take `{present}` out"
            ),
        );
    }
}

#[test]
fn commands() {
    check(
        "type = \"exec\"",
        "lb.toml:11: `command` is missing in `[service.check]`\n\
         hint: add `command = [\"/usr/local/bin/check\", \"argument\"]`",
    );
    check(
        "type = \"exec\"\ncommand = []",
        "lb.toml:13: `command` is an empty list\nhint: name at least one in `command`",
    );
    check(
        "type = \"exec\"\ncommand = \"/bin/true\"",
        "lb.toml:13: `command` is `\"/bin/true\"`, not a list of strings\n\
         hint: write a list of strings: `command = [\"…\", \"…\"]`",
    );
}

const NODE: &str = "[node]\ninterfaces = [\"eth0\"]\n";

fn service(n: usize, backends: usize) -> String {
    let mut text = format!(
        "[[service]]\nname = \"s{n}\"\nvip = \"10.1.{}.{}\"\nport = 1\n",
        n / 250,
        n % 250 + 1
    );
    for b in 0..backends {
        text.push_str(&format!(
            "[[service.backend]]\nname = \"b{b}\"\naddress = \"10.2.{}.{}\"\n",
            b / 250,
            b % 250 + 1
        ));
    }
    text
}

#[test]
fn more_than_fit() {
    let services = |count| (0..count).map(|n| service(n, 1)).collect::<String>();
    assert_accepted(&format!("{NODE}{}", services(255)));
    assert_refused(
        &format!("{NODE}{}", services(256)),
        "lb.toml:1788: service `s255` is number 256, more than fit\n\
         hint: at most 255 services in all",
    );
    assert_accepted(&format!("{NODE}{}", service(0, 1000)));
    assert_refused(
        &format!("{NODE}{}", service(0, 1001)),
        "lb.toml:3007: backend `b1000` is number 1001, more than fit\n\
         hint: at most 1000 backends per service",
    );
    assert_accepted(&format!("{NODE}{}{}", service(0, 1000), service(1, 23)));
    assert_refused(
        &format!("{NODE}{}{}", service(0, 1000), service(1, 24)),
        "lb.toml:3080: backend `b23` is number 1024, more than fit\n\
         hint: at most 1023 backends of all services",
    );
}

#[test]
fn a_long_value_is_cut_where_it_is_shown() {
    let text = format!("{SMALLEST}[service.check]\ntype = \"{}\"\n", "x".repeat(100_000));
    let printed = parsed(&text).expect_err("refused").to_string();
    assert!(printed.len() < 300, "{printed}");
}
