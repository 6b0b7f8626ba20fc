//! The machine's part, on this machine: real interfaces, files and users.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd};
use tempfile::TempDir;

use super::*;
use crate::config::vrrp::{Authentication, Secret};

/// A directory with a sound CA, client certificate, key and program.
struct Machine {
    directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { directory: TempDir::new().expect("a directory") };
        let key = rcgen::generate_simple_self_signed(["test".to_owned()]).expect("a certificate");
        machine.put("ca.crt", &key.cert.pem(), 0o644);
        machine.put("client.crt", &key.cert.pem(), 0o644);
        machine.put("client.key", &key.signing_key.serialize_pem(), 0o600);
        machine.put("program", "#!/bin/sh\n", 0o755);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).expect("written");
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("mode set");
    }

    fn text(&self) -> String {
        let at = self.directory.path().display();
        format!(
            "[node]\ninterfaces = [\"lo\"]\n\
             [[service]]\nname = \"a\"\nvip = \"10.0.0.50\"\nport = 1\n\
             [service.check]\ntype = \"https\"\nca_file = \"{at}/ca.crt\"\n\
             client_cert = \"{at}/client.crt\"\nclient_key = \"{at}/client.key\"\n\
             [[service.backend]]\nname = \"a\"\naddress = \"10.0.0.11\"\n\
             [[service]]\nname = \"b\"\nvip = \"10.0.0.50\"\nport = 2\n\
             [service.check]\ntype = \"exec\"\ncommand = [\"{at}/program\"]\n\
             user = \"root\"\n\
             [[service.backend]]\nname = \"a\"\naddress = \"10.0.0.11\"\n"
        )
    }

    fn load(&self, text: &str) -> Result<Config, Errors> {
        self.put("lb.toml", text, 0o644);
        load(&self.path("lb.toml"))
    }

    /// `text` has this one problem, on this line; the cure depends on the machine.
    #[track_caller]
    fn assert_refused_at(&self, text: &str, line: usize, what: &str) {
        let errors = self.load(text).expect_err("refused");
        let [problem] = errors.problems() else { panic!("{errors}") };
        assert_eq!((problem.line(), problem.what().as_str()), (Some(line), what));
    }

    /// `text` has this one problem, on this line; `DIR` stands for the directory.
    #[track_caller]
    fn assert_refused(&self, text: &str, line: usize, what: &str, hint: &str) {
        let at = self.directory.path().display().to_string();
        let printed = self.load(text).expect_err("refused").to_string();
        let expected = format!("DIR/lb.toml:{line}: {what}\nhint: {hint}");
        assert_eq!(printed.replace(&at, "DIR"), expected);
    }
}

#[test]
fn a_sound_file_loads() {
    let machine = Machine::new();
    let config = machine.load(&machine.text()).expect("accepted");
    assert_eq!(config.services.len(), 2);
    let host_name = fs::read_to_string("/proc/sys/kernel/hostname").expect("a hostname");
    assert_eq!(config.node.name, host_name.trim_end());
}

#[test]
fn a_file_that_cannot_be_read() {
    let printed = |path: &Path| load(path).expect_err("refused").to_string();
    assert_eq!(
        printed(Path::new("/nonexistent/lb.toml")),
        "/nonexistent/lb.toml: failed to read the configuration: No such file or directory (os \
         error 2)\nhint: name the file with `--config FILE`; `packaging/lb.toml.example` is one to \
         start from"
    );
    assert_eq!(
        printed(Path::new("/")),
        "/: failed to read the configuration: Is a directory (os error 21)\n\
         hint: name a readable file with `--config FILE`"
    );
    let machine = Machine::new();
    fs::write(machine.path("latin1"), b"[node]\nname = \"\xe9\"\n").expect("written");
    let errors = load(&machine.path("latin1")).expect_err("refused");
    assert_eq!(errors.file(), machine.path("latin1"));
    assert_eq!(errors.problems()[0].line(), None);
    assert_eq!(errors.problems()[0].hint(), "the file must be UTF-8 text");
}

