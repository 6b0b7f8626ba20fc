//! Every state with every event.

use super::*;

/// Priority 100 at 1 s in version 3, with a router of priority 95 known: new, released, shut
/// down, backup, active, in fault.
fn rigs() -> [Rig; 6] {
    let mut backup = Rig::backup(v3(100, 1000));
    backup.take(advert(2, 95, 1000));
    let mut released = backup.clone();
    released.take(Event::Release);
    let mut ended = backup.clone();
    ended.take(Event::Shutdown);
    let mut active = backup.clone();
    active.time_out();
    active.pass(ms(250));
    let mut fault = backup.clone();
    fault.take(failed());
    [Rig::new(v3(100, 1000)), released, ended, backup, active, fault]
}

const fn short(state: State) -> char {
    match state {
        State::Init => 'I',
        State::Backup => 'B',
        State::Active => 'A',
        State::Fault => 'F',
    }
}

fn check(name: &str, expected: &str, act: impl Fn(&mut Rig) -> String) {
    let expected: Vec<_> = expected.split_whitespace().collect();
    assert_eq!(expected.len(), 6, "{name}");
    let columns = ["new", "released", "ended", "backup", "active", "fault"];
    for ((mut rig, expected), column) in rigs().into_iter().zip(expected).zip(columns) {
        let old = rig.machine.state();
        let kinds = act(&mut rig);
        let new = rig.machine.state();
        assert_eq!(format!("{}{kinds}", short(new)), expected, "{name} in {column}");
        assert_eq!(kinds.contains('C'), old != new, "{name} in {column}: {kinds}");
        let running = matches!(new, State::Backup | State::Active);
        assert_eq!(rig.machine.next_deadline().is_some(), running, "{name} in {column}: timer");
        assert_eq!(rig.machine.lease().is_some(), new == State::Active, "{name} in {column}");
        assert!(rig.machine.next_deadline().is_none_or(|due| due > rig.now), "{name} in {column}");
    }
}

/// Name, what each column gives, and the event.
type Row<'a> = (&'a str, &'a str, &'a dyn Fn(&Rig) -> Event);

#[test]
fn every_state_with_every_event() {
    let lease = |rig: &Rig, after: u64| Some(rig.now - ms(10) + ms(after));
    #[rustfmt::skip]
    let rows: [Row<'_>; 21] = [
        //                   new     rel  end  backup active  fault
        ("start",           "BC      I    I    B    A       F",  &|_| Event::Start { lease: None }),
        ("start, lease",    "ASLHC   I    I    B    A       F",  &|r| Event::Start { lease: lease(r, 11) }),
        ("start, no lease", "BC      I    I    B    A       F",  &|r| Event::Start { lease: lease(r, 10) }),
        ("priority 0",      "I       I    I    B    ASL     F",  &|_| advert(9, 0, 1000)),
        ("hand-over",       "I       I    I    B    ASL     F",  &|_| hand_over(9)),
        ("lower",           "I       I    I    B    ASLA    F",  &|_| advert(9, 99, 1000)),
        ("equal, below",    "I       I    I    B    ASLA    F",  &|_| advert(4, 100, 1000)),
        ("equal, itself",   "I       I    I    B    A       F",  &|_| advert(OWN, 100, 1000)),
        ("equal, above",    "I       I    I    B    BNDC    F",  &|_| advert(6, 100, 1000)),
        ("greater",         "I       I    I    B    BNDC    F",  &|_| advert(4, 101, 1000)),
        ("link down",       "I       I    I    FC   FNDC    F",  &|_| Event::Link(false)),
        ("link up",         "I       I    I    B    A       F",  &|_| Event::Link(true)),
        ("no source",       "I       I    I    FC   FNDC    F",  &|_| Event::Source(None)),
        ("other source",    "I       I    I    B    A       F",  &|_| Event::Source(Some(ip(7)))),
        ("weight up",       "I       I    I    B    A       BC", &|_| track(5)),
        ("weight down",     "I       I    I    B    A       BC", &|_| track(-4)),
        ("weight below",    "I       I    I    B    BNsZDC  BC", &|_| track(-6)),
        ("failure",         "I       I    I    FC   FNsZDC  F",  &|_| failed()),
        ("release",         "I       I    I    IC   INsZDC  IC", &|_| Event::Release),
        ("resume",          "I       BC   I    B    A       F",  &|_| Event::Resume),
        ("shutdown",        "I       I    I    IC   INsZDC  IC", &|_| Event::Shutdown),
    ];
    for (name, expected, event) in rows {
        check(name, expected, |rig| {
            let event = event(rig);
            rig.take(event)
        });
    }
    check("reconfigure", "I I I B ASL F", |rig| rig.take(Event::Reconfigure(v3(90, 500))));
}

#[test]
fn every_state_with_the_timer() {
    check("early", "I I I B A F", |rig| {
        if let Some(due) = rig.machine.next_deadline() {
            rig.now = due - Duration::from_nanos(1);
        }
        rig.expire()
    });
    check("due", "I I I ASLHC ASL F", |rig| {
        rig.now = rig.machine.next_deadline().unwrap_or(rig.now);
        rig.expire()
    });
    check("a minute late", "I I I ASLHC BNDC F", |rig| {
        rig.pass(ms(60_000));
        rig.expire()
    });
}

/// Whatever comes first after the lease's end finds a backup.
#[test]
fn every_event_after_the_lease() {
    let late = |event: Event| {
        let mut rig = rigs()[4].clone();
        rig.now = rig.machine.lease().unwrap();
        let kinds = rig.take(event);
        assert!(rig.out.iter().any(|action| matches!(
            action,
            Action::Changed(Transition { cause: Cause::Late(_), new: State::Backup, .. })
        )));
        format!("{}{kinds}", short(rig.machine.state()))
    };
    assert_eq!(late(advert(2, 95, 1000)), "BNDC");
    assert_eq!(late(advert(9, 0, 1000)), "BNDC");
    assert_eq!(late(advert(9, 200, 1000)), "BNDC");
    assert_eq!(late(Event::Link(true)), "BNDC");
    assert_eq!(late(track(-50)), "BNDC");
    assert_eq!(late(failed()), "FNDCC");
    assert_eq!(late(Event::Release), "INDCC");
    assert_eq!(late(Event::Shutdown), "INDCC");
    assert_eq!(late(Event::Reconfigure(v3(200, 1000))), "BNDC");
}

#[test]
fn one_nanosecond_before_the_leases_end_it_is_active() {
    let mut rig = Rig::active(v3(100, 1000));
    rig.now = rig.machine.lease().unwrap() - Duration::from_nanos(1);
    assert_eq!(rig.expire(), "SL");
}
