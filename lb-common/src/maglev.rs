//! The consistent-hashing table as it stands in the map.

/// Slots of a service's table: a power of two, so that the index is a mask the verifier follows.
pub const SLOTS: usize = 16_384;

/// Value of the inner maps of `maglev`: slot → backend id, zero = no backend.
///
/// Written whole by the agent into a fresh map, which then replaces the old one atomically.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MaglevTable {
    /// Backend ids, host order.
    pub slots: [u16; SLOTS],
}
map_type!(MaglevTable { slots: [u16; SLOTS] } size 32768 align 2);
