//! What the XDP program and the agent share: map keys and values, reasons, names and limits.
//!
//! No logic lives here beyond conversions of the types themselves. Every type that crosses the
//! kernel border passes through `map_type!` (`layout.rs`), which proves at compile time that it has
//! the promised size and no implicit padding (a padded hash key misses at random).
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

#[macro_use]
mod layout;

pub mod abi;
pub mod backend;
pub mod bench;
pub mod config;
pub mod counter;
pub mod flow;
pub mod lease;
pub mod maglev;
pub mod net;
pub mod reap;
pub mod reason;
pub mod service;