#[test]
fn interfaces() {
    let machine = Machine::new();
    let errors = machine.load(&machine.text().replace("\"lo\"", "\"lo\",\n\"lop\"")).expect_err("");
    let [problem] = errors.problems() else { panic!("{errors}") };
    assert_eq!(problem.line(), Some(3));
    assert_eq!(problem.what(), "`interfaces`: there is no interface `lop`");
    assert!(problem.hint().contains("this machine has `lo`"), "{}", problem.hint());
    let errors = machine.load(&machine.text().replace("\"lo\"", "\"eth99.nosuch\"")).expect_err("");
    assert!(errors.to_string().contains("there is no interface `eth99.nosuch`"), "{errors}");
}

#[test]
fn certificates() {
    let machine = Machine::new();
    for (line, key, file) in [(9, "ca_file", "ca.crt"), (10, "client_cert", "client.crt")] {
        let text = machine.text();
        let sound = fs::read_to_string(machine.path(file)).expect("read");
        fs::remove_file(machine.path(file)).expect("removed");
        machine.assert_refused(
            &text,
            line,
            &format!(
                "`{key}`: failed to read `DIR/{file}`: No such file or directory (os error 2)"
            ),
            "correct the path, or put the file there",
        );
        let pem = "name a PEM file: it has a line `-----BEGIN CERTIFICATE-----`";
        machine.put(file, "not a certificate\n", 0o644);
        let none = format!("`{key}`: `DIR/{file}` holds no certificate in PEM form");
        machine.assert_refused(&text, line, &none, pem);
        let private = fs::read_to_string(machine.path("client.key")).expect("read");
        machine.put(file, &private, 0o600);
        machine.assert_refused(&text, line, &none, pem);
        machine.put(file, &"x".repeat(1 << 21), 0o644);
        let large = format!("`{key}`: `DIR/{file}` is larger than 1 MiB");
        machine.assert_refused(&text, line, &large, pem);
        machine.put(file, &sound[..sound.len() / 2], 0o644);
        let errors = machine.load(&text).expect_err("cut off");
        assert!(errors.to_string().contains("is not sound PEM"), "{errors}");
        fs::remove_file(machine.path(file)).expect("removed");
        // A FIFO without a writer would block whoever opens it.
        unistd::mkfifo(&machine.path(file), Mode::S_IRWXU).expect("a FIFO");
        let special = format!("`{key}`: `DIR/{file}` is not a regular file");
        machine.assert_refused(&text, line, &special, "name a file");
        fs::remove_file(machine.path(file)).expect("removed");
        machine.put(file, &sound, 0o644);
    }
}

#[test]
fn private_keys() {
    let machine = Machine::new();
    let text = machine.text();
    let key = fs::read_to_string(machine.path("client.key")).expect("read");
    for mode in [0o640, 0o604, 0o601, 0o620] {
        machine.put("client.key", &key, mode);
        machine.assert_refused(
            &text,
            11,
            &format!(
                "`client_key`: `DIR/client.key` has mode 0{mode:o}: others than its owner may use it"
            ),
            "run `chmod 600 DIR/client.key`",
        );
    }
    machine.put("client.key", &key, 0o400);
    machine.load(&text).expect("read-only is fine");
    let certificate = fs::read_to_string(machine.path("ca.crt")).expect("read");
    machine.put("client.key", &certificate, 0o600);
    machine.assert_refused(
        &text,
        11,
        "`client_key`: `DIR/client.key` holds no private key in PEM form",
        "name a PEM file without a passphrase: it has a line `-----BEGIN PRIVATE KEY-----`",
    );
    machine.put("client.key", &key[..key.len() / 2], 0o600);
    let errors = machine.load(&text).expect_err("cut off");
    assert!(errors.to_string().contains("is not sound PEM"), "{errors}");
}

