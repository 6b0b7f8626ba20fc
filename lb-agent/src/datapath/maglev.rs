//! Consistent hashing: a service's table of slots (Eisenbud et al., "Maglev", NSDI'16 §3.4).
//!
//! Every backend has its own permutation of the slots. The backends take turns, each claiming the
//! first slot of its permutation that is still free, until none is. Order of turns and
//! permutations follow from the backends' addresses and ports alone, never from ids or from the
//! order of insertion: every node computes the same choices from the same configuration.
//!
//! Two departures from the paper:
//! - Weights skip turns: a backend of half the greatest weight claims in every second turn, so a
//!   change of one weight moves few slots. In the first turn everybody claims.
//! - The paper's permutation `offset + j * skip` makes two backends whose skips are in a simple
//!   ratio collide again and again; taking one of ten such backends away was seen to move three
//!   points more than its share. The inverse modulo the prime has no such ratios (at most 1.1
//!   points more, up to 20 backends).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{fmt, ops::Deref, sync::Arc};

use lb_common::{
    maglev::{MaglevTable, SLOTS},
    net::Addr,
};

#[cfg(test)]
mod tests;

/// Modulus of the permutations: the smallest prime above [`SLOTS`]. Positions beyond the table
/// are passed over.
const PRIME: u32 = 16_411;

/// `INVERSE[x] * x ≡ 1 (mod PRIME)`, and 0 for 0: a permutation of `0..PRIME`.
static INVERSE: [u16; PRIME as usize] = inverses();

/// One backend's claim to a share of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address; with the port it decides which slots it prefers. Unique in a table.
    pub address: Addr,
    /// Its port, host order.
    pub port: u16,
    /// Its share relative to the others'; zero = no slots.
    pub weight: u16,
    /// What is written into its slots, 1..MAX_BACKENDS.
    pub id: u16,
}

/// A filled table: shared, not copied, because it measures 32 KiB.
#[derive(Clone)]
pub struct Table(Arc<MaglevTable>);

impl Table {
    /// Fills a table; all slots are zero when no member has a weight.
    ///
    /// Every member with a weight gets at least one slot (there are more slots than backends can
    /// exist).
    #[must_use]
    pub fn build(members: &[Member]) -> Self {
        let mut turns: Vec<Turns> =
            members.iter().filter(|m| m.weight > 0).map(Turns::new).collect();
        turns.sort_by_key(|t| t.key);
        let mut table = Box::new(MaglevTable { slots: [0; SLOTS] });
        fill(&mut table.slots, &mut turns);
        Self(Arc::from(table))
    }
}

impl Deref for Table {
    type Target = MaglevTable;

    fn deref(&self) -> &MaglevTable {
        &self.0
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.slots == other.slots
    }
}

impl Eq for Table {}

/// Slots held by each backend id, not the slots themselves.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut held = std::collections::BTreeMap::<u16, usize>::new();
        for &id in &self.slots {
            *held.entry(id).or_default() += 1;
        }
        f.debug_tuple("Table").field(&held).finish()
    }
}

/// A member's walk along its permutation: position `j` is `scale * INVERSE[start + j] + shift`.
struct Turns {
    key: (Addr, u16),
    id: u16,
    weight: u64,
    /// Turns taken, times the greatest weight. The next is due while this is below the turns
    /// played, times this member's weight.
    taken: u64,
    next: u32,
    scale: u32,
    shift: u32,
}

impl Turns {
    fn new(member: &Member) -> Self {
        let below = |seed, bound: u32| {
            // The remainder is below 2^32.
            (hash(seed, member.address, member.port) % u64::from(bound)) as u32
        };
        Self {
            key: (member.address, member.port),
            id: member.id,
            weight: u64::from(member.weight),
            taken: 0,
            next: below(1, PRIME),
            scale: below(2, PRIME - 1) + 1,
            shift: below(3, PRIME),
        }
    }

    /// The next slot of the permutation.
    fn slot(&mut self) -> usize {
        loop {
            let inverse = u32::from(INVERSE[self.next as usize]);
            let position = ((self.scale * inverse + self.shift) % PRIME) as usize;
            self.next = (self.next + 1) % PRIME;
            if position < SLOTS {
                return position;
            }
        }
    }
}

fn fill(slots: &mut [u16; SLOTS], turns: &mut [Turns]) {
    let Some(greatest) = turns.iter().map(|t| t.weight).max() else { return };
    let mut free = SLOTS;
    for turn in 1_u64.. {
        for member in turns.iter_mut() {
            if member.taken >= turn * member.weight {
                continue;
            }
            member.taken += greatest;
            // Ends: `free` is not zero, and the walk visits every slot.
            let slot = loop {
                let slot = member.slot();
                if slots[slot] == 0 {
                    break slot;
                }
            };
            slots[slot] = member.id;
            free -= 1;
            if free == 0 {
                return;
            }
        }
    }
}

/// A 64-bit hash of address and port. Part of the contract between nodes: it never changes.
///
/// The address's two halves (big-endian) and the port are absorbed one after the other, each by
/// xor and the finaliser of SplitMix64, which is a bijection of the 64-bit state.
fn hash(seed: u64, address: Addr, port: u16) -> u64 {
    let whole = u128::from_be_bytes(address.0);
    // Truncation takes the lower half.
    let words = [(whole >> 64) as u64, whole as u64, u64::from(port)];
    words.iter().fold(mix(seed), |state, word| mix(state ^ word))
}

const fn mix(state: u64) -> u64 {
    let x = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// From `p = (p / x) * x + p % x` follows `1/x = -(p / x) * 1/(p % x)`.
const fn inverses() -> [u16; PRIME as usize] {
    let mut inverse = [0; PRIME as usize];
    inverse[1] = 1;
    let mut x = 2;
    while x < PRIME {
        let product = (PRIME / x) * inverse[(PRIME % x) as usize] as u32 % PRIME;
        inverse[x as usize] = (PRIME - product) as u16;
        x += 1;
    }
    inverse
}
