//! What is refused in `[[vrrp]]` and `[[vrrp.track]]`: file, line, value and cure.

use super::{SMALLEST, assert_refused, vrrp::routers};

/// `SMALLEST` and `ROUTERS`, the latter with one piece replaced, are refused with this one problem,
/// `line` lines into `ROUTERS`.
#[track_caller]
pub(super) fn refused(from: &str, to: &str, line: usize, what: &str, hint: &str) {
    let line = SMALLEST.lines().count() + line;
    assert_refused(&routers(from, to), &format!("lb.toml:{line}: {what}\nhint: {hint}"));
}

#[test]
fn unknown_keys() {
    for (from, to, line, what, hint) in [
        (
            "priority =",
            "prioritty =",
            6,
            "unknown key `prioritty` in `[[vrrp]]`",
            "did you mean `priority`?",
        ),
        (
            "check_source",
            "port",
            15,
            "unknown key `port` in `[[vrrp]]`",
            "`port` belongs to `[[service]]`, `[service.check]` or `[[service.backend]]`; a line \
             counts to the last `[…]` above it",
        ),
        (
            "rise = 3",
            "rize = 3",
            23,
            "unknown key `rize` in `[[vrrp.track]]`",
            "did you mean `rise`?",
        ),
        (
            "\", secret_file",
            "\", secret",
            16,
            "unknown key `secret` in `[vrrp.authentication]`",
            "valid in `[vrrp.authentication]` is `type` or `secret_file`",
        ),
    ] {
        let text = routers(from, to);
        let errors = super::parsed(&text).expect_err("refused");
        let line = SMALLEST.lines().count() + line;
        let expected = format!("lb.toml:{line}: {what}\nhint: {hint}");
        let printed = errors.to_string();
        assert!(printed.contains(&expected), "{printed}\n\nlacks\n{expected}");
    }
}

#[test]
fn missing() {
    for (from, key, line, section, example) in [
        ("name = \"VI_6\"\n", "name", 32, "`[[vrrp]]`", "name = \"VI_1\""),
        (
            "virtual_router_id = 52\n",
            "virtual_router_id",
            32,
            "`[[vrrp]]`",
            "virtual_router_id = 51",
        ),
        (
            "addresses = [\"fe80::51\", \"2001:db8::50/64\"]\n",
            "addresses",
            32,
            "`[[vrrp]]`",
            "addresses = [\"10.0.0.50/24\"]",
        ),
        ("type = \"ah\", ", "type", 16, "`[vrrp.authentication]`", "type = \"pass\""),
        (
            ", secret_file = \"/etc/lb/vrrp.secret\"",
            "secret_file",
            16,
            "`[vrrp.authentication]`",
            "secret_file = \"/etc/lb/vrrp.secret\"",
        ),
    ] {
        let what = format!("`{key}` is missing in {section}");
        refused(from, "", line, &what, &format!("add `{example}`"));
    }
    assert_refused(
        &format!(
            "{SMALLEST}[[vrrp]]\nname = \"V\"\nvirtual_router_id = 1\naddresses = [\"10.0.0.50\"]\n"
        ),
        "lb.toml:11: `interface` is missing in `[[vrrp]]`\nhint: add `interface = \"eth0\"`",
    );
}

#[test]
fn numbers_out_of_range() {
    for (from, key, line, value, low, high) in [
        ("virtual_router_id = 51", "virtual_router_id", 4, "0", 1, 255),
        ("virtual_router_id = 51", "virtual_router_id", 4, "256", 1, 255),
        ("version = 2", "version", 5, "1", 2, 3),
        ("version = 2", "version", 5, "4", 2, 3),
        ("priority = 101", "priority", 6, "0", 1, 255),
        ("priority = 101", "priority", 6, "256", 1, 255),
        ("weight = -2", "weight", 20, "-254", -253, 253),
        ("weight = -2", "weight", 20, "254", -253, 253),
        ("weight = -2", "weight", 20, "-99999999999999999999", -253, 253),
        ("rise = 3", "rise", 23, "0", 1, 100),
        ("fall = 10", "fall", 24, "101", 1, 100),
    ] {
        let what = format!("`{key}` is `{value}`, outside {low}..={high}");
        let hint = format!("write a whole number from {low} to {high}");
        refused(from, &format!("{key} = {value}"), line, &what, &hint);
    }
}

