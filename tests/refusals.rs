//! What the agent says, and leaves behind, where it cannot do its work. Needs root.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

#[path = "refusals/attempt.rs"]
mod attempt;
#[path = "refusals/bad_input.rs"]
mod bad_input;
#[path = "refusals/full.rs"]
mod full;
#[path = "refusals/machine.rs"]
mod machine;
#[path = "refusals/pins.rs"]
mod pins;
