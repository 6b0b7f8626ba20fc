//! The load balancer agent: health checks, BPF maps, control socket.
//!
//! The rooms and their directions are drawn in ARCHITECTURE.md.

pub mod agent;
pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod datapath;
pub mod frame;
pub mod health;
pub mod inject;
pub mod netlink;
pub mod notify;
pub mod process;
pub mod view;
pub mod vips;
pub mod vrrp;
