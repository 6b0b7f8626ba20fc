//! A configuration file: read, understood, and held against the machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Config, DEFAULT_ADMIN_SOCKET, DEFAULT_PIN_DIR,
    error::{Errors, Fault, Problem},
    machine,
    text::{self, Reading},
    warning::Warning,
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
    let verdict = machine::verify(&claims);
    problems.extend(verdict.problems);
    let mut config = text::conclude(file, config, problems)?;
    for (instance, secret) in verdict.secrets {
        if let Some(vrrp) = config.vrrp.get_mut(instance) {
            vrrp.authentication.set(secret);
        }
    }
    config.warnings.extend(verdict.warnings);
    config.warnings.sort_by_key(Warning::line);
    Ok(config)
}

/// Where an agent that runs with this file is found, for commands that must work whatever has
/// become of the file since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// `pin_dir`.
    pub pin_dir: PathBuf,
    /// `admin_socket`.
    pub admin_socket: PathBuf,
}

/// Finds the two lines in a file that need not be valid otherwise; where there is none, the
/// default holds.
pub fn whereabouts(file: &Path) -> Whereabouts {
    let text = fs::read_to_string(file).unwrap_or_default();
    let named = |key, default| salvage(&text, key).unwrap_or_else(|| PathBuf::from(default));
    Whereabouts {
        pin_dir: named("pin_dir", DEFAULT_PIN_DIR),
        admin_socket: named("admin_socket", DEFAULT_ADMIN_SOCKET),
    }
}

/// Each line is read by itself, so that a syntax error elsewhere does no harm. No other section
/// has a key of these names.
fn salvage(text: &str, key: &str) -> Option<PathBuf> {
    text.lines().filter(|line| line.trim_start().starts_with(key)).find_map(|line| {
        let table: toml::Table = line.parse().ok()?;
        table.get(key)?.as_str().map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_are_found_in_a_broken_file() {
        let text = "[node\n pin_dir = \"/a/b\" # here\nadmin_socket=\"/c\nadmin_socket = 1\n";
        assert_eq!(salvage(text, "pin_dir"), Some(PathBuf::from("/a/b")));
        assert_eq!(salvage(text, "admin_socket"), None);
        assert_eq!(salvage("pin_directory = \"/a\"", "pin_dir"), None);
    }
}