#[test]
fn wrong_types() {
    refused(
        "[\"/bin/check it\", \"a b\"]",
        "1",
        40,
        "`script` is `1`, not a string or a list of strings",
        "write a string in double quotes: `script = \"/…\"`",
    );
    refused(
        "{ type = \"ah\", secret_file = \"/etc/lb/vrrp.secret\" }",
        "\"ah\"",
        16,
        "`authentication` is `\"ah\"`, not a section",
        "write `[vrrp.authentication]` once, its keys on the lines below it",
    );
    refused(
        "[\"fe80::51\", \"2001:db8::50/64\"]",
        "[]",
        37,
        "`addresses` is an empty list",
        "name at least one in `addresses`",
    );
    assert_refused(
        &format!("{SMALLEST}[vrrp]\n"),
        "lb.toml:11: `vrrp` is `[vrrp]`, not a repeated section\n\
         hint: write `[[vrrp]]`, its keys on the lines below it; it may stand more than once",
    );
}

#[test]
fn advertisement_intervals() {
    let whole = "write whole seconds, from `\"1s\"` to `\"255s\"`, or `version = 3` if every \
                 neighbour has it";
    for value in ["500ms", "1500ms", "256s", "1h"] {
        let what = format!("`advert_interval` is `{value}`, which version 2 cannot carry");
        refused("\"3s\"", &format!("\"{value}\""), 7, &what, whole);
    }
    for value in ["40951ms", "41s", "1m"] {
        let what =
            format!("`advert_interval` is `{value}`, which is longer than version 3 can carry");
        refused("\"10ms\"", &format!("\"{value}\""), 36, &what, "write at most `\"40950ms\"`");
    }
    for (value, below, above) in [("15ms", 10, 20), ("1999ms", 1990, 2000)] {
        let what = format!("`advert_interval` is `{value}`, which is not a multiple of 10 ms");
        let hint = format!("write `advert_interval = \"{below}ms\"` or `\"{above}ms\"`");
        refused("\"10ms\"", &format!("\"{value}\""), 36, &what, &hint);
    }
}

#[test]
fn addresses() {
    let form = "write an address such as `10.0.0.50` or `2001:db8::50`, without brackets";
    let v4 = "write the number of bits, 1 to 32, as in `10.0.0.51/24`, or leave it out";
    for (value, what, hint) in [
        ("10.0.0.51/33", "whose prefix length is not one", v4),
        ("10.0.0.51/0", "whose prefix length is not one", v4),
        ("10.0.0.51/", "whose prefix length is not one", v4),
        ("10.0.0.51/+8", "whose prefix length is not one", v4),
        ("10.0.0.51/255.255.255.0", "whose prefix length is not one", v4),
        (
            "10.0.0.51:80",
            "an address with a port",
            "write `10.0.0.51`: all ports of an address move together",
        ),
        ("10.0.0/24", "which is not an IPv4 or IPv6 address", form),
        ("", "which is not an IPv4 or IPv6 address", form),
        ("224.0.0.18", "a multicast address", "write the unicast address of one machine"),
        (
            "127.0.0.1",
            "a loopback address",
            "packets from the network never reach it: write an address of the network",
        ),
        (
            "vip.example",
            "a name, not an address",
            "names are not resolved: write the address that `getent hosts vip.example` prints",
        ),
    ] {
        refused("10.0.0.51", value, 8, &format!("`addresses` is `{value}`, {what}"), hint);
    }
    refused(
        "2001:db8::99/64",
        "2001:db8::99/129",
        9,
        "`excluded_addresses` is `2001:db8::99/129`, whose prefix length is not one",
        "write the number of bits, 1 to 128, as in `2001:db8::99/64`, or leave it out",
    );
}

