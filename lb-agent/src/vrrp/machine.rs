//! The state machine of one VRRP instance (RFC 9568 §6.4), and the router that holds all of a
//! node's instances and moves the members of a sync group together.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod event;

pub use self::event::{Action, Cause, Event, Params, Send, State, Transition};
