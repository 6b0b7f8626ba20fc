//! The agent: one loop that turns what happens into what is done.

pub mod event;
pub mod state;
pub mod status;