#[test]
fn families() {
    refused(
        "\"10.0.0.51\"",
        "\"2001:db8::51\"",
        8,
        "`addresses` is `2001:db8::51`, not of the same family as `10.0.0.50`",
        "a virtual router has one family: write a second `[[vrrp]]` with the same `sync_group` for \
         the other",
    );
    refused(
        "advert_interval = \"10ms\"",
        "version = 2",
        37,
        "`addresses` has the IPv6 address `fe80::51`, which version 2 cannot carry",
        "write `version = 3`",
    );
    let family = "advertisements go out in the family of the addresses they are about";
    for (from, line, key) in
        [("10.0.0.1\"", 13, "unicast_source"), ("10.0.0.3", 14, "unicast_peers")]
    {
        let what = format!("`{key}` is `2001:db8::3`, not of the same family as `addresses`");
        let to = if from.ends_with('"') { "2001:db8::3\"" } else { "2001:db8::3" };
        refused(from, to, line, &what, family);
    }
}

#[test]
fn too_many_addresses() {
    for (number, fits, text) in
        [(255, true, "10.1.0."), (256, false, "10.1.0."), (91, false, "2001:db8::")]
    {
        let list: Vec<String> = (0..number).map(|n| format!("\"{text}{n}\"")).collect();
        let instance = format!(
            "{SMALLEST}[[vrrp]]\nname = \"V\"\ninterface = \"eth0\"\nvirtual_router_id = 1\n\
             addresses = [{}]\n",
            list.join(", ")
        );
        if fits {
            super::assert_accepted(&instance);
            continue;
        }
        let errors = super::parsed(&instance).expect_err("refused").to_string();
        let (family, limit) = if text.contains(':') { ("IPv6", 90) } else { ("IPv4", 255) };
        assert!(
            errors.ends_with(&format!(
                "is number {}, more than fit\nhint: at most {limit} addresses in an advertisement \
                 of {family}",
                limit + 1
            )),
            "{errors}"
        );
    }
}

#[test]
fn unicast() {
    let peers = "unicast_peers = [\"10.0.0.2\", \"10.0.0.3\"]\n";
    let source = "unicast_source = \"10.0.0.1\"\n";
    let check = "check_source = false\n";
    for (from, to, present) in [
        (format!("{source}{peers}"), "", "check_source"),
        (format!("{source}{peers}{check}"), source, "unicast_source"),
    ] {
        let what = format!("`{present}` stands without `unicast_peers`");
        let hint = format!("add `unicast_peers`, or take `{present}` out");
        refused(&from, to, 13, &what, &hint);
    }
    refused(
        "\"10.0.0.3\"",
        "\"10.0.0.1\"",
        14,
        "`unicast_peers` has `10.0.0.1`, which is `unicast_source`",
        "name the other nodes alone",
    );
    refused(
        "\"10.0.0.3\"",
        "\"10.0.0.2\"",
        14,
        "peer `10.0.0.2` is already used on line 24",
        "give each peer once",
    );
}

#[test]
fn preemption_label_authentication() {
    refused(
        "preempt = true",
        "preempt = false",
        12,
        "`preempt_delay` stands beside `preempt = false`, and would not be used",
        "take one of the two out",
    );
    refused(
        "eth0:vip",
        "eth1:vip",
        10,
        "`label` is `eth1:vip`, which does not begin with `eth0`",
        "begin it with `eth0`, at most 15 characters in all, or take it out",
    );
    refused(
        "eth0:vip",
        "eth0:much-too-long",
        10,
        "`label` is `eth0:much-too-long`, which is not a label",
        "write the interface's name, a colon and a word: at most 15 characters",
    );
    refused(
        "virtual_router_id = 52",
        "virtual_router_id = 52\nlabel = \"eth0:6\"",
        36,
        "`label` stands beside IPv6 addresses alone, which have none",
        "take `label` out",
    );
    refused(
        "version = 2",
        "version = 3",
        16,
        "`authentication` does not belong to version 3",
        "take it out, or write `version = 2`; version 3 has none (RFC 9568 §9)",
    );
    refused(
        "\"ah\"",
        "\"AH\"",
        16,
        "`type` is `AH`, which is not one of its values",
        "did you mean `ah`? Valid is `pass` or `ah`",
    );
    refused(
        "\"/etc/lb/vrrp.secret\"",
        "\"vrrp.secret\"",
        16,
        "`secret_file` is `vrrp.secret`, which is not an absolute path",
        "write the whole path, beginning with `/`",
    );
}
