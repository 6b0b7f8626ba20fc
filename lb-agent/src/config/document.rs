//! A parsed TOML document, read key by key: what is wrong is noted and reading goes on, so that
//! one run finds everything.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{net::IpAddr, ops::Range, ops::RangeInclusive, path::PathBuf, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    address,
    claim::{Claim, Fact},
    duration::{self, DurationFault},
    error::{Expected, Fault, Problem, Shown},
    form::Form,
    keys::{self, Section},
    value::ValueFault,
    warning::{Caution, Warning},
};

/// A value and the line it stands on, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// One table of the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'t> {
    pub(super) section: Section,
    /// Line of its header.
    pub(super) line: usize,
    entries: &'t DeTable<'t>,
}

impl Table<'_> {
    /// Whether the key is written, rightly or wrongly.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some()
    }
}

/// The words that a key takes and what they mean.
pub(super) type Words<T> = [(&'static str, T)];

/// The document's text and what has been found in it.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
    pub(super) problems: Vec<Problem>,
    pub(super) claims: Vec<Claim>,
    pub(super) warnings: Vec<Warning>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let starts = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { text, lines, problems: Vec::new(), claims: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn report(&mut self, line: usize, fault: Fault) {
        self.problems.push(Problem::new(Some(line), fault));
    }

    pub(super) fn warn(&mut self, line: usize, caution: Caution) {
        self.warnings.push(Warning::new(line, caution));
    }

    /// Notes that a key does not take the value it has.
    pub(super) fn refuse(
        &mut self,
        line: usize,
        key: &'static str,
        value: impl Into<Shown>,
        fault: ValueFault,
    ) {
        self.report(line, Fault::Value { key, value: value.into(), fault });
    }

    pub(super) fn claim(&mut self, line: usize, key: &'static str, fact: Fact) {
        self.claims.push(Claim { line, key, fact });
    }

    /// Notes the parser's own errors, one per line: those that follow on a line follow from the
    /// first.
    pub(super) fn syntax(&mut self, errors: &[toml::de::Error]) {
        let mut errors: Vec<_> =
            errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
        errors.sort_by_key(|(span, _)| span.start);
        let mut last = 0;
        for (span, message) in errors {
            let line = self.line(&span);
            if line != last {
                let text = self.text.lines().nth(line - 1).unwrap_or_default().trim();
                let message = message.to_owned();
                self.report(line, Fault::Syntax { text: Shown::from(text), message });
            }
            last = line;
        }
    }

    /// The root of the document.
    pub(super) fn root(&mut self, entries: &'t DeTable<'t>) -> Table<'t> {
        self.open(Section::Top, 1, entries)
    }

    /// The sub-table `key`, if it is there and is one.
    pub(super) fn table(
        &mut self,
        parent: &Table<'t>,
        key: &'static str,
        section: Section,
    ) -> Option<Table<'t>> {
        let value = parent.entries.get(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => Some(self.open(section, self.line(&value.span()), entries)),
            _ => self.wrong_type(key, value, Expected::Table(section)),
        }
    }

    /// The sub-tables `key`, at least one; none when it is missing or wrong.
    pub(super) fn tables(
        &mut self,
        parent: &Table<'t>,
        key: &'static str,
        section: Section,
    ) -> Vec<Table<'t>> {
        let Some(value) = parent.entries.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type::<()>(key, value, Expected::Tables(section));
            return Vec::new();
        };
        if items.is_empty() {
            self.report(self.line(&value.span()), Fault::Empty { key });
        }
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(entries) => {
                    tables.push(self.open(section, self.line(&item.span()), entries));
                }
                _ => {
                    self.wrong_type::<()>(key, item, Expected::Tables(section));
                }
            }
        }
        tables
    }

    /// Notes the keys that may not stand in the table.
    fn open(&mut self, section: Section, line: usize, entries: &'t DeTable<'t>) -> Table<'t> {
        for key in entries.keys() {
            if let Some(fault) = keys::diagnose(section, key.get_ref()) {
                self.report(self.line(&key.span()), fault);
            }
        }
        Table { section, line, entries }
    }

    /// Notes that a required key is not there, with a line to add. A key that is there but wrong
    /// has been noted as such.
    pub(super) fn require(&mut self, table: &Table<'t>, key: &'static str, example: &'static str) {
        if !table.has(key) {
            self.report(table.line, Fault::Missing { key, section: table.section, example });
        }
    }

    /// Line of a key's value, if it is written.
    pub(super) fn line_of(&self, table: &Table<'t>, key: &str) -> Option<usize> {
        table.entries.get(key).map(|value| self.line(&value.span()))
    }

    pub(super) fn string(&mut self, table: &Table<'t>, key: &'static str) -> Option<At<&'t str>> {
        let value = table.entries.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => {
                Some(At { line: self.line(&value.span()), value: text.as_ref() })
            }
            _ => self.wrong_type(key, value, Expected::String),
        }
    }

    /// A string of a given form.
    pub(super) fn formed(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
        form: Form,
    ) -> Option<At<&'t str>> {
        let text = self.string(table, key)?;
        self.check_form(key, text, form)
    }

    pub(super) fn check_form(
        &mut self,
        key: &'static str,
        text: At<&'t str>,
        form: Form,
    ) -> Option<At<&'t str>> {
        if form.accepts(text.value) {
            return Some(text);
        }
        self.refuse(text.line, key, text.value, ValueFault::Malformed(form));
        None
    }

    pub(super) fn path(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
        form: Form,
    ) -> Option<At<PathBuf>> {
        let text = self.formed(table, key, form)?;
        Some(At { line: text.line, value: PathBuf::from(text.value) })
    }

    /// A list of strings, at least one.
    pub(super) fn strings(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
    ) -> Option<Vec<At<&'t str>>> {
        let value = table.entries.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong_type(key, value, Expected::List);
        };
        if items.is_empty() {
            self.report(self.line(&value.span()), Fault::Empty { key });
            return None;
        }
        let mut strings = Vec::new();
        let mut sound = true;
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => {
                    strings.push(At { line: self.line(&item.span()), value: text.as_ref() });
                }
                _ => {
                    self.wrong_type::<()>(key, item, Expected::List);
                    sound = false;
                }
            }
        }
        sound.then_some(strings)
    }

    pub(super) fn boolean(&mut self, table: &Table<'t>, key: &'static str) -> Option<At<bool>> {
        let value = table.entries.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(At { line: self.line(&value.span()), value: *flag }),
            _ => self.wrong_type(key, value, Expected::Boolean),
        }
    }

    /// A command as a string, split at blanks, or as a list of strings, taken as they are; at least
    /// one word.
    pub(super) fn command(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
    ) -> Option<Vec<At<&'t str>>> {
        let value = table.entries.get(key)?;
        match value.get_ref() {
            DeValue::Array(_) => self.strings(table, key),
            DeValue::String(text) => {
                let line = self.line(&value.span());
                let words = text.split_ascii_whitespace().map(|value| At { line, value });
                let words: Vec<_> = words.collect();
                if words.is_empty() {
                    self.refuse(line, key, text, ValueFault::Malformed(Form::AbsolutePath));
                    return None;
                }
                Some(words)
            }
            _ => self.wrong_type(key, value, Expected::Command),
        }
    }

    pub(super) fn integer(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
        range: RangeInclusive<i32>,
    ) -> Option<At<u32>> {
        let At { line, value } = self.signed(table, key, range)?;
        u32::try_from(value).ok().map(|value| At { line, value })
    }

    pub(super) fn signed(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
        range: RangeInclusive<i32>,
    ) -> Option<At<i32>> {
        let value = table.entries.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong_type(key, value, Expected::Integer);
        };
        let line = self.line(&value.span());
        // Beyond 64 bits is out of every range.
        let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.and_then(|number| i32::try_from(number).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(At { line, value: number });
        }
        self.refuse(line, key, self.source(value), ValueFault::OutOfRange(range));
        None
    }

    /// A port, 1..=65535.
    pub(super) fn port(&mut self, table: &Table<'t>, key: &'static str) -> Option<At<u16>> {
        let At { line, value } = self.integer(table, key, 1..=65_535)?;
        u16::try_from(value).ok().map(|value| At { line, value })
    }

    pub(super) fn address(&mut self, table: &Table<'t>, key: &'static str) -> Option<At<IpAddr>> {
        let At { line, value } = self.string(table, key)?;
        match address::parse(value) {
            Ok(value) => Some(At { line, value }),
            Err(fault) => {
                self.refuse(line, key, value, ValueFault::Address(fault));
                None
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
    ) -> Option<At<Duration>> {
        let value = table.entries.get(key)?;
        let line = self.line(&value.span());
        let (shown, read) = match value.get_ref() {
            DeValue::String(text) => (Shown::from(text), duration::parse(text)),
            DeValue::Integer(_) => (self.source(value), Err(DurationFault::NoUnit)),
            _ => (self.source(value), Err(DurationFault::NotADuration)),
        };
        match read {
            Ok(value) => Some(At { line, value }),
            Err(fault) => {
                self.refuse(line, key, shown, ValueFault::Duration(fault));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        table: &Table<'t>,
        key: &'static str,
        words: &Words<T>,
    ) -> Option<T> {
        let At { line, value } = self.string(table, key)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return Some(*meaning);
        }
        let valid: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        let suggestion = keys::nearest(value, valid.iter().copied());
        self.refuse(line, key, value, ValueFault::NotOneOf { valid, suggestion });
        None
    }

    /// Notes the fault and gives the `None` that the caller returns.
    fn wrong_type<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: Expected,
    ) -> Option<T> {
        let fault = Fault::WrongType { key: Shown::from(key), value: self.source(value), expected };
        self.report(self.line(&value.span()), fault);
        None
    }

    /// A value as it is written.
    fn source(&self, value: &Spanned<DeValue<'_>>) -> Shown {
        Shown::from(self.text.get(value.span()).unwrap_or_default())
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.lines.partition_point(|start| *start <= span.start)
    }
}
