//! Commands and whom they run as.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{
    claim::Fact,
    document::{At, Findings, Table},
    form::Form,
};

/// Users that a command runs as unless the file names one.
pub(super) const UNPRIVILEGED: &str = "nobody";

/// A program with its arguments, and the user.
pub(super) struct Command {
    pub(super) words: Vec<String>,
    pub(super) user: String,
}

/// The command whose words `read` has found under `key`, and `user` beside it; `None` when one of
/// them is wrong.
pub(super) fn read<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    key: &'static str,
    words: Option<Vec<At<&'t str>>>,
) -> Option<Command> {
    let user = if table.has("user") {
        findings.formed(table, "user", Form::User)
    } else {
        Some(At { line: table.line, value: UNPRIVILEGED })
    };
    if let Some(user) = user {
        findings.claim(user.line, "user", Fact::User(user.value.to_owned()));
    }
    let words = words?;
    for (n, word) in words.iter().enumerate() {
        let form = if n == 0 { Form::AbsolutePath } else { Form::Argument };
        findings.check_form(key, *word, form)?;
    }
    let user = user?;
    if let Some(program) = words.first() {
        let fact = Fact::Program { path: program.value.into(), user: user.value.to_owned() };
        findings.claim(program.line, key, fact);
    }
    Some(Command {
        words: words.iter().map(|word| word.value.to_owned()).collect(),
        user: user.value.to_owned(),
    })
}
