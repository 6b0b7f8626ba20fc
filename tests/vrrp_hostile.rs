//! Wrong, hostile and broken neighbours of a working pair: each reason is counted, and told once;
//! the election stays as it is. Needs root.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

#[path = "vrrp_hostile/rival.rs"]
mod rival;
#[path = "vrrp_hostile/tolerated.rs"]
mod tolerated;
#[path = "vrrp_hostile/voice.rs"]
mod voice;

use std::time::Duration;

use lb_agent::{
    config::vrrp::Authentication,
    vrrp::{Version, packet::Reason},
};
use lb_tests::{
    lab::topology,
    routers::{Routers, Table, config, lab},
    wait::{SOON, wait_until},
};
use voice::{Voice, recompute, secret, settings};

/// Packets of each kind. One that was believed would move the VIP.
const PACKETS: u64 = 200;

/// What a packet's bytes become.
type Mangle = fn(&mut Vec<u8>);

/// A kind of bad packet, and what is said of it.
struct Bad {
    reason: Reason,
    settings: lb_agent::vrrp::packet::Settings,
    mangle: Mangle,
}

fn bad(reason: Reason, settings: lb_agent::vrrp::packet::Settings, mangle: Mangle) -> Bad {
    Bad { reason, settings, mangle }
}

/// A TTL that does not begin at 255. The kernel fills in the header's checksum.
const TTL: Mangle = |packet| packet[8] = 254;

/// Bytes of the message.
const MESSAGE: usize = 20;

fn a_pair(version: u8, authentication: Option<&str>) -> Routers {
    let vip = topology::vip4(1);
    let lab = lab().unwrap();
    let secret_file = lab.dir().join("vrrp.secret");
    voice::write_secret(&secret_file, "Correct1");
    let mut table = Table::new(101, vip);
    table.version = version;
    if version == 3 {
        table.interval = Duration::from_millis(100);
    }
    if let Some(kind) = authentication {
        table = table.line(&format!(
            "authentication = {{ type = \"{kind}\", secret_file = {secret_file:?} }}"
        ));
    }
    let configs = vec![
        config(&lab, 1, vip, std::slice::from_ref(&table)),
        config(&lab, 2, vip, &[table.priority(100)]),
    ];
    Routers::start(lab, vip, configs).unwrap()
}

/// Each kind is sent 200 times with the highest priority there is.
fn nothing_moves(routers: &Routers, kinds: Vec<Bad>) {
    let before: Vec<_> = (0..2).map(|node| routers.transitions(node)).collect();
    for (number, Bad { reason, settings, mangle }) in kinds.into_iter().enumerate() {
        let mut voice = Voice::new(&routers.lab, settings);
        for _ in 0..PACKETS {
            voice.say(254, mangle);
        }
        for node in 0..2 {
            let what = format!("kind {number}, {}: lb-0{} to count them", reason.name(), node + 1);
            wait_until(&what, SOON, || routers.objections(node, reason.name()).unwrap() >= PACKETS)
                .unwrap();
            assert_eq!(routers.objections(node, reason.name()).unwrap(), PACKETS, "{what}");
            let lines = routers.log(node, &["is refused", &reason.to_string()]);
            assert_eq!(lines.len(), 1, "{what}: {lines:#?}");
            assert!(lines[0].contains(&voice.source().to_string()), "{lines:#?}");
        }
    }
    routers.wait_owner(0).unwrap();
    let after: Vec<_> = (0..2).map(|node| routers.transitions(node)).collect();
    assert_eq!(after, before);
}

#[test]
fn passwords_are_not_guessed() {
    let routers = a_pair(2, Some("pass"));
    let right = Authentication::Pass(secret("Correct1"));
    let v2 = |authentication| settings(Version::V2, routers.vip, authentication);
    let good = || v2(right.clone());
    nothing_moves(
        &routers,
        vec![
            bad(Reason::WrongPassword, v2(Authentication::Pass(secret("Foreign1"))), |_| {}),
            bad(Reason::WrongAuthType, v2(Authentication::None), |_| {}),
            bad(Reason::UnexpectedAh, v2(Authentication::Ah(secret("Correct1"))), |_| {}),
            bad(
                Reason::WrongVersion,
                settings(Version::V3, routers.vip, Authentication::None),
                |_| {},
            ),
            bad(Reason::BadTtl, good(), TTL),
            bad(Reason::BadLength, good(), |packet| packet.truncate(packet.len() - 3)),
            bad(Reason::ZeroInterval, good(), |packet| {
                packet[MESSAGE + 5] = 0;
                recompute(packet, false);
            }),
            bad(Reason::BadType, good(), |packet| {
                packet[MESSAGE] = 0x22;
                recompute(packet, false);
            }),
            bad(Reason::Checksum, good(), |packet| packet[MESSAGE + 6] ^= 0xff),
            bad(Reason::Truncated, good(), |packet| packet.truncate(MESSAGE + 5)),
        ],
    );
}

