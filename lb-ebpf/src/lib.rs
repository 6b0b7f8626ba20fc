//! The packet path, as far as it knows neither maps nor contexts: it runs on the host too.
//!
//! ```text
//! frame ── parse ──► Packet ──(main.rs: flow │ service ► select)──► Rewrite ── rewrite ──► frame
//!             │                                       │
//!             └► icmp (quoted tuple) ─────────────────┴► reset (RST back to the sender)
//! ```
//! What is not for us may still ask for a VIP: that is [`claim`]'s.
//!
//! [`cursor`] is the only room here with `unsafe`: all packet memory goes through it.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod claim;
pub mod csum;
pub mod cursor;
pub mod header;
pub mod icmp;
pub mod parse;
pub mod reset;
pub mod rewrite;
pub mod select;

#[cfg(test)]
mod tests;
