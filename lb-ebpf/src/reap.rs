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
    let mut removed = 0;
    for i in 0..BATCH {
        if i >= request.count as usize {
            break;
        }
        let key = request.keys[i];
        removed += u32::from(remove(&key, request.not_after));
    }
    request.removed = removed;
    request.jiffies = now;
    request.ktime_ns = ktime;
    Some(())
}

/// Removes the flow of this forward key unless one of its directions is younger. The forward entry
/// goes first: while it stands it may use the NAT port that the reverse entry holds.
#[inline(never)]
fn remove(key: &FlowKey, not_after: u32) -> bool {
    let Some(flow) = maps::established(key) else { return false };
    let other = key.other(flow);
    if later(flow.last_seen, not_after)
        || maps::established(&other).is_some_and(|reverse| later(reverse.last_seen, not_after))
    {
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

/// Compared with `not_after` itself, not as ages: another CPU may have seen the flow a tick after
/// this one looked at the clock.
#[inline(always)]
const fn later(seen: u32, not_after: u32) -> bool {
    seen.wrapping_sub(not_after) as i32 > 0
}
