//! How the agent ends flows: a list of keys handed to the program `lb_reap` as a packet.
//!
//! Deleting in the kernel lets the delete itself be the claim by which `connections_active` is
//! lowered exactly once, whoever ends the flow.

use crate::flow::FlowKey;

/// Flows in one request.
pub const BATCH: usize = 32;

/// The packet given to `lb_reap` under `BPF_PROG_TEST_RUN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ReapRequest {
    /// Used elements of `keys`, 0..=BATCH.
    pub count: u32,
    /// Filled in by the program: low 32 bits of `bpf_jiffies64`.
    pub jiffies: u32,
    /// A flow whose both directions were last seen later than this is spared (low 32 bits of
    /// jiffies, compared by wrapping difference).
    pub not_after: u32,
    /// Filled in by the program: flows removed.
    pub removed: u32,
    /// Filled in by the program: `bpf_ktime_get_ns`, for telling the length of a jiffy.
    pub ktime_ns: u64,
    /// Forward keys.
    pub keys: [FlowKey; BATCH],
}
map_type!(ReapRequest {
    count: u32,
    jiffies: u32,
    not_after: u32,
    removed: u32,
    ktime_ns: u64,
    keys: [FlowKey; BATCH],
} size 1304 align 8);
