//! Bad command lines and configurations, as a user meets them.

use std::{fs, os::unix::fs::PermissionsExt};

use lb_tests::agent::agent_command;

use crate::attempt::{Ended, config, ended, lab};

#[test]
fn a_bad_configuration_is_shown_with_place_value_and_cure() {
    let (lab, _servers) = lab(2);
    let balancer = lab.lb(1);
    let good = config(&lab).to_toml();
    let file = balancer.file("lb.toml");
    let exposed = balancer.file("exposed.key");
    fs::write(&exposed, fs::read(lab.pki().key("cp-01")).unwrap()).unwrap();
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    let secret = format!(
        "type = \"https\"\ninsecure = true\nclient_cert = {:?}\nclient_key = {exposed:?}",
        lab.pki().certificate("cp-01")
    );
    let check = |text: &str| -> Ended {
        fs::write(&file, text).unwrap();
        let mut command = agent_command(balancer).unwrap();
        command.arg("check").arg("--config").arg(&file);
        ended(balancer, command)
    };
    check(&good).says(0, &["1 services, 2 backends: all right"]);
    let missing = "type = \"https\"\nca_file = \"/nowhere/ca.crt\"";
    let cases: [(&str, &str, &str, &[&str]); 8] = [
        ("timeout = ", "timeuot = ", "timeuot", &["unknown key `timeuot`", "`timeout`"]),
        ("vip = \"10.47.160.50\"", "vip = \"10.47.160\"", "vip = ", &["`vip` is `10.47.160`"]),
        (
            "address = \"10.47.160.12\"",
            "address = \"10.47.160.50\"",
            "address = \"10.47.160.50\"",
            &["backend address `10.47.160.50` is the VIP of service `echo`"],
        ),
        (
            "address = \"10.47.160.12\"",
            "address = \"fd47:160::12\"",
            "address = \"fd47:160::12\"",
            &["not of the same family as the VIP `10.47.160.50`"],
        ),
        ("name = \"cp-02\"", "name = \"cp-01\"", "", &["`cp-01` is already used on line"]),
        ("weight = 1\n", "weight = 257\n", "weight = 257", &["`weight` is `257`"]),
        ("type = \"tcp\"", missing, "ca_file", &["`/nowhere/ca.crt`", "No such file"]),
        ("type = \"tcp\"", &secret, "client_key", &["lb-01.exposed.key`", "0644"]),
    ];
    for (from, to, line, parts) in cases {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let ended = check(&text);
        ended.says(78, parts);
        ended.says(78, &["hint: "]);
        if !line.is_empty() {
            let number = text.lines().position(|one| one.contains(line)).unwrap() + 1;
            ended.says(78, &[&format!("{}:{number}: ", file.display())]);
        }
    }
    let all = good.replacen("weight = 1", "weight = 257", 1).replacen("timeout", "timeuot", 1);
    check(&all).says(78, &["`weight` is `257`", "unknown key `timeuot`"]);
    fs::remove_file(&file).unwrap();
    let mut command = agent_command(balancer).unwrap();
    command.arg("run").arg("--config").arg(&file);
    ended(balancer, command).says(78, &["failed to read the configuration", "hint: "]);
}

#[test]
fn a_bad_command_line_is_64() {
    let (lab, _servers) = lab(1);
    let lines: [(&[&str], &str); 4] = [
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&["check", "--verbose"], "unexpected argument '--verbose'"),
        (&["backend", "drain", "cp-01"], "`cp-01` is not of the form SERVICE/BACKEND"),
        (&[], "Usage: "),
    ];
    for (args, said) in lines {
        let mut command = agent_command(lab.lb(1)).unwrap();
        command.args(args);
        ended(lab.lb(1), command).says(64, &[said]);
    }
    let mut command = agent_command(lab.lb(1)).unwrap();
    command.arg("--version");
    ended(lab.lb(1), command).says(0, &["lb-agent"]);
}
