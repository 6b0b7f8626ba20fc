//! What the machine's tests share.

mod group;
mod hand_over;
mod lan;
mod random;
mod reload;
mod rfc;
mod steps;
mod table;
mod timers;

use std::net::Ipv4Addr;

use super::*;
use crate::vrrp::Version;

/// Our own address in all tests of one machine; lower and higher ones surround it.
const OWN: u8 = 5;

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

const fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn params(version: Version, priority: u8, interval: Duration) -> Params {
    Params {
        version,
        priority,
        advert_interval: interval,
        preempt: true,
        preempt_delay: Duration::ZERO,
    }
}

fn v3(priority: u8, interval: u64) -> Params {
    params(Version::V3, priority, ms(interval))
}

fn v2(priority: u8) -> Params {
    params(Version::V2, priority, ms(1000))
}

fn advert(from: u8, priority: u8, interval: u64) -> Event {
    let (source, interval) = (ip(from), ms(interval));
    Event::Heard(Heard { source, priority, interval, hand_over: false })
}

fn hand_over(from: u8) -> Event {
    let (source, interval) = (ip(from), ms(10));
    Event::Heard(Heard { source, priority: 0, interval, hand_over: true })
}

fn track(weight: i32) -> Event {
    Event::Track { weight, failed: None }
}

fn failed() -> Event {
    Event::Track { weight: 0, failed: Some("`check.sh` fails".to_owned()) }
}

/// One letter per action: `S`end, with the `s`hortest interval, of priority `Z`ero; `L`ease, `N`o
/// lease, `H`old, `D`rop, `A`nnounce, `C`hanged.
fn letters(out: &[Action]) -> String {
    out.iter()
        .map(|action| match action {
            Action::Send(Send { priority: 0, .. }) => 'Z',
            Action::Send(Send { hand_over: true, .. }) => 's',
            Action::Send(_) => 'S',
            Action::Lease(Some(_)) => 'L',
            Action::Lease(None) => 'N',
            Action::Hold => 'H',
            Action::Drop => 'D',
            Action::Announce => 'A',
            Action::Changed(_) => 'C',
        })
        .collect()
}

/// A machine and its clock.
#[derive(Clone)]
struct Rig {
    machine: Machine,
    now: Time,
    out: Vec<Action>,
}

impl Rig {
    /// Link up, address 10.0.0.5, not started, a second after boot.
    fn new(params: Params) -> Self {
        let mut rig = Self { machine: Machine::new(params), now: at(1_000_000_000), out: vec![] };
        rig.take(Event::Link(true));
        rig.take(Event::Source(Some(ip(OWN))));
        rig
    }

    fn backup(params: Params) -> Self {
        let mut rig = Self::new(params);
        rig.take(Event::Start { lease: None });
        rig
    }

    /// Active since its timer has ended.
    fn active(params: Params) -> Self {
        let mut rig = Self::backup(params);
        rig.time_out();
        assert_eq!(rig.machine.state(), State::Active);
        rig
    }

    /// What the event alone has caused.
    fn take(&mut self, event: Event) -> String {
        self.out.clear();
        self.machine.handle(event, self.now, &mut self.out);
        letters(&self.out)
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    fn expire(&mut self) -> String {
        self.out.clear();
        self.machine.expire(self.now, &mut self.out);
        letters(&self.out)
    }

    /// Goes on to the deadline.
    fn time_out(&mut self) -> String {
        self.now = self.machine.next_deadline().expect("a timer runs");
        self.expire()
    }

    /// Nanoseconds until the deadline.
    fn left(&self) -> u128 {
        self.machine.next_deadline().expect("a timer runs").since(self.now).as_nanos()
    }

    fn cause(&self) -> Option<&Cause> {
        self.out.iter().rev().find_map(|action| match action {
            Action::Changed(change) => Some(&change.cause),
            _ => None,
        })
    }

    fn sent(&self) -> Vec<Send> {
        self.out
            .iter()
            .filter_map(|action| match action {
                Action::Send(send) => Some(*send),
                _ => None,
            })
            .collect()
    }
}
