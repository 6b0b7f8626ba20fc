//! What can be wrong with one value of the right TOML type.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::ops::RangeInclusive;

use super::{
    address::AddressFault,
    duration::DurationFault,
    error::{Shown, quoted},
    form::Form,
};

/// Why a key does not take a value; prints as what follows "`KEY` is `VALUE`, ".
#[derive(Debug, thiserror::Error)]
pub(super) enum ValueFault {
    #[error("outside {}..={}", .0.start(), .0.end())]
    OutOfRange(RangeInclusive<i32>),
    #[error("which is not one of its values")]
    NotOneOf { valid: Vec<&'static str>, suggestion: Option<&'static str> },
    #[error("which is not in this version")]
    ModeNotInThisVersion,
    #[error("which is not {}", .0.noun())]
    Malformed(Form),
    #[error(transparent)]
    Duration(DurationFault),
    #[error(transparent)]
    Address(AddressFault),
}

impl ValueFault {
    pub(super) fn hint(&self, key: &str, value: &Shown) -> String {
        match self {
            Self::OutOfRange(range) => {
                format!("write a whole number from {} to {}", range.start(), range.end())
            }
            Self::NotOneOf { valid, suggestion } => {
                let valid = quoted(valid, "or");
                suggestion.map_or_else(
                    || format!("valid is {valid}"),
                    |near| format!("did you mean `{near}`? Valid is {valid}"),
                )
            }
            Self::ModeNotInThisVersion => {
                "full NAT is the one mode there is: write `mode = \"nat\"` or leave it out".into()
            }
            Self::Malformed(form) => form.rule().into(),
            Self::Duration(fault) => fault.hint(key, value),
            Self::Address(fault) => fault.hint(value),
        }
    }
}
