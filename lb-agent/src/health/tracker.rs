//! Hysteresis: outcomes in a row become a state.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg(test)]
mod tests;

/// What is believed of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not seen up yet, and not failed often enough to be called down.
    Unknown,
    /// Gets traffic.
    Up,
    /// Gets none.
    Down,
}

/// A change of belief; its name is the new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// From unknown or down.
    Up,
    /// From unknown or up.
    Down,
}

/// The state of one backend's checks.
///
/// ```text
///            1 pass                  fall failures in a row
///  Unknown ─────────> Up ─────────────────────────────────> Down
///     │                ^                                    ^  │
///     │                └────────────────────────────────────┼──┘
///     │                       rise passes in a row          │
///     └─────────────────────────────────────────────────────┘
///                     fall failures in a row
/// ```
/// The first pass brings an unknown backend up at once: `rise` is there to distrust a backend that
/// has failed before, and at start every check waited for is an outage. A first failure decides
/// nothing by itself, because a single lost packet looks the same; an unknown backend gets no
/// traffic meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracker {
    rise: u32,
    fall: u32,
    state: State,
    /// Outcomes in a row that speak against `state`; below the limit that would change it.
    against: u32,
}

impl Tracker {
    /// `rise` passes in a row bring a backend up, `fall` failures take it down; zero counts as one.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), state: State::Unknown, against: 0 }
    }

    /// Takes in one outcome; the transition is reported once, with the outcome that decided it.
    #[must_use]
    pub fn observe(&mut self, passed: bool) -> Option<Transition> {
        match (self.state, passed) {
            (State::Unknown, true) => Some(self.turn(Transition::Up)),
            (State::Up, true) | (State::Down, false) => {
                self.against = 0;
                None
            }
            (State::Unknown | State::Up, false) => self.count(self.fall, Transition::Down),
            (State::Down, true) => self.count(self.rise, Transition::Up),
        }
    }

    /// What is believed now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the state is known and the last outcome agreed with it: no change is in progress.
    pub fn settled(&self) -> bool {
        match self.state {
            State::Unknown => false,
            State::Up | State::Down => self.against == 0,
        }
    }

    fn count(&mut self, limit: u32, transition: Transition) -> Option<Transition> {
        self.against += 1;
        (self.against >= limit).then(|| self.turn(transition))
    }

    fn turn(&mut self, transition: Transition) -> Transition {
        self.against = 0;
        self.state = match transition {
            Transition::Up => State::Up,
            Transition::Down => State::Down,
        };
        transition
    }
}
