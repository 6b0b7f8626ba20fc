use std::vec::Vec;

use lb_common::net::Addr;
use proptest::prelude::*;

use super::frames::checksum;
use crate::csum::{addr_delta, apply, fold, minus, sum_addr, sum4, sum16, word};

#[test]
fn folding_keeps_the_class_and_never_makes_zero_of_something() {
    assert_eq!(fold(0), 0);
    assert_eq!(fold(0xffff), 0xffff);
    assert_eq!(fold(0x1_0000), 1);
    assert_eq!(fold(u64::MAX), 0xffff);
    assert_eq!(fold(0xffff_0000_0000_0001), 1);
}

#[test]
fn rfc_1624_section_4_example() {
    // A field of 0x5555 becomes 0x3285 under a checksum of 0xdd2f: equation 3 yields 0x0000,
    // where equation 2 yields 0xffff.
    let delta = minus(word([0x55, 0x55])) + word([0x32, 0x85]);
    assert_eq!(apply([0xdd, 0x2f], delta), [0, 0]);
}

proptest! {
    #[test]
    fn fold_is_the_remainder(sum: u64) {
        prop_assert_eq!(u64::from(fold(sum)) % 0xffff, sum % 0xffff);
        prop_assert_eq!(fold(sum) == 0, sum == 0);
    }

    #[test]
    fn sums_agree_with_words(b: [u8; 16]) {
        let words: u64 = b.chunks(2).map(|w| word([w[0], w[1]])).sum();
        prop_assert_eq!(fold(sum16(&b)), fold(words));
        let words: u64 = b[..4].chunks(2).map(|w| word([w[0], w[1]])).sum();
        prop_assert_eq!(fold(sum4([b[0], b[1], b[2], b[3]])), fold(words));
    }

    /// Incrementally updated, and computed anew: equal in every bit.
    #[test]
    fn updates_equal_full_recomputation(
        mut bytes in proptest::collection::vec(any::<u8>(), 2..96),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<[u8; 2]>()), 1..8),
    ) {
        bytes.truncate(bytes.len() & !1);
        prop_assume!(bytes.iter().any(|&b| b != 0));
        let before = checksum(&bytes).to_be_bytes();
        let mut delta = 0;
        for (index, new) in changes {
            let at = index.index(bytes.len() / 2) * 2;
            delta += minus(word([bytes[at], bytes[at + 1]])) + word(new);
            bytes[at..at + 2].copy_from_slice(&new);
        }
        prop_assume!(bytes.iter().any(|&b| b != 0));
        prop_assert_eq!(apply(before, delta), checksum(&bytes).to_be_bytes());
    }

    #[test]
    fn address_deltas_equal_full_recomputation(old: [u8; 16], new: [u8; 16], rest: [u8; 8], v4: bool) {
        let pick = |a: &[u8; 16]| if v4 { a[12..].to_vec() } else { a.to_vec() };
        let whole = |a: &[u8; 16]| [pick(a), rest.to_vec()].concat();
        let before: Vec<u8> = whole(&old);
        prop_assume!(rest != [0; 8]);
        let delta = addr_delta(&Addr(old), &Addr(new), v4);
        let updated = apply(checksum(&before).to_be_bytes(), u64::from(delta));
        prop_assert_eq!(updated, checksum(&whole(&new)).to_be_bytes());
        prop_assert_eq!(sum_addr(&Addr(old), true), sum4([old[12], old[13], old[14], old[15]]));
    }
}
