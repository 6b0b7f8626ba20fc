//! What is refused in addresses and between services: duplicates, VIPs among the backends.

use super::{SMALLEST, assert_refused, refused::refused};

#[test]
fn duplicates() {
    refused(
        "eth1",
        "eth0",
        "lb.toml:3: interface `eth0` is already used on line 3\nhint: give each interface once",
    );
    refused(
        "\"dns\"",
        "\"kube-apiserver\"",
        "lb.toml:45: service name `kube-apiserver` is already used on line 10\n\
         hint: give each service name once",
    );
    refused(
        "cp-02",
        "cp-01",
        "lb.toml:41: backend name `cp-01` is already used on line 36\n\
         hint: give each backend name once",
    );
    refused(
        "10.0.0.12\"",
        "10.0.0.11\"\nport = 7443",
        "lb.toml:42: backend address and port `10.0.0.11:7443` is already used on line 37\n\
         hint: give each backend address and port once",
    );
    let other = "[[service]]\nname = \"other\"\nvip = \"10.0.0.50\"\nport = 6443\n\
                 [[service.backend]]\nname = \"b\"\naddress = \"10.0.0.12\"\n";
    assert_refused(
        &format!("{SMALLEST}{other}"),
        "lb.toml:13: VIP, port and protocol `10.0.0.50:6443/tcp` is already used on line 6\n\
         hint: give each VIP, port and protocol once",
    );
}

#[test]
fn vip_among_the_backends() {
    refused(
        "10.0.0.12",
        "10.0.0.50",
        "lb.toml:42: backend address `10.0.0.50` is the VIP of service `kube-apiserver` (line 11)\n\
         hint: the VIP is what clients connect to; write the backend's own address",
    );
    let other = "[[service]]\nname = \"other\"\nvip = \"10.0.0.11\"\nport = 1\n\
                 [[service.backend]]\nname = \"b\"\naddress = \"10.0.0.12\"\n";
    assert_refused(
        &format!("{SMALLEST}{other}"),
        "lb.toml:10: backend address `10.0.0.11` is the VIP of service `other` (line 13)\n\
         hint: the VIP is what clients connect to; write the backend's own address",
    );
}

#[test]
fn mixed_families() {
    refused(
        "10.0.0.12",
        "2001:db8::12",
        "lb.toml:42: `address` is `2001:db8::12`, not of the same family as the VIP `10.0.0.50`\n\
         hint: give IPv4 and IPv6 a `[[service]]` each, with a VIP and backends of one family",
    );
}

#[test]
fn addresses() {
    let unicast = "write the unicast address of one machine";
    let network = "packets from the network never reach it: write an address of the network";
    let form = "write an address such as `10.0.0.50` or `2001:db8::50`, without brackets";
    let link = "it is valid on one link only: write a global or unique local address";
    for (value, what, hint) in [
        (
            "api.example",
            "a name, not an address",
            "names are not resolved: write the address that `getent hosts api.example` prints",
        ),
        (
            "10.0.0.5:6443",
            "an address with a port",
            "write `10.0.0.5` here and `port = 6443` beside it",
        ),
        (
            "[2001:db8::5]:1",
            "an address with a port",
            "write `2001:db8::5` here and `port = 1` beside it",
        ),
        (
            "10.0.0.5/24",
            "an address with a prefix length",
            "write `10.0.0.5`, without the prefix length",
        ),
        ("10.0.0.256", "which is not an IPv4 or IPv6 address", form),
        ("[2001:db8::5]", "which is not an IPv4 or IPv6 address", form),
        ("fe80::1%eth0", "which is not an IPv4 or IPv6 address", form),
        ("", "which is not an IPv4 or IPv6 address", form),
        ("::ffff:10.0.0.5", "an IPv4 address in IPv6 form", "write `10.0.0.5`"),
        ("0.0.0.0", "the unspecified address", unicast),
        ("::", "the unspecified address", unicast),
        ("224.0.0.18", "a multicast address", unicast),
        ("ff02::12", "a multicast address", unicast),
        ("255.255.255.255", "the broadcast address", unicast),
        ("127.0.0.1", "a loopback address", network),
        ("::1", "a loopback address", network),
        ("fe80::1", "a link-local address", link),
    ] {
        for (from, line, key) in [("10.0.0.50", 11, "vip"), ("10.0.0.12", 42, "address")] {
            refused(
                from,
                value,
                &format!("lb.toml:{line}: `{key}` is `{value}`, {what}\nhint: {hint}"),
            );
        }
    }
}
