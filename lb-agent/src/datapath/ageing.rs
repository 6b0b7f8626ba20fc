//! Which flows have lived long enough: rules alone.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use lb_common::{
    flow::{Flow, flow_flags},
    net::proto,
};

/// An established TCP connection without a packet for this long is forgotten. API clients send
/// keepalives every 15 to 30 s; a client that was merely asleep is led to the same backend by the
/// hash.
pub const TCP_IDLE: Duration = Duration::from_secs(6 * 3600);
/// The same once one side has sent FIN.
pub const TCP_HALF_CLOSED: Duration = Duration::from_secs(3600);
/// A UDP flow without a packet for this long is forgotten (RFC 4787 REQ-5 asks for two minutes).
pub const UDP_IDLE: Duration = Duration::from_secs(120);
/// A connection of a backend that is being reset, whose client does not answer.
pub const UNANSWERED_RESET: Duration = Duration::from_secs(60);

/// Length of a timer tick, told from two readings of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickRate {
    hz: u32,
}

impl TickRate {
    /// The rates a kernel can be built with.
    const KNOWN: [u32; 4] = [100, 250, 300, 1000];

    /// From a difference of ticks and the time it took; `None` while that is under 200 ms, which
    /// could not tell 250 from 300.
    #[must_use]
    pub fn measure(ticks: u32, took: Duration) -> Option<Self> {
        if took < Duration::from_millis(200) {
            return None;
        }
        let seen = f64::from(ticks) / took.as_secs_f64();
        let hz = Self::KNOWN.into_iter().min_by(|&a, &b| {
            let off = |hz: u32| (f64::from(hz) / seen).ln().abs();
            off(a).total_cmp(&off(b))
        })?;
        Some(Self { hz })
    }

    /// Ticks in a time, at most 2^31 - 1.
    #[must_use]
    pub fn ticks(self, time: Duration) -> u32 {
        let ticks = time.as_millis() * u128::from(self.hz) / 1000;
        u32::try_from(ticks).unwrap_or(u32::MAX).min(i32::MAX as u32)
    }

    /// Time that a number of ticks takes.
    #[must_use]
    pub fn time(self, ticks: u32) -> Duration {
        Duration::from_millis(u64::from(ticks) * 1000 / u64::from(self.hz))
    }
}

/// How long this flow may be idle.
#[must_use]
pub fn idle_limit(proto: u8, flow: &Flow, being_reset: bool) -> Duration {
    if being_reset {
        UNANSWERED_RESET
    } else if proto == proto::UDP {
        UDP_IDLE
    } else if flow.flags & flow_flags::FIN != 0 {
        TCP_HALF_CLOSED
    } else {
        TCP_IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_rates_are_told_apart() {
        for hz in TickRate::KNOWN {
            for ms in [200_u32, 333, 1000] {
                let ticks = hz * ms / 1000;
                let took = Duration::from_millis(u64::from(ms));
                assert_eq!(TickRate::measure(ticks, took), Some(TickRate { hz }), "{hz} {ms}");
            }
        }
        assert_eq!(TickRate::measure(10, Duration::from_millis(100)), None);
    }

    #[test]
    fn ticks_and_time_are_inverse() {
        let rate = TickRate { hz: 250 };
        assert_eq!(rate.ticks(TCP_IDLE), 5_400_000);
        assert_eq!(rate.time(5_400_000), TCP_IDLE);
        assert_eq!(rate.ticks(Duration::from_secs(1 << 40)), i32::MAX as u32);
    }

    #[test]
    fn limits_follow_the_state() {
        let mut flow = Flow::default();
        assert_eq!(idle_limit(proto::TCP, &flow, false), TCP_IDLE);
        assert_eq!(idle_limit(proto::UDP, &flow, false), UDP_IDLE);
        flow.flags = flow_flags::FIN;
        assert_eq!(idle_limit(proto::TCP, &flow, false), TCP_HALF_CLOSED);
        assert_eq!(idle_limit(proto::TCP, &flow, true), UNANSWERED_RESET);
    }
}
