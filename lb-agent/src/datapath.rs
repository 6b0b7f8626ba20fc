//! Between the agent and the kernel: what the maps should hold, and the way it gets there.

pub mod ageing;
pub mod batch;
pub mod capabilities;
pub mod diagnostics;
pub mod error;
pub mod flows;
pub mod keeper;
pub mod leases;
pub mod maglev;
pub mod maps;
pub mod object;
mod occupant;
pub mod pins;
pub mod plan;
pub mod presence;
pub mod program;
pub mod reaper;
pub mod stats;

pub use self::error::Error;
