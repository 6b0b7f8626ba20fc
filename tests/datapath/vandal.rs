//! Damage to frames.

use super::rng::Rng;

/// Changes a frame in one way; it stays at least as long as an Ethernet header.
pub(crate) fn mutate(rng: &mut Rng, frame: &mut Vec<u8>) {
    let v4 = frame[12..14] == [8, 0];
    let l4 = if v4 { 34 } else { 54 };
    let random = rng.next() as u8;
    match rng.below(14) {
        0 | 1 => {
            let at = rng.below(frame.len().min(90));
            frame[at] ^= 1 << rng.below(8);
        }
        2 => frame.truncate(14 + rng.below(frame.len() - 13)),
        3 => {
            let len = rng.below(40);
            frame.extend(rng.bytes(len));
        }
        4 => set16(frame, if v4 { 16 } else { 18 }, rng.below(120) as u16),
        5 => set(frame, l4 + 13, random),
        6 => set(frame, l4 + 12, random & 0xf0),
        7 => set(frame, if v4 { 22 } else { 21 }, random & 3),
        8 => {
            let next = rng.pick(&[0, 1, 6, 17, 43, 44, 51, 58, 60]);
            set(frame, if v4 { 23 } else { 20 }, next);
        }
        9 => set16(frame, 20, rng.pick(&[0, 0x2000, 0x4000, 0x0001, 0x8000])),
        10 => {
            for _ in 0..=rng.below(3) {
                let tag = [rng.pick(&[0x81, 0x88]), rng.pick(&[0, 0xa8]), 0, random];
                frame.splice(12..12, tag);
            }
        }
        11 => set(frame, 14, random),
        12 => set16(frame, l4 + 4, rng.below(60) as u16),
        _ => {
            // An IPv6 header with v4-mapped addresses.
            let at = 22 + 16 * rng.below(2);
            for i in 0..12 {
                set(frame, at + i, if i < 10 { 0 } else { 0xff });
            }
            for (i, octet) in [198, 51, 100, 50].into_iter().enumerate() {
                set(frame, at + 12 + i, octet);
            }
        }
    }
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}

fn set16(frame: &mut [u8], at: usize, value: u16) {
    let [high, low] = value.to_be_bytes();
    set(frame, at, high);
    set(frame, at + 1, low);
}
