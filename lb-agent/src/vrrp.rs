//! The Virtual Router Redundancy Protocol, version 2 (RFC 3768) and 3 (RFC 9568), as a neighbour
//! of keepalived.
//!
//! `packet` and `machine` are pure. Their vocabulary meets in [`Heard`] and [`machine::Send`]:
//! the codec turns bytes into the first and the second into bytes.

pub mod clock;
pub mod machine;
pub mod packet;
pub mod realtime;
pub mod script;
pub mod socket;
pub mod thread;
pub mod time;
pub mod track;

use std::{net::IpAddr, time::Duration};

/// The shortest interval that version 3 can advertise (a centisecond, RFC 9568 §5.2.7). A node that
/// hands over advertises it, so that its heirs' skew is a fraction of it.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds, authentication.
    V2,
    /// RFC 9568: both families, centiseconds.
    V3,
}

/// An advertisement that has passed every check of the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The sender's primary address, which breaks ties (RFC 9568 §6.4.3).
    pub source: IpAddr,
    /// Its priority; 0 = it has given up.
    pub priority: u8,
    /// Its advertisement interval.
    pub interval: Duration,
    /// A node of ours that hands over on purpose: with priority 0, whoever is next takes over
    /// after the skew of the shortest interval (10 ms) instead of version 2's of a second.
    pub hand_over: bool,
}
