//! Per-CPU counters. The sum over CPUs, wrapping, is exact.

/// Value of `drop_stats`, indexed by [`Reason`](crate::reason::Reason).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets that met this verdict.
    pub packets: u64,
    /// Their Ethernet frames' lengths, without the frame check sequence.
    pub bytes: u64,
}
map_type!(Counter { packets: u64, bytes: u64 } size 16 align 8);

/// Value of `backend_stats` (by backend id) and `service_stats` (by service id).
///
/// *in* = from clients to the backend, *out* = back. Bytes are of IP packets, headers included,
/// Ethernet not (as netfilter counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    /// Packets forwarded to the backend.
    pub packets_in: u64,
    /// Their IP bytes.
    pub bytes_in: u64,
    /// Packets forwarded to clients.
    pub packets_out: u64,
    /// Their IP bytes.
    pub bytes_out: u64,
    /// Flows established: for TCP when the client's ACK completes the handshake, for UDP when
    /// the backend answers.
    pub connections_total: u64,
    /// Flows established and not ended. One CPU's share may be negative (wrapped): a flow may end
    /// on another CPU than it began on.
    pub connections_active: u64,
}
map_type!(Traffic {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    connections_total: u64,
    connections_active: u64,
} size 48 align 8);

impl Traffic {
    /// Adds another CPU's share.
    #[must_use]
    pub const fn plus(self, o: &Self) -> Self {
        Self {
            packets_in: self.packets_in.wrapping_add(o.packets_in),
            bytes_in: self.bytes_in.wrapping_add(o.bytes_in),
            packets_out: self.packets_out.wrapping_add(o.packets_out),
            bytes_out: self.bytes_out.wrapping_add(o.bytes_out),
            connections_total: self.connections_total.wrapping_add(o.connections_total),
            connections_active: self.connections_active.wrapping_add(o.connections_active),
        }
    }
}
