use std::collections::{BTreeMap, BTreeSet};

use lb_common::{abi::MAX_BACKENDS, maglev::SLOTS, net::Addr};
use proptest::prelude::*;

use super::{INVERSE, Member, PRIME, Table, hash};

fn member(n: u8, weight: u16) -> Member {
    Member { address: Addr::v4([10, 0, 0, n]), port: 6443, weight, id: u16::from(n) }
}

/// Slots by id.
fn held(table: &Table) -> BTreeMap<u16, usize> {
    let mut held = BTreeMap::new();
    for &id in &table.slots {
        *held.entry(id).or_default() += 1;
    }
    held
}

/// Share of slots that differ, in per cent.
fn moved(a: &Table, b: &Table) -> f64 {
    let differing = a.slots.iter().zip(&b.slots).filter(|(a, b)| a != b).count();
    percent(differing)
}

fn percent(slots: usize) -> f64 {
    slots as f64 * 100.0 / SLOTS as f64
}

#[test]
fn inverse_is_a_permutation() {
    for x in 1..PRIME {
        assert_eq!(x * u32::from(INVERSE[x as usize]) % PRIME, 1);
    }
    assert_eq!(INVERSE.iter().collect::<BTreeSet<_>>().len(), PRIME as usize);
}

#[test]
fn nobody_leaves_every_slot_zero() {
    assert_eq!(held(&Table::build(&[])), BTreeMap::from([(0, SLOTS)]));
    let idle = [member(1, 0), member(2, 0)];
    assert_eq!(held(&Table::build(&idle)), BTreeMap::from([(0, SLOTS)]));
}

#[test]
fn one_holds_every_slot() {
    let table = Table::build(&[member(7, 256), member(8, 0)]);
    assert_eq!(held(&table), BTreeMap::from([(7, SLOTS)]));
}

#[test]
fn shares_follow_weights() {
    let cases: [&[u16]; 6] =
        [&[1, 1, 2], &[1, 1, 1], &[100, 50, 25, 25], &[256, 1], &[3, 5, 7, 11, 13], &[1; 20]];
    for weights in cases {
        let members: Vec<_> = (1..).zip(weights).map(|(n, &w)| member(n, w)).collect();
        let total: u16 = weights.iter().sum();
        let held = held(&Table::build(&members));
        for m in members {
            let want = f64::from(m.weight) / f64::from(total) * SLOTS as f64;
            let got = held[&m.id] as f64;
            // 1 % of its own share, or a slot or two where the share itself is small.
            assert!((got - want).abs() <= (want / 100.0).max(2.0), "{weights:?}: {m:?} has {got}");
        }
    }
}

#[test]
fn fullest_service_gives_everybody_a_slot() {
    let members: Vec<_> = (1..MAX_BACKENDS as u16)
        .map(|id| Member {
            address: Addr::v4([10, 1, (id >> 8) as u8, id as u8]),
            port: 443,
            weight: if id == 1 { 1 } else { 256 },
            id,
        })
        .collect();
    assert_eq!(held(&Table::build(&members)).len(), members.len());
}

#[test]
fn a_weight_change_moves_little_more_than_the_difference() {
    let before = [member(1, 10), member(2, 10), member(3, 10), member(4, 10)];
    let mut after = before;
    after[2].weight = 5;
    // From 1/4 to 1/7 of the table.
    let least = 100.0 * (1.0 / 4.0 - 1.0 / 7.0);
    let moved = moved(&Table::build(&before), &Table::build(&after));
    assert!(moved <= least + 3.0, "{moved} % moved, {least} % is the least");
}

