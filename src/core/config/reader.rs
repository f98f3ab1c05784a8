//! Reads tables of TOML with their lines, and gathers every mistake instead of stopping at the first.
//!
//! serde stops at the first error of a file and cannot say which line a later check belongs to; this reads the spanned
//! tree of the `toml` crate.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// Longest part of a wrong value that an error repeats, in characters.
const MAX_SHOWN: usize = 80;

/// Most mistakes that are told; a file with more is no config file.
const MAX_ERRORS: usize = 50;

/// A known key this similar to an unknown one (Jaro-Winkler, 0 to 1) is proposed.
const SIMILAR: f64 = 0.75;

/// The file being read and the mistakes found so far.
pub(super) struct Source<'a> {
    file: &'a str,
    /// Byte offsets at which lines end.
    line_ends: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a str, text: &str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Source { file, line_ends, errors: RefCell::default() }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        1 + self.line_ends.partition_point(|end| *end < span.start)
    }

    /// Notes a mistake.
    pub(super) fn error(&self, line: usize, message: impl Into<String>) {
        let error = ConfigError { file: self.file.to_owned(), line, message: message.into() };
        self.errors.borrow_mut().push(error);
    }

    /// All mistakes in the order of the file, the first [`MAX_ERRORS`] of them.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.line);
        if errors.len() > MAX_ERRORS {
            let more = errors.len() - MAX_ERRORS;
            errors.truncate(MAX_ERRORS);
            errors.push(ConfigError { file: self.file.to_owned(), line: 0, message: format!("and {more} more") });
        }
        errors
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.borrow().is_empty()
    }
}

