//! What is tracked, summed up for one instance: keepalived's algebra of weights and faults.
//!
//! A track is well, or it is not; one that nothing is known of yet is not. Well adds a weight above
//! zero, not well one below zero; a track of weight zero that is not well is a fault. The data plane
//! is such a track of every instance.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::config::vrrp::{Script, Track, Tracked};

#[cfg(test)]
mod tests;

/// The tracks of one instance and what is known of them.
#[derive(Clone, Debug)]
pub struct Tracks {
    entries: Vec<Entry>,
    attached: bool,
}

/// What an instance is to know of its tracks; the fields of
/// [`Event::Track`](super::machine::Event::Track).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Sum of the weights in effect.
    pub weight: i32,
    /// What of weight 0 is not well, in words, in the file's order; `None` = nothing.
    pub failed: Option<String>,
}

impl Tracks {
    /// Nothing is known of any of them; the program is attached.
    #[must_use]
    pub fn new(tracks: &[Track]) -> Self {
        Self { entries: tracks.iter().cloned().map(Entry::new).collect(), attached: true }
    }

    /// New tracks; what is known of a thing that was tracked before stays known. The others are
    /// taken for well until their first result, as keepalived does: a reload is no fault.
    pub fn reload(&mut self, tracks: &[Track]) {
        let old = std::mem::take(&mut self.entries);
        for track in tracks {
            let mut entry = Entry::new(track.clone());
            entry.presumed = true;
            if let Some(known) = old.iter().find(|old| old.watches(&track.what)) {
                entry.inherit(known);
            }
            self.entries.push(entry);
        }
    }

    /// Takes for well what nothing is known of yet, until its first result: an earlier run of the
    /// agent was active within its lease, so it was. Without this, a restart would be a fault.
    pub fn presume_well(&mut self) {
        for entry in &mut self.entries {
            entry.presumed = true;
        }
    }

    /// The track number `index`, from 0, has run its script. `reason` is said of a failure.
    pub fn script(&mut self, index: usize, passed: bool, reason: &str) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let Tracked::Script(script) = &entry.track.what else { return };
        entry.counter = Some(match entry.counter {
            None => Counter::first(script, passed),
            Some(counter) => counter.next(script, passed),
        });
        if !passed {
            reason.clone_into(&mut entry.reason);
        }
    }

    /// Names of the tracked interfaces.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        self.named(|what| match what {
            Tracked::Interface(name) => Some(name),
            Tracked::Script(_) | Tracked::Service(_) => None,
        })
    }

    /// Names of the tracked services.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.named(|what| match what {
            Tracked::Service(name) => Some(name),
            Tracked::Script(_) | Tracked::Interface(_) => None,
        })
    }

    fn named(&self, name: impl Fn(&Tracked) -> Option<&String>) -> Vec<String> {
        self.entries.iter().filter_map(|entry| name(&entry.track.what)).cloned().collect()
    }

    /// An interface is up, or is not.
    pub fn interface(&mut self, name: &str, up: bool) {
        self.observe(up, |what| matches!(what, Tracked::Interface(each) if each == name));
    }

    /// A service has a healthy backend, or has none.
    pub fn service(&mut self, name: &str, healthy: bool) {
        self.observe(healthy, |what| matches!(what, Tracked::Service(each) if each == name));
    }

    /// The XDP program is attached where it should be, or is not.
    pub const fn data_plane(&mut self, attached: bool) {
        self.attached = attached;
    }

    fn observe(&mut self, well: bool, watches: impl Fn(&Tracked) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| watches(&entry.track.what)) {
            entry.counter = Some(Counter::at_once(well));
        }
    }

    /// What the instance is to know now.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let mut failures: Vec<String> = Vec::new();
        if !self.attached {
            failures.push("the XDP program is not attached".to_owned());
        }
        let mut weight = 0;
        for entry in &self.entries {
            match (entry.track.weight, entry.is_well()) {
                (0, false) => failures.push(entry.failure()),
                (added @ 1.., true) | (added @ ..=-1, false) => weight += i32::from(added),
                (0 | ..=-1, true) | (1.., false) => {}
            }
        }
        let failed = (!failures.is_empty()).then(|| failures.join("; "));
        Sum { weight, failed }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    track: Track,
    /// `None` = nothing is known yet.
    counter: Option<Counter>,
    /// Whether that is taken for well.
    presumed: bool,
    /// Of a script's last failure.
    reason: String,
}

impl Entry {
    const fn new(track: Track) -> Self {
        Self { track, counter: None, presumed: false, reason: String::new() }
    }

    /// Whether it is about the same thing, however often that is looked at.
    fn watches(&self, what: &Tracked) -> bool {
        match (&self.track.what, what) {
            (Tracked::Script(own), Tracked::Script(other)) => {
                own.command == other.command && own.user == other.user
            }
            (own, other) => own == other,
        }
    }

    fn inherit(&mut self, known: &Self) {
        // The count towards a change begins anew: `rise` and `fall` may be others.
        self.counter = known.counter.map(|counter| match &self.track.what {
            Tracked::Script(script) => Counter::first(script, counter.well),
            Tracked::Interface(_) | Tracked::Service(_) => counter,
        });
        self.presumed = known.presumed;
        self.reason.clone_from(&known.reason);
    }

    fn is_well(&self) -> bool {
        self.counter.map_or(self.presumed, |counter| counter.well)
    }

    fn failure(&self) -> String {
        let known = self.counter.is_some();
        match &self.track.what {
            Tracked::Script(script) => {
                let program = script.command.first().map_or("", String::as_str);
                match (known, self.reason.as_str()) {
                    (false, _) => format!("script `{program}` has not run yet"),
                    (true, "") => format!("script `{program}` fails"),
                    (true, reason) => format!("script `{program}` fails: {reason}"),
                }
            }
            Tracked::Interface(name) if known => format!("interface `{name}` is down"),
            Tracked::Interface(name) => format!("interface `{name}` has not been looked at yet"),
            Tracked::Service(name) if known => format!("service `{name}` has no healthy backend"),
            Tracked::Service(name) => format!("service `{name}` has not been checked yet"),
        }
    }
}

/// keepalived's counter of a script, 0..=rise + fall - 1, of which `rise` and above is well.
///
/// A change takes `rise` successes or `fall` failures in a row; any other result in between throws
/// the count back to its end. The very first result decides alone.
#[derive(Clone, Copy, Debug)]
struct Counter {
    count: u32,
    well: bool,
}

impl Counter {
    /// Of what has no rise and fall.
    const fn at_once(well: bool) -> Self {
        Self { count: well as u32, well }
    }

    const fn first(script: &Script, passed: bool) -> Self {
        let count = if passed { script.rise + script.fall - 1 } else { 0 };
        Self { count, well: passed }
    }

    const fn next(self, script: &Script, passed: bool) -> Self {
        let full = script.rise + script.fall - 1;
        let count = match (passed, self.well) {
            (true, true) => full,
            (true, false) if self.count + 1 < script.rise => self.count + 1,
            (true, false) => full,
            (false, true) if self.count > script.rise => self.count - 1,
            (false, true | false) => 0,
        };
        Self { count, well: count >= script.rise }
    }
}
