//! Whose XDP program may sit on an interface.

use aya::programs::loaded_programs;

/// `BPF_PROG_TYPE_XDP` of `linux/bpf.h`.
const XDP: u32 = 6;

/// `: NAME (id N) or …`, the XDP programs in the kernel that are not ours, for an error text; empty
/// when none can be told.
#[must_use]
pub(super) fn describe() -> String {
    let names: Vec<String> = loaded_programs()
        .filter_map(Result::ok)
        .filter(|p| p.program_type() as u32 == XDP)
        .filter(|p| !p.name_as_str().is_some_and(|n| n.starts_with("lb_")))
        .map(|p| format!("`{}` (id {})", p.name_as_str().unwrap_or("?"), p.id()))
        .collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(" or ")) }
}
