//! What the benchmark's wrapper program is told and what it writes down; see
//! `cargo xtask bench datapath`. Never pinned, no part of the layout's version.

use crate::{flow::FlowKey, net::Addr};

/// Names in the benchmark's object.
pub mod name {
    /// Array of one [`Bench`](super::Bench).
    pub const STATE: &str = "bench";
    /// The programs that the wrapper can tail-call, by [`target`](super::target).
    pub const TARGETS: &str = "bench_targets";
    /// The wrapper.
    pub const RUN: &str = "bench_run";
    /// Floor: nothing at all.
    pub const EMPTY: &str = "bench_empty";
    /// Floor: the headers read into a key, and one look-up of it in `conns`.
    pub const LOOKUP: &str = "bench_lookup";
    /// Puts one flow per iteration, both directions, into `conns`.
    pub const FILL: &str = "bench_fill";
    /// Takes one half-open flow per iteration, both directions, out of `embryo`.
    pub const FORGET: &str = "bench_forget";
}

/// Indexes into the array of tail-call targets.
pub mod target {
    /// The balancer.
    pub const LB: u32 = 0;
    /// [`name::EMPTY`](super::name::EMPTY).
    pub const EMPTY: u32 = 1;
    /// [`name::LOOKUP`](super::name::LOOKUP).
    pub const LOOKUP: u32 = 2;
    /// Number of targets.
    pub const COUNT: usize = 3;
}

/// Words of the frame that are restored on every iteration: Ethernet, IPv6 and TCP headers fit.
pub const TEMPLATE_WORDS: usize = 10;
/// Time stamps that fit, a power of two.
pub const STAMPS: usize = 256;
/// Clients' addresses differ in their last 16 bits; the rest of a flow's number is in the port.
pub const CLIENT_BITS: u32 = 16;
/// Source port of the first 2^[`CLIENT_BITS`] flows.
pub const FIRST_CLIENT_PORT: u16 = 1024;

/// The plan of one run, and its progress.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Bench {
    /// Address of the client whose number is zero; the last four bytes are counted up.
    pub client: Addr,
    /// Address of the backend whose number is zero; the same.
    pub backend: Addr,
    /// Forward key of flow zero: destination address, port and protocol are those of every flow.
    pub key: FlowKey,
    /// The first bytes of flow zero's frame.
    pub template: [u64; TEMPLATE_WORDS],
    /// The client's Ethernet address, as [`MacAddr::to_u64`](crate::net::MacAddr::to_u64).
    pub client_mac: u64,
    /// This node's; the same form.
    pub own_mac: u64,
    /// Length of the frame, bytes.
    pub frame_len: u32,
    /// One of [`target`].
    pub target: u32,
    /// Number of the next iteration's flow.
    pub flow: u32,
    /// Added to `flow` each time.
    pub step: u32,
    /// Where `flow` starts again.
    pub end: u32,
    /// What is taken off it then.
    pub wrap: u32,
    /// Backends are 2 to this power, and flow n belongs to backend n modulo their number.
    pub backend_bits: u32,
    /// Nonzero: frames come from backends.
    pub reverse: u32,
    /// Iterations until the next time stamp; zero takes none.
    pub countdown: u32,
    /// Iterations between time stamps.
    pub chunk: u32,
    /// Iterations done, whatever the program: for the fillers, entries written or removed.
    pub done: u32,
    /// Look-ups of the look-up floor that found nothing.
    pub misses: u32,
    /// Number of time stamps taken.
    pub stamped: u64,
    /// `bpf_ktime_get_ns` at the end of the warm-up and of every chunk.
    pub stamps: [u64; STAMPS],
}
map_type!(Bench {
    client: Addr,
    backend: Addr,
    key: FlowKey,
    template: [u64; TEMPLATE_WORDS],
    client_mac: u64,
    own_mac: u64,
    frame_len: u32,
    target: u32,
    flow: u32,
    step: u32,
    end: u32,
    wrap: u32,
    backend_bits: u32,
    reverse: u32,
    countdown: u32,
    chunk: u32,
    done: u32,
    misses: u32,
    stamped: u64,
    stamps: [u64; STAMPS],
} size 2272 align 8);
