use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn script(rise: u32, fall: u32, weight: i16) -> Track {
    let script = Script {
        command: vec!["/etc/lb/check.sh".to_owned(), "secret".to_owned()],
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise,
        fall,
        user: "nobody".to_owned(),
    };
    Track { what: Tracked::Script(script), weight }
}

fn interface(name: &str, weight: i16) -> Track {
    Track { what: Tracked::Interface(name.to_owned()), weight }
}

fn service(name: &str, weight: i16) -> Track {
    Track { what: Tracked::Service(name.to_owned()), weight }
}

fn failed(tracks: &Tracks) -> String {
    tracks.sum().failed.unwrap_or_default()
}

/// Results as `+` and `-`, and after each of them whether the script is well.
fn course(rise: u32, fall: u32, results: &str) -> String {
    let mut tracks = Tracks::new(&[script(rise, fall, 0)]);
    let mut course = String::new();
    for result in results.chars() {
        tracks.script(0, result == '+', "no");
        course.push(if tracks.sum().failed.is_none() { '+' } else { '-' });
    }
    course
}

#[test]
fn rise_and_fall() {
    for (rise, fall, results, well) in [
        // The first result decides, whatever rise and fall are.
        (3, 3, "+", "+"),
        (3, 3, "-", "-"),
        // Then it takes a row.
        (1, 1, "+-+-", "+-+-"),
        (1, 3, "+---", "+++-"),
        (1, 3, "+--+--+---", "+++++++++-"),
        (3, 1, "-+++", "---+"),
        (3, 1, "-++-++-+++", "---------+"),
        (2, 2, "+--++--", "++--++-"),
        (2, 3, "+---+-++---", "+++----+++-"),
    ] {
        assert_eq!(course(rise, fall, results), well, "rise {rise}, fall {fall}: {results}");
    }
}

#[test]
fn weights_in_every_state() {
    // Weight, and its part of the sum before the first result, when well, when not.
    for (weight, unknown, well, failing) in [(7, 0, 7, 0), (-7, -7, 0, -7), (0, 0, 0, 0)] {
        let mut of_script = Tracks::new(&[script(1, 1, weight)]);
        let mut of_link = Tracks::new(&[interface("eth4", weight)]);
        let mut of_service = Tracks::new(&[service("api", weight)]);
        let sums = |tracks: [&Tracks; 3]| {
            tracks.map(|tracks| (tracks.sum().weight, !failed(tracks).is_empty()))
        };
        let fault = weight == 0;
        assert_eq!(sums([&of_script, &of_link, &of_service]), [(unknown, fault); 3]);
        for (passed, expected, fault) in [(true, well, false), (false, failing, fault)] {
            of_script.script(0, passed, "");
            of_link.interface("eth4", passed);
            of_service.service("api", passed);
            assert_eq!(sums([&of_script, &of_link, &of_service]), [(expected, fault); 3]);
        }
    }
}

#[test]
fn failures_in_words() {
    let mut tracks =
        Tracks::new(&[script(1, 1, 0), interface("eth4", 0), service("api", 0), script(1, 1, 5)]);
    assert_eq!(
        failed(&tracks),
        "script `/etc/lb/check.sh` has not run yet; interface `eth4` has not been looked at yet; \
         service `api` has not been checked yet"
    );
    tracks.script(0, false, "exit status 1: no quorum");
    tracks.interface("eth4", false);
    tracks.service("api", false);
    assert_eq!(
        failed(&tracks),
        "script `/etc/lb/check.sh` fails: exit status 1: no quorum; interface `eth4` is down; \
         service `api` has no healthy backend"
    );
    tracks.script(0, true, "");
    tracks.interface("eth4", true);
    tracks.service("api", true);
    assert_eq!(tracks.sum(), Sum::default());
    tracks.data_plane(false);
    assert_eq!(failed(&tracks), "the XDP program is not attached");
    tracks.data_plane(true);
    assert_eq!(tracks.sum(), Sum::default());
}

#[test]
fn what_is_not_tracked_changes_nothing() {
    let mut tracks = Tracks::new(&[script(1, 1, 1), interface("eth4", 2), service("api", 4)]);
    for index in [1, 2, 3] {
        tracks.script(index, true, "");
    }
    tracks.interface("eth5", true);
    tracks.interface("api", true);
    tracks.service("eth4", true);
    assert_eq!(tracks.sum().weight, 0);
    tracks.script(0, true, "");
    tracks.interface("eth4", true);
    tracks.service("api", true);
    assert_eq!(tracks.sum().weight, 7);
}