/// One table: `[trunk]`, or one `[[extension]]`.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    table: Option<&'a DeTable<'a>>,
    /// How errors call it: `trunk`, `extension 101`; empty for the file itself.
    pub(super) label: String,
    /// Its header's line.
    pub(super) line: usize,
    /// Keys that were asked for: the known ones.
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(source: &'a Source<'a>, table: &'a DeTable<'a>, label: &str, line: usize) -> Self {
        Section { source, table: Some(table), label: label.to_owned(), line, known: Vec::new() }
    }

    /// Where mistakes are noted.
    pub(super) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// The value of a key and its line.
    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// Notes a mistake about this section at a line of its own.
    pub(super) fn error(&self, line: usize, message: impl AsRef<str>) {
        let message = message.as_ref();
        match self.label.as_str() {
            "" => self.source.error(line, message),
            label => self.source.error(line, format!("{label}: {message}")),
        }
    }

    /// The line of a key, or of the section when the key is absent.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.table.and_then(|table| table.get(key)).map_or(self.line, |value| self.source.line(&value.span()))
    }

    /// An optional key. `read` answers with the value, or with what is wrong and the way out ("is not E.164; write …").
    /// A wrong value is noted and counts as absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let line = self.source.line(&value.span());
                self.error(line, format!("{key} {} {wrong}", shown(value.get_ref())));
                None
            }
        }
    }

    /// A key that must be there; `example` is the way out when it is not. What is returned for a mistake is a
    /// placeholder: a file with a mistake never becomes a `Config`.
    pub(super) fn required<T: Default>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        if self.table.is_some() && !self.has(key) {
            self.error(self.line, format!("{key} is missing; write {key} = {example}"));
        }
        self.optional(key, read).unwrap_or_default()
    }

    /// A list; every wrong element is noted with its own line. `None` when the key is absent.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<(T, usize)>> {
        let value = self.get(key)?;
        let Some(elements) = value.get_ref().as_array() else {
            let line = self.source.line(&value.span());
            self.error(line, format!("{key} {} is not a list; write {key} = [\"…\", \"…\"]", shown(value.get_ref())));
            return Some(Vec::new());
        };
        let mut read_ones = Vec::new();
        for element in elements {
            let line = self.source.line(&element.span());
            match read(element.get_ref()) {
                Ok(value) => read_ones.push((value, line)),
                Err(wrong) => self.error(line, format!("{key} {} {wrong}", shown(element.get_ref()))),
            }
        }
        Some(read_ones)
    }

    /// The key may be there; it is read elsewhere.
    pub(super) fn knows(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether a sub-table has the key, right or wrong.
    pub(super) fn has_in(&self, table: &str, key: &str) -> bool {
        let table = self.table.and_then(|root| root.get(table)).and_then(|value| value.get_ref().as_table());
        table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether the file has this list and nothing in it (a list whose elements were all wrong is something else).
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key)).and_then(|value| value.get_ref().as_array());
        value.is_some_and(|elements| elements.is_empty())
    }

    /// A sub-table that the file must have, such as `[site]`. A missing one is an error, and read as empty.
    pub(super) fn required_section(&mut self, key: &'static str) -> Section<'a> {
        if !self.has(key) {
            self.error(self.line, format!("[{key}] is missing; see config/gateway.toml"));
        }
        self.section(key)
    }

    /// A sub-table such as `[lan]`. A missing one is read as empty.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let mut section =
            Section { source: self.source, table: None, label: key.to_owned(), line: self.line, known: Vec::new() };
        if let Some(value) = self.get(key) {
            section.line = self.source.line(&value.span());
            section.table = value.get_ref().as_table();
            if section.table.is_none() {
                self.error(section.line, format!("{key} is not a table; write [{key}] on a line of its own"));
            }
        }
        section
    }

    /// The tables of a table such as `[environment.NAME]`, by name, at most `max` of them.
    pub(super) fn tables(&mut self, key: &'static str, max: usize) -> Vec<(&'a str, Section<'a>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let line = self.source.line(&value.span());
        let Some(table) = value.get_ref().as_table() else {
            self.error(line, format!("{key} is not a table of tables; write [{key}.NAME]"));
            return Vec::new();
        };
        if table.len() > max {
            self.error(line, format!("{} [{key}.NAME] tables are too many; at most {max} can be had", table.len()));
        }
        let mut tables = Vec::new();
        for (name, value) in table.iter().take(max) {
            let (name, line) = (name.get_ref().as_ref(), self.source.line(&name.span()));
            match value.get_ref().as_table() {
                Some(table) => {
                    tables.push((name, Section::new(self.source, table, &format!("{key} {}", clip(name)), line)))
                }
                None => self.error(line, format!("{key}: {} is not a table; write [{key}.NAME]", clip(name))),
            }
        }
        tables
    }

    /// An array of tables such as `[[extension]]`, at most `max` of them.
    pub(super) fn sections(&mut self, key: &'static str, max: usize) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let line = self.source.line(&value.span());
        let Some(elements) = value.get_ref().as_array() else {
            self.error(line, format!("{key} is one table of several; write [[{key}]] with two brackets"));
            return Vec::new();
        };
        if elements.len() > max {
            self.error(line, format!("{} [[{key}]] tables are too many; at most {max} can be had", elements.len()));
        }
        let mut sections = Vec::new();
        for element in elements.iter().take(max) {
            let line = self.source.line(&element.span());
            match element.get_ref().as_table() {
                Some(table) => sections.push(Section::new(self.source, table, key, line)),
                None => self.error(line, format!("{key} is one table of several; write [[{key}]] with two brackets")),
            }
        }
        sections
    }

    /// Everything has been asked for: what is left is unknown.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let line = self.source.line(&key.span());
            if name.contains("token") || name.contains("password") || name.contains("secret") {
                let way = "secrets live in site.state_dir; remove the line and run \"gateway setup\"";
                self.error(line, format!("{name} does not belong here, this file may be read by others; {way}"));
                continue;
            }
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::jaro_winkler(name, known), known))
                .filter(|(similarity, _)| *similarity >= SIMILAR)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let name = clip(name);
            match nearest {
                Some((_, known)) => self.error(line, format!("{name} is not a known key; did you mean {known}?")),
                None => self.error(line, format!("{name} is not a known key; known are {}", self.known.join(", "))),
            }
        }
    }
}

/// A value as an error shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => clip(&format!("{text:?}")),
        DeValue::Integer(number) => clip(number.as_str()),
        DeValue::Float(number) => clip(number.as_str()),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "(a date)".to_owned(),
        DeValue::Array(_) => "(a list)".to_owned(),
        DeValue::Table(_) => "(a table)".to_owned(),
    }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
