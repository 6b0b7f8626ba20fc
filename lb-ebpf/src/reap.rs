//! Removing flows for the agent; see [`lb_common::reap`].

use aya_ebpf::helpers::{bpf_ktime_get_ns, generated::bpf_jiffies64};
use lb_common::{
    flow::FlowKey,
    reap::{BATCH, ReapRequest},
};
use lb_ebpf::cursor::{Cursor, Header};

use crate::{maps, traffic};

/// The request as it lies at the start of the frame.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Request(ReapRequest);

// SAFETY: integers and byte arrays only, no padding (proved in lb-common); taken at offset 0 of a
// frame, which the kernel aligns to 8.
unsafe impl Header for Request {}

/// Serves the request in place; `None` when the frame is too short to be one.
#[inline(always)]
pub(crate) fn run(mut cursor: Cursor<'_>) -> Option<()> {
    let request = &mut cursor.take::<Request>()?.0;
    // SAFETY: helpers without arguments.
    let (now, ktime) = unsafe { (bpf_jiffies64() as u32, bpf_ktime_get_ns()) };
    let spare_younger = now.wrapping_sub(request.not_after);
    let mut removed = 0;
    for i in 0..BATCH {
        if i >= request.count as usize {
            break;
        }
        let key = request.keys[i];
        removed += u32::from(remove(&key, now, spare_younger));
    }
    request.removed = removed;
    request.jiffies = now;
    request.ktime_ns = ktime;
    Some(())
}

/// Removes the flow of this forward key unless one of its directions is younger. The forward entry
/// goes first: while it stands it may use the NAT port that the reverse entry holds.
#[inline(never)]
fn remove(key: &FlowKey, now: u32, spare_younger: u32) -> bool {
    let Some(flow) = maps::established(key) else { return false };
    let other = key.other(flow);
    let mut age = now.wrapping_sub(flow.last_seen);
    if let Some(reverse) = maps::established(&other) {
        age = age.min(now.wrapping_sub(reverse.last_seen));
    }
    if age < spare_younger {
        return false;
    }
    let (backend, service) = (flow.backend, flow.service);
    if !maps::remove_established(key) {
        return false;
    }
    traffic::closed(backend, service);
    maps::remove_established(&other);
    true
}
