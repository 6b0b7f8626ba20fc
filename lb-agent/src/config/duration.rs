//! Durations: a whole number and its unit.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::error::Shown;

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Why a value is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DurationFault {
    #[error("a duration without a unit")]
    NoUnit,
    #[error("which is not a duration")]
    NotADuration,
    #[error("outside 10ms..=1h")]
    OutOfRange,
}

impl DurationFault {
    pub(super) fn hint(self, key: &str, value: &Shown) -> String {
        match self {
            Self::NoUnit => {
                format!("write the unit: `{key} = \"{value}s\"` or `{key} = \"{value}ms\"`")
            }
            Self::NotADuration | Self::OutOfRange => {
                "write a whole number and its unit, `ms`, `s`, `m` or `h`, from `\"10ms\"` to \
                 `\"1h\"`"
                    .into()
            }
        }
    }
}

/// `150ms`, `2s`, `1m`, `1h`; 10 ms..=1 h.
pub(super) fn parse(text: &str) -> Result<Duration, DurationFault> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(DurationFault::NotADuration);
    }
    let milliseconds_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(DurationFault::NoUnit),
        _ => return Err(DurationFault::NotADuration),
    };
    // Digits only, so a failure means that the number is too large.
    let number: u64 = number.parse().map_err(|_too_large| DurationFault::OutOfRange)?;
    let duration = Duration::from_millis(number.saturating_mul(milliseconds_per_unit));
    if (SHORTEST..=LONGEST).contains(&duration) {
        Ok(duration)
    } else {
        Err(DurationFault::OutOfRange)
    }
}
