//! A configuration file: read, understood, and held against the machine.

use std::{fs, path::Path};

use super::{
    Config,
    error::{Errors, Fault, Problem},
    machine,
    text::{self, Reading},
};

/// Reads and validates a configuration file for this machine: what it says, and that the
/// interfaces, files and users it names are there.
///
/// # Errors
/// Everything that is wrong, not only the first; only errors of TOML's own syntax stand alone.
pub fn load(file: &Path) -> Result<Config, Errors> {
    let failed = |source| Errors::new(file, vec![Problem::new(None, Fault::Read { source })]);
    let text = fs::read_to_string(file).map_err(failed)?;
    let host_name = machine::host_name();
    let Reading { config, mut problems, claims } = text::read(&text, host_name.as_deref());
    problems.extend(machine::verify(&claims));
    text::conclude(file, config, problems)
}
