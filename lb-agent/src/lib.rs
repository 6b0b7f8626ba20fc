//! The load balancer agent: health checks, BPF maps, control socket.
//!
//! The rooms and their directions are drawn in ARCHITECTURE.md.

pub mod agent;
pub mod config;
pub mod datapath;
pub mod health;
