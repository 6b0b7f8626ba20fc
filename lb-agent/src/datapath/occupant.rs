//! Whose XDP program sits on an interface.

use aya::programs::loaded_programs;

/// `: NAME (id N)` for an error text; without a name when it may not be asked for (that takes
/// `CAP_SYS_ADMIN`), and empty when not even the id is known.
#[must_use]
pub(super) fn describe(id: Option<u32>) -> String {
    let Some(id) = id else { return String::new() };
    let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    match program.as_ref().and_then(|program| program.name_as_str()) {
        Some(name) if !name.is_empty() => format!(": `{name}` (id {id})"),
        _ => format!(": id {id}"),
    }
}
