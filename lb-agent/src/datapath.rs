//! The packet path as the agent sees it: what the maps should hold, and in which order they are
//! written.

pub mod maglev;
pub mod plan;
