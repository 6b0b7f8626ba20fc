//! Hashes of a flow: which backend, and which port towards it.
//!
//! Both must be the same on every node of a cluster, today and after an upgrade: a node that takes
//! over re-creates flows from their packets alone. Changing a constant here breaks connections at
//! failover between versions.

use lb_common::{
    abi::{NAT_PORT_FIRST, NAT_PORTS},
    flow::FlowKey,
    maglev::SLOTS,
    net::Be16,
};

const SEED_FLOW: u64 = 0x6c62_2d66_6c6f_7731;
const SEED_CLIENT: u64 = 0x6c62_2d63_6c69_3031;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

#[inline(always)]
const fn mix(h: u64, word: u64) -> u64 {
    let x = (h ^ word).wrapping_mul(MULTIPLIER);
    x ^ (x >> 32)
}

#[inline(always)]
const fn finish(h: u64) -> u64 {
    let h = h.wrapping_mul(MULTIPLIER);
    let h = (h ^ (h >> 29)).wrapping_mul(MULTIPLIER);
    h ^ (h >> 32)
}

/// A flow's hashes. The two words share no bits, so that a backend's share of the table does not
/// narrow the ports its flows begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash {
    backend: u32,
    port: u32,
}

impl FlowHash {
    /// Of a forward key; with `by_client` the backend depends on the client's address alone.
    #[inline(always)]
    pub const fn new(key: &FlowKey, by_client: bool) -> Self {
        let (s0, s1) = key.src.halves();
        let (d0, d1) = key.dst.halves();
        let sport = key.sport.to_wire();
        let dport = key.dport.to_wire();
        let tail = u64::from_le_bytes([sport[0], sport[1], dport[0], dport[1], key.proto, 0, 0, 0]);
        let h = finish(mix(mix(mix(mix(mix(SEED_FLOW, s0), s1), d0), d1), tail));
        let backend = if by_client { finish(mix(mix(SEED_CLIENT, s0), s1)) } else { h };
        Self { backend: backend as u32, port: (h >> 32) as u32 }
    }

    /// The slot of the service's Maglev table.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        self.backend as usize & (SLOTS - 1)
    }

    /// The NAT port at probe `k`. The step is odd, so that the probes would walk through the
    /// whole range.
    #[inline(always)]
    pub const fn nat_port(self, k: u32) -> Be16 {
        let step = (self.port >> 16) | 1;
        let offset = self.port.wrapping_add(k.wrapping_mul(step)) & (NAT_PORTS as u32 - 1);
        Be16::new(NAT_PORT_FIRST + offset as u16)
    }
}

/// Whether a port lies in the range of NAT ports.
#[inline(always)]
pub const fn is_nat_port(port: Be16) -> bool {
    port.get().wrapping_sub(NAT_PORT_FIRST) < NAT_PORTS
}
