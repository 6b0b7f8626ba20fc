//! What is refused in `[[vrrp.track]]` and between virtual routers.

use super::{assert_refused, refused_vrrp::refused, vrrp::routers};

#[test]
fn tracks() {
    refused(
        "service = \"api\"\n",
        "weight = 1\n",
        29,
        "nothing is tracked",
        "add `script = \"/etc/lb/check.sh\"`, `interface = \"eth1\"` or `service = \"…\"`",
    );
    refused(
        "service = \"api\"",
        "service = \"api\"\ninterface = \"eth1\"",
        30,
        "both `interface` and `service` are tracked",
        "give `service` a `[[vrrp.track]]` of its own",
    );
    for key in ["interval = \"1s\"", "timeout = \"1s\"", "rise = 1", "fall = 1", "user = \"root\""]
    {
        let word = key.split(' ').next().expect("a key");
        let what = format!("`{word}` does not belong to a tracked `service`");
        let hint = format!("`{word}` belongs to a tracked `script`; take it out");
        refused("service = \"api\"", &format!("service = \"api\"\n{key}"), 31, &what, &hint);
    }
    for value in ["check.sh -v", ""] {
        let shown = value.split(' ').next().expect("a word");
        let what = format!("`script` is `{shown}`, which is not an absolute path");
        let hint = "write the whole path, beginning with `/`";
        refused("/usr/bin/curl  -fs https://localhost/", value, 19, &what, hint);
    }
    refused(
        "service = \"api\"",
        "service = \"apy\"",
        30,
        "there is no service `apy`",
        "did you mean `api`?",
    );
    refused(
        "service = \"api\"",
        "service = \"dns\"",
        30,
        "there is no service `dns`",
        "write the `name` of a `[[service]]`",
    );
}

#[test]
fn between_instances() {
    refused(
        "VI_6",
        "VI_1",
        33,
        "virtual router's name `VI_1` is already used on line 12",
        "give each virtual router's name once",
    );
    let second = |id: u8, address: &str| {
        format!(
            "{}[[vrrp]]\nname = \"VI_7\"\ninterface = \"eth0\"\nvirtual_router_id = {id}\n\
             addresses = [\"{address}\"]\n",
            routers("VI_1", "VI_1")
        )
    };
    assert_refused(
        &second(52, "fe80::7"),
        "lb.toml:68: `virtual_router_id` `52` is already used on `eth0` on line 45\nhint: routers \
         of one family on one interface are told apart by it: write another number, here and on \
         the neighbours",
    );
    // The first of them is unicast.
    super::assert_accepted(&second(51, "10.0.0.60"));
    for (address, router, line) in
        [("10.0.0.51/24", "VI_1", 18), ("2001:db8::99", "VI_1", 19), ("fe80::51", "VI_6", 47)]
    {
        let bare = address.split('/').next().expect("an address");
        assert_refused(
            &second(7, address),
            &format!(
                "lb.toml:69: `{bare}` is already held by `[[vrrp]]` `{router}` (line {line})\n\
                 hint: one virtual router holds an address; take it out here"
            ),
        );
    }
    refused(
        "\"10.0.0.51\"",
        "\"10.0.0.11\"",
        8,
        "`10.0.0.11` is the address of a backend (line 10)",
        "this node would take the backend's own address from it; write the VIP",
    );
}