#[test]
fn programs_and_users() {
    let machine = Machine::new();
    let text = machine.text();
    machine.assert_refused(
        &text.replace("\"root\"", "\"nosuchuser\""),
        22,
        "`user`: there is no user `nosuchuser`",
        "create it with `useradd --system nosuchuser`, or name another",
    );
    machine.put("program", "#!/bin/sh\n", 0o644);
    machine.assert_refused(
        &text,
        21,
        "`command`: user `root` may not execute `DIR/program`, which has mode 0644",
        "run `chmod 755 DIR/program`, or name in `user` somebody who may execute it",
    );
    fs::remove_file(machine.path("program")).expect("removed");
    fs::create_dir(machine.path("program")).expect("a directory");
    let special = "`command`: `DIR/program` is not a regular file";
    machine.assert_refused(&text, 21, special, "name a file");
    fs::remove_dir(machine.path("program")).expect("removed");
    machine.assert_refused(
        &text,
        21,
        "`command`: failed to read `DIR/program`: No such file or directory (os error 2)",
        "correct the path, or put the file there",
    );
}

/// `SMALLEST` for this machine, and a virtual router with a secret.
fn with_secret(machine: &Machine) -> String {
    let at = machine.directory.path().display();
    format!(
        "[node]\ninterfaces = [\"lo\"]\n\
         [[service]]\nname = \"a\"\nvip = \"10.0.0.50\"\nport = 1\n\
         [[service.backend]]\nname = \"a\"\naddress = \"10.0.0.11\"\n\
         [[vrrp]]\nname = \"other\"\ninterface = \"lo\"\nvirtual_router_id = 1\n\
         addresses = [\"10.0.0.51\"]\n\
         [[vrrp]]\nname = \"V\"\ninterface = \"lo\"\nvirtual_router_id = 2\nversion = 2\n\
         addresses = [\"10.0.0.50\"]\n\
         authentication.type = \"pass\"\nauthentication.secret_file = \"{at}/secret\"\n"
    )
}

#[test]
fn secrets() {
    let machine = Machine::new();
    let text = with_secret(&machine);
    for (written, bytes) in [
        ("42\n", *b"42\0\0\0\0\0\0"),
        ("42", *b"42\0\0\0\0\0\0"),
        ("42\r\n", *b"42\0\0\0\0\0\0"),
        (" 42 \n", *b" 42 \0\0\0\0"),
        ("myP@sswo\n", *b"myP@sswo"),
    ] {
        machine.put("secret", written, 0o600);
        let config = machine.load(&text).expect("accepted");
        assert_eq!(config.vrrp[1].authentication, Authentication::Pass(Secret(bytes)));
        assert_eq!(config.vrrp[0].authentication, Authentication::None);
        assert_eq!(config.warnings, []);
        assert!(!format!("{config:?}").contains("42"), "a secret is not printed");
    }
    machine.put("secret", "myP@ssword\n", 0o600);
    let config = machine.load(&text).expect("accepted");
    assert_eq!(config.vrrp[1].authentication, Authentication::Pass(Secret(*b"myP@sswo")));
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    let at = machine.directory.path().display().to_string();
    assert_eq!(
        warning.printed(Path::new("lb.toml")).replace(&at, "DIR"),
        "lb.toml:22: warning: `DIR/secret` holds 10 bytes; VRRP has room for 8, the others are not \
         used\nhint: keepalived cuts its `auth_pass` likewise, so the neighbours agree; write the \
         first 8 alone to say what is meant"
    );
}

