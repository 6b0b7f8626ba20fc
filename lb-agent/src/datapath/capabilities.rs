//! May this process do what the agent does?

use std::fs;

use super::error::Error;

/// Bits of `linux/capability.h`.
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
/// The verifier lets only CAP_PERFMON do arithmetic on packet pointers.
const NEEDED: [(u32, &str); 4] =
    [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (PERFMON, "CAP_PERFMON"), (BPF, "CAP_BPF")];

/// Names what is missing. CAP_SYS_ADMIN stands for CAP_PERFMON and CAP_BPF, as in the kernel.
pub fn check() -> Result<(), Error> {
    let missing = missing(effective());
    if missing.is_empty() { Ok(()) } else { Err(Error::Capabilities { missing }) }
}

fn missing(effective: u64) -> String {
    let has = |bit: u32| effective >> bit & 1 != 0;
    let stands_for = |bit: u32| matches!(bit, PERFMON | BPF) && has(SYS_ADMIN);
    let names: Vec<_> = NEEDED
        .iter()
        .filter(|(bit, _)| !has(*bit) && !stands_for(*bit))
        .map(|(_, name)| *name)
        .collect();
    names.join(", ")
}

/// Without /proc nothing is known, and the kernel will say no by itself.
fn effective() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing(u64::MAX), "");
        assert_eq!(missing(0), "CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_BPF");
        assert_eq!(missing(1 << 12 | 1 << 13 | 1 << SYS_ADMIN), "");
        assert_eq!(missing(1 << BPF | 1 << PERFMON | 1 << 12), "CAP_NET_RAW");
    }
}
