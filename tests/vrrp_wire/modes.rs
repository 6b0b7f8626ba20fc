//! Every mode that keepalived and we have in common, all at the same time.

use std::{net::IpAddr, thread, time::Duration};

use lb_agent::{
    config::vrrp::{Authentication, Secret},
    vrrp::{
        Version,
        packet::{Coverage, Reason, Settings, Unicast},
    },
};

use crate::{
    keepalived::Keepalived,
    pair::{Pair, eventually},
    speaker::Speaker,
};

const NODE: &str = "10.1.0.1";
const PEER: &str = "10.1.0.2";
const NODE6: &str = "fd00:1::1";
const PEER6: &str = "fd00:1::2";

/// Of version 3: short, and a stall of the machine within the peer's patience (1.8 s) does no harm.
const INTERVAL: Duration = Duration::from_millis(500);

struct Mode {
    name: &'static str,
    settings: Settings,
    /// Lines of keepalived's instance.
    options: String,
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|address| address.parse().expect("an address")).collect()
}

fn secret(bytes: &[u8]) -> Secret {
    let mut secret = [0; 8];
    secret[..bytes.len()].copy_from_slice(bytes);
    Secret(secret)
}

fn mode(
    name: &'static str,
    version: Version,
    interval: Duration,
    vips: &[&str],
    options: &str,
) -> Mode {
    let settings = Settings {
        version,
        virtual_router_id: 51,
        addresses: addresses(vips),
        authentication: Authentication::None,
        unicast: None,
        advert_interval: interval,
    };
    let seconds = interval.as_secs_f64();
    let list = vips.join("\n");
    let options = format!("advert_int {seconds}\n virtual_ipaddress {{\n{list}\n}}\n{options}");
    Mode { name, settings, options }
}

fn v2(name: &'static str, options: &str) -> Mode {
    let vips = ["10.1.0.100", "10.1.0.101"];
    mode(name, Version::V2, Duration::from_secs(1), &vips, options)
}

impl Mode {
    fn with(mut self, kind: &str, authentication: Authentication, text: &str) -> Self {
        self.settings.authentication = authentication;
        self.options += &format!("\nauthentication {{\n auth_type {kind}\n auth_pass {text}\n}}");
        self
    }

    fn pass(self) -> Self {
        // Cut to eight bytes by keepalived, with a word about it.
        self.with("PASS", Authentication::Pass(secret(b"s3cr3t")), "s3cr3t")
    }

    fn ah(self) -> Self {
        self.with("AH", Authentication::Ah(secret(b"myP@sswo")), "myP@sswo")
    }

    fn unicast(mut self, node: &str, peer: &str) -> Self {
        let peers = addresses(&[peer]);
        self.settings.unicast = Some(Unicast { peers, check_source: true });
        self.options += &format!("\nunicast_src_ip {peer}\nunicast_peer {{\n {node}\n}}");
        self
    }
}

fn modes() -> Vec<Mode> {
    let v3 = |name, vips: &[&str]| mode(name, Version::V3, INTERVAL, vips, "");
    vec![
        v2("v2", ""),
        v2("v2 PASS", "").pass(),
        v2("v2 AH", "").ah(),
        v2("v2 PASS unicast", "").pass().unicast(NODE, PEER),
        v2("v2 AH unicast", "").ah().unicast(NODE, PEER),
        v3("v3", &["10.1.0.100"]),
        v3("v3 unicast", &["10.1.0.100"]).unicast(NODE, PEER),
        v3("v3 IPv6", &["fe80::51", "fd00:1::100"]),
        v3("v3 IPv6 unicast", &["fe80::51", "fd00:1::100"]).unicast(NODE6, PEER6),
    ]
}

#[test]
fn keepalived_is_heard_in_every_mode_and_hears_us() {
    let outcomes = thread::scope(|scope| {
        let running: Vec<_> =
            modes().into_iter().map(|mode| (mode.name, scope.spawn(|| converse(mode)))).collect();
        let ended = running.into_iter().map(|(name, run)| (name, run.join().is_err()));
        ended.collect::<Vec<_>>()
    });
    let failed: Vec<_> = outcomes.iter().filter(|(_, failed)| *failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn converse(mode: Mode) {
    let Some(pair) = Pair::new() else { return };
    let Mode { name, settings, options } = mode;
    let version = if settings.version == Version::V2 { 2 } else { 3 };
    let wanted = if version == 2 { Coverage::Message } else { Coverage::PseudoHeader };
    let interval = settings.advert_interval;
    let mut speaker = pair.node(|| Speaker::new(settings));
    let peer = pair.peer(|| Keepalived::start(version, &options));
    let mut heard = Vec::new();
    let what = |words: &str| format!("{name}: {words}");

    pair.node(|| {
        // It is master, and says so.
        speaker.speak_until(&what("three adverts"), None, &mut heard, |heard, _| heard.len() >= 3);
        for advert in &heard {
            assert_eq!((advert.heard.priority, advert.heard.interval), (100, interval), "{name}");
            assert_eq!(advert.coverage, wanted, "{name}");
        }
        assert_eq!((peer.times_master(), peer.times_backup()), (1, 1), "{name}");

        // We outrank it: it backs off, and stays backup while we speak.
        let mut backed_off_at = None;
        speaker.speak_until(&what("back off"), Some(150), &mut heard, |_, said| {
            if backed_off_at.is_none() && peer.times_backup() == 2 {
                backed_off_at = Some(said);
            }
            backed_off_at.is_some_and(|at| said >= at + 4)
        });
        assert_eq!((peer.times_master(), peer.times_backup()), (1, 2), "{name}");
        assert!(speaker.hear().is_none(), "{name}: it speaks as backup");

        // We hand over, with the mark that version 2 has for it.
        let before = heard.len();
        speaker.say(0, true);
        speaker
            .speak_until(&what("take over"), None, &mut heard, |heard, _| heard.len() > before + 2);
        assert!(peer.log().contains("Backup received priority 0 advertisement"), "{name}");
        assert_eq!((peer.times_master(), peer.times_backup()), (2, 2), "{name}");
    });
    let complaints = peer.complaints();
    assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    drop(peer);
}

/// The proof that a complaint would have been seen, and that refused packets are reported.
#[test]
fn a_wrong_password_is_refused_on_both_sides() {
    let Some(pair) = Pair::new() else { return };
    let Mode { mut settings, options, .. } = v2("v2 PASS", "").pass();
    settings.authentication = Authentication::Pass(secret(b"another"));
    let mut speaker = pair.node(|| Speaker::new(settings));
    let peer = pair.peer(|| Keepalived::start(2, &options));
    pair.node(|| {
        let objection = eventually("an advert", || speaker.hear()).expect_err("another password");
        assert_eq!(objection.reason, Reason::WrongPassword);
        assert_eq!(objection.sender, PEER.parse().ok());
        let said = |peer: &Keepalived| {
            peer.complaints().iter().any(|line| line.contains("received an invalid passwd"))
        };
        eventually("a complaint", || {
            speaker.say(150, false);
            said(&peer).then_some(())
        });
    });
    assert_eq!(peer.times_backup(), 1, "it stays master");
}