#[test]
fn secrets_that_are_none() {
    let machine = Machine::new();
    let text = with_secret(&machine);
    let refused = |what: &str, hint: &str| {
        machine.assert_refused(&text, 22, &format!("`secret_file`: {what}"), hint);
    };
    refused(
        "failed to read `DIR/secret`: No such file or directory (os error 2)",
        "correct the path, or put the file there",
    );
    let alone = "write the password alone, on one line";
    machine.put("secret", "one\ntwo\n", 0o600);
    refused("`DIR/secret` holds more than one line", alone);
    machine.put("secret", &"x".repeat(4097), 0o600);
    refused("`DIR/secret` is larger than 4 KiB", alone);
    for nothing in ["", "\n", "\r\n"] {
        machine.put("secret", nothing, 0o600);
        refused(
            "`DIR/secret` holds no secret",
            "write the neighbours' password into it: keepalived's `auth_pass`",
        );
    }
    for mode in [0o640, 0o604] {
        machine.put("secret", "42", mode);
        refused(
            &format!("`DIR/secret` has mode 0{mode:o}: others than its owner may use it"),
            "run `chmod 600 DIR/secret`",
        );
    }
}

#[test]
fn what_routers_and_notices_name() {
    let machine = Machine::new();
    machine.put("secret", "42", 0o600);
    let at = machine.directory.path().display();
    let text = with_secret(&machine);
    for (section, line, what) in [
        (
            "[[vrrp.track]]\nscript = \"DIR/nothing -v\"\n",
            24,
            "`script`: failed to read `DIR/nothing`",
        ),
        (
            "[[vrrp.track]]\ninterface = \"eth99\"\n",
            24,
            "`interface`: there is no interface `eth99`",
        ),
        ("[notify]\ncommand = [\"DIR/nothing\"]\n", 24, "`command`: failed to read `DIR/nothing`"),
        (
            "[notify]\ncommand = [\"DIR/program\"]\nuser = \"nosuchuser\"\n",
            25,
            "`user`: there is no user `nosuchuser`",
        ),
        (
            "[notify.webhook]\nurl = \"https://h.example/\"\nca_file = \"DIR/secret\"\n",
            25,
            "`ca_file`: `DIR/secret` holds no certificate in PEM form",
        ),
    ] {
        let section = section.replace("DIR", &at.to_string());
        let errors = machine.load(&format!("{text}{section}")).expect_err("refused");
        let printed = errors.to_string().replace(&at.to_string(), "DIR");
        assert_eq!(errors.problems().len(), 1, "{printed}");
        assert!(printed.starts_with(&format!("DIR/lb.toml:{line}: {what}")), "{printed}");
    }
    let missing = text.replace(
        "interface = \"lo\"\nvirtual_router_id = 2",
        "interface = \"l0\"\nvirtual_router_id = 2",
    );
    machine.assert_refused_at(&missing, 17, "`interface`: there is no interface `l0`");
}

/// The default user is not the one who installed the script.
#[test]
fn a_program_for_its_owner_alone() {
    let machine = Machine::new();
    machine.put("program", "#!/bin/sh\n", 0o700);
    let nobody = machine.text().replace("user = \"root\"\n", "");
    let owner = fs::metadata(machine.path("program")).expect("metadata");
    let nobody_id = unistd::User::from_name("nobody").expect("users").expect("nobody").uid;
    assert_ne!(std::os::unix::fs::MetadataExt::uid(&owner), nobody_id.as_raw());
    machine.assert_refused(
        &nobody,
        21,
        "`command`: user `nobody` may not execute `DIR/program`, which has mode 0700",
        "run `chmod 755 DIR/program`, or name in `user` somebody who may execute it",
    );
    machine.put("program", "#!/bin/sh\n", 0o701);
    machine.load(&nobody).expect("others may");
    machine.load(&machine.text()).expect("root may");
}

#[test]
fn the_text_and_the_machine_are_judged_in_one_go() {
    let machine = Machine::new();
    fs::remove_file(machine.path("ca.crt")).expect("removed");
    let text = machine.text().replace("port = 2", "prot = 2");
    let errors = machine.load(&text).expect_err("refused");
    let lines: Vec<_> = errors.problems().iter().filter_map(Problem::line).collect();
    assert_eq!(lines, [9, 15, 18], "{errors}");
}