#[test]
fn a_resumed_instance_is_well_until_its_first_results() {
    let mut tracks = Tracks::new(&[script(2, 2, 0), script(1, 1, -5), service("api", 3)]);
    tracks.presume_well();
    assert_eq!(tracks.sum(), Sum { weight: 3, failed: None });
    tracks.script(0, false, "exit status 1");
    assert_eq!(failed(&tracks), "script `/etc/lb/check.sh` fails: exit status 1", "at once");
    tracks.script(1, false, "");
    tracks.service("api", false);
    assert_eq!(tracks.sum().weight, -5);
}

#[test]
fn a_reload_keeps_what_is_known() {
    let mut tracks = Tracks::new(&[script(1, 3, 0), interface("eth4", 5), service("api", 1)]);
    tracks.script(0, true, "");
    tracks.script(0, false, "exit status 1");
    tracks.interface("eth4", true);
    // In another order, with other weights and counts; `dns` is new.
    tracks.reload(&[service("dns", 100), interface("eth4", 7), script(1, 2, 0)]);
    assert_eq!(tracks.sum(), Sum { weight: 107, failed: None });
    tracks.service("dns", false);
    assert_eq!(tracks.sum(), Sum { weight: 7, failed: None });
    tracks.script(2, false, "exit status 2");
    assert_eq!(tracks.sum().failed, None, "the count begins anew");
    tracks.script(2, false, "exit status 3");
    assert_eq!(failed(&tracks), "script `/etc/lb/check.sh` fails: exit status 3");
    let Track { what: Tracked::Script(mut other), weight } = script(1, 1, 0) else {
        unreachable!()
    };
    other.command.pop();
    tracks.reload(&[Track { what: Tracked::Script(other), weight }]);
    assert_eq!(tracks.sum().failed, None, "it is another, and presumed well");
    tracks.script(0, false, "");
    assert_eq!(failed(&tracks), "script `/etc/lb/check.sh` fails");
}

/// What had not run before the reload has not run after it.
#[test]
fn a_reload_starts_nothing() {
    let mut tracks = Tracks::new(&[script(1, 1, 0)]);
    tracks.reload(&[script(1, 1, 0)]);
    assert_eq!(failed(&tracks), "script `/etc/lb/check.sh` has not run yet");
}

proptest! {
    /// The model: what the last `rise` or `fall` results agree on holds; without such, what held.
    #[test]
    fn a_row_decides(
        rise in 1..6_u32,
        fall in 1..6_u32,
        results in proptest::collection::vec(any::<bool>(), 1..60),
    ) {
        let mut tracks = Tracks::new(&[script(rise, fall, 3)]);
        let mut well = results[0];
        for end in 1..=results.len() {
            let row = |length: u32, of: bool| {
                end >= length as usize
                    && results[end - length as usize..end].iter().all(|result| *result == of)
            };
            if end > 1 && row(rise, true) {
                well = true;
            } else if end > 1 && row(fall, false) {
                well = false;
            }
            tracks.script(0, results[end - 1], "");
            prop_assert_eq!(tracks.sum().weight, if well { 3 } else { 0 }, "after {} results", end);
        }
    }

    /// The sum is that of the parts, and the order in which they are heard of is of no matter.
    #[test]
    fn parts_add_up(
        parts in proptest::collection::vec((-253..=253_i16, any::<Option<bool>>()), 0..20),
        backwards in any::<bool>(),
    ) {
        let name = |n: usize| format!("eth{n}");
        let all: Vec<Track> =
            parts.iter().enumerate().map(|(n, (weight, _))| interface(&name(n), *weight)).collect();
        let mut tracks = Tracks::new(&all);
        let mut heard: Vec<(usize, bool)> =
            parts.iter().enumerate().filter_map(|(n, (_, up))| Some((n, (*up)?))).collect();
        if backwards {
            heard.reverse();
        }
        for (n, up) in heard {
            tracks.interface(&name(n), up);
        }
        let well = |up: Option<bool>| up == Some(true);
        let part = |(weight, up): &(i16, Option<bool>)| {
            if (*weight > 0) == well(*up) { i32::from(*weight) } else { 0 }
        };
        prop_assert_eq!(tracks.sum().weight, parts.iter().map(part).sum::<i32>());
        let fault = parts.iter().any(|(weight, up)| *weight == 0 && !well(*up));
        prop_assert_eq!(tracks.sum().failed.is_some(), fault);
    }
}
