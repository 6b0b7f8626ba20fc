//! Fuzz targets: each takes any bytes, and panics when a decoder does or when what it returned
//! contradicts itself.
//!
//! They run under libFuzzer (`cargo xtask test fuzz`, the program of this package), and over their
//! seeds in the unit tests.

mod claim;
mod config;
mod program;
mod vrrp;

/// One decoder.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As given to `cargo xtask test fuzz`.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "vrrp", run: vrrp::run, seeds: vrrp::seeds },
    Target { name: "config", run: config::run, seeds: config::seeds },
    Target { name: "claim", run: claim::run, seeds: claim::seeds },
    Target { name: "program", run: program::run, seeds: program::seeds },
];

#[cfg(test)]
mod tests;