/// Nodes of different versions must agree: when this fails, the change breaks failover between
/// them. The values come from a second implementation, written from the documentation.
#[test]
fn golden() {
    let v6 = |last| Member {
        address: Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]),
        port: 6443,
        weight: 3,
        id: 100 + u16::from(last),
    };
    let members = [member(1, 1), member(2, 1), member(3, 2), v6(1), v6(2)];
    let table = Table::build(&members);
    assert_eq!(hash(1, members[0].address, 6443), GOLDEN_HASH);
    assert_eq!(table.slots[..16], GOLDEN_FIRST);
    let fnv1a = table
        .slots
        .iter()
        .flat_map(|id| id.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    assert_eq!(fnv1a, GOLDEN_WHOLE);
}

const GOLDEN_HASH: u64 = 0xa065_d154_0ef0_1fc0;
const GOLDEN_FIRST: [u16; 16] = [3, 2, 102, 102, 2, 3, 3, 101, 3, 101, 1, 102, 2, 101, 3, 101];
const GOLDEN_WHOLE: u64 = 0x6fe4_886d_5fe8_3590;

/// 2 to 20 backends, addresses of both families, ids in the order of insertion.
fn members(weight: impl Strategy<Value = u16>) -> impl Strategy<Value = Vec<Member>> {
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(Addr::v4),
        any::<[u8; 16]>().prop_map(Addr::v6),
        // Neighbours, as in a rack.
        any::<u8>().prop_map(|n| Addr::v4([10, 47, 160, n])),
    ];
    let one = ((address, prop_oneof![Just(6443), any::<u16>()]), weight);
    proptest::collection::btree_map(any::<u64>(), one, 2..=20)
        .prop_map(|shuffled| {
            let mut seen = BTreeSet::new();
            let unique = shuffled.into_values().filter(|(key, _)| seen.insert(*key));
            (1..)
                .zip(unique)
                .map(|(id, ((address, port), weight))| Member { address, port, weight, id })
                .collect()
        })
        .prop_filter("two different ones", |members: &Vec<_>| members.len() >= 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn order_and_ids_do_not_matter(members in members(0..=256_u16), turn in any::<usize>()) {
        let table = Table::build(&members);
        let mut other = members.clone();
        other.rotate_left(turn % members.len());
        other.reverse();
        prop_assert_eq!(&Table::build(&other), &table);
        for m in &mut other {
            m.id += 500;
        }
        let renamed = Table::build(&other);
        let same = table.slots.iter().zip(&renamed.slots).all(|(&a, &b)| a == 0 && b == 0 || a + 500 == b);
        prop_assert!(same);
    }

    #[test]
    fn everybody_with_a_weight_has_a_slot(members in members(0..=256_u16)) {
        let held = held(&Table::build(&members));
        for m in &members {
            prop_assert_eq!(held.contains_key(&m.id), m.weight > 0);
        }
    }

    #[test]
    fn shares_are_within_two_per_cent(members in members(1..=16_u16)) {
        let total: u16 = members.iter().map(|m| m.weight).sum();
        let held = held(&Table::build(&members));
        for m in &members {
            let want = f64::from(m.weight) / f64::from(total) * SLOTS as f64;
            prop_assert!((held[&m.id] as f64 - want).abs() <= want / 50.0 + 1.0);
        }
    }

    /// Read backwards it is the same for adding one.
    #[test]
    fn removing_one_of_n_moves_its_share_and_two_points(members in members(Just(1)), which in any::<usize>()) {
        let mut fewer = members.clone();
        fewer.remove(which % members.len());
        let moved = moved(&Table::build(&members), &Table::build(&fewer));
        prop_assert!(moved <= 100.0 / members.len() as f64 + 2.0, "{} % moved", moved);
    }

    #[test]
    fn removing_a_heavy_one_moves_its_share_and_two_points(members in members(1..=8_u16), which in any::<usize>()) {
        let mut fewer = members.clone();
        let gone = fewer.remove(which % members.len());
        let before = Table::build(&members);
        let moved = moved(&before, &Table::build(&fewer));
        prop_assert!(moved <= percent(held(&before)[&gone.id]) + 2.0, "{} % moved", moved);
    }
}
