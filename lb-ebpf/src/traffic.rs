//! Per-backend and per-service counters.

use lb_common::{counter::Traffic, reason::Reason};

use crate::{flows::Route, maps};

/// A forwarded packet of `ip_len` bytes.
#[inline(always)]
pub(crate) fn count(reason: Reason, route: &Route, ip_len: u16) {
    let add = |t: &mut Traffic| {
        let bytes = u64::from(ip_len);
        if matches!(reason, Reason::ToBackend) {
            t.packets_in = t.packets_in.wrapping_add(1);
            t.bytes_in = t.bytes_in.wrapping_add(bytes);
        } else {
            t.packets_out = t.packets_out.wrapping_add(1);
            t.bytes_out = t.bytes_out.wrapping_add(bytes);
        }
    };
    each(route.backend, route.service, add);
}

/// A flow became established.
#[inline(always)]
pub(crate) fn opened(backend: u16, service: u16) {
    each(backend, service, |t| {
        t.connections_total = t.connections_total.wrapping_add(1);
        t.connections_active = t.connections_active.wrapping_add(1);
    });
}

/// An established flow ended.
#[inline(always)]
pub(crate) fn closed(backend: u16, service: u16) {
    each(backend, service, |t| t.connections_active = t.connections_active.wrapping_sub(1));
}

#[inline(always)]
fn each(backend: u16, service: u16, add: impl Fn(&mut Traffic)) {
    if let Some(t) = maps::backend_traffic(backend) {
        add(t);
    }
    if let Some(t) = maps::service_traffic(service) {
        add(t);
    }
}