#[test]
fn authentication_headers_are_not_forged() {
    let routers = a_pair(2, Some("ah"));
    let v2 = |authentication| settings(Version::V2, routers.vip, authentication);
    let good = || v2(Authentication::Ah(secret("Correct1")));
    nothing_moves(
        &routers,
        vec![
            bad(Reason::MissingAh, v2(Authentication::None), |_| {}),
            bad(Reason::AhIcv, v2(Authentication::Ah(secret("Foreign1"))), voice::LATE_NUMBER),
            bad(Reason::AhSpi, good(), |packet| packet[MESSAGE + 4] ^= 1),
            bad(Reason::BadAhHeader, good(), |packet| packet[MESSAGE + 1] = 9),
            // Its numbers begin at 1, and ours began before.
            bad(Reason::AhReplay, good(), |packet| packet[MESSAGE + 8..][..4].fill(0)),
        ],
    );
}

#[test]
fn broken_packets_of_version_3_are_refused() {
    let routers = a_pair(3, None);
    let v3 = || settings(Version::V3, routers.vip, Authentication::None);
    nothing_moves(
        &routers,
        vec![
            bad(
                Reason::WrongVersion,
                settings(Version::V2, routers.vip, Authentication::None),
                |_| {},
            ),
            bad(Reason::BadTtl, v3(), TTL),
            bad(Reason::BadLength, v3(), |packet| packet.extend([0; 7])),
            bad(Reason::Checksum, v3(), |packet| *packet.last_mut().unwrap() ^= 1),
            bad(Reason::NoAddress, v3(), |packet| {
                packet.truncate(MESSAGE + 8);
                packet[MESSAGE + 3] = 0;
                recompute(packet, true);
            }),
            bad(Reason::ZeroInterval, v3(), |packet| {
                packet[MESSAGE + 4..][..2].fill(0);
                recompute(packet, true);
            }),
            bad(Reason::Truncated, v3(), |packet| packet.truncate(MESSAGE + 3)),
        ],
    );
}

/// Names of senders cost nothing to make up.
#[test]
fn made_up_senders_do_not_fill_the_log() {
    let routers = a_pair(3, None);
    let settings = settings(Version::V2, routers.vip, Authentication::None);
    let mut voice = Voice::new(&routers.lab, settings);
    let senders = 1000_u16;
    for sender in 0..senders {
        let [high, low] = sender.to_be_bytes();
        voice.say_from([10, 99, high, low].into(), 254, |_| {});
    }
    let reason = Reason::WrongVersion;
    wait_until("all of them to be counted", SOON, || {
        routers.objections(0, reason.name()).unwrap() == u64::from(senders)
    })
    .unwrap();
    let lines = routers.log(0, &["is refused", &reason.to_string()]);
    assert!((1..=256).contains(&lines.len()), "{} lines", lines.len());
    routers.wait_owner(0).unwrap();
}

/// What is no VRRP at all, to the group that the agents listen on.
#[test]
fn garbage_disturbs_nobody() {
    let routers = a_pair(3, None);
    let before = routers.transitions(0);
    let settings = settings(Version::V3, routers.vip, Authentication::None);
    let mut voice = Voice::new(&routers.lab, settings);
    for round in 0..PACKETS {
        voice.say(254, |packet| {
            let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            for byte in &mut packet[MESSAGE..] {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = state.to_le_bytes()[3];
            }
        });
    }
    // After them, on the same way.
    voice.say(254, TTL);
    wait_until("the last one to be counted", SOON, || {
        routers.objections(0, Reason::BadTtl.name()).unwrap() >= 1
    })
    .unwrap();
    routers.wait_owner(0).unwrap();
    assert_eq!(routers.transitions(0), before);
}
