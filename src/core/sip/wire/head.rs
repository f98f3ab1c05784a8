//! The head of a message as text: start line and headers, unfolded, with long names, lists split.
//!
//! Nothing here fails: the first fault is kept beside what could be read, because a refusal needs those headers.

use std::borrow::Cow;

use rsip::Headers;

use super::{Fault, MAX_HEADERS};
use crate::sip::header;

/// Lists that become one header each, so that the top Via or the first Route is the first header of its name.
const LISTS: [&str; 4] = ["Via", "Contact", "Route", "Record-Route"];

/// A head as far as it can be read.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub start: Start<'a>,
    pub headers: Headers,
    /// The first malformed header, or too many of them.
    pub fault: Option<Fault>,
}

/// The start line, before its parts are checked.
#[derive(Debug)]
pub(super) enum Start<'a> {
    Request { method: Cow<'a, str>, rest: Cow<'a, str> },
    Response { rest: Cow<'a, str> },
    Other,
}

impl<'a> Head<'a> {
    /// Scans the octets up to the empty line (exclusive or not).
    pub fn scan(bytes: &'a [u8]) -> Head<'a> {
        let mut lines = Lines(bytes);
        let start = start(lines.next().unwrap_or_default());
        let mut head = Head { start, headers: Headers::default(), fault: None };
        let mut count = 0;
        while let Some(line) = lines.next_unfolded() {
            if let Err(fault) = head.field(&line, &mut count) {
                head.fault.get_or_insert(fault);
            }
        }
        head
    }

    /// Reads `name HCOLON value` (RFC 3261 section 7.3.1).
    fn field(&mut self, line: &[u8], count: &mut usize) -> Result<(), Fault> {
        let text = text(line);
        let (name, value) = text.split_once(':').ok_or_else(|| malformed(&text))?;
        let name = header::long_name(name.trim_end());
        if !header::is_token(name) {
            return Err(malformed(name));
        }
        let value = value.trim();
        let mut add = |value: &str| {
            if *count == MAX_HEADERS {
                return Err(Fault::TooLarge);
            }
            *count += 1;
            self.headers.push(header::make(name, value));
            Ok(())
        };
        if LISTS.iter().any(|list| list.eq_ignore_ascii_case(name)) {
            return header::split_list(value).try_for_each(add);
        }
        add(value)
    }
}

fn malformed(name: &str) -> Fault {
    Fault::Header(shown(name))
}

/// A text of the sender as a fault shows it: short enough for a log line, and on one line.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    text.chars().take(SHOWN).filter(|c| !c.is_control()).collect()
}

fn start(line: &[u8]) -> Start<'_> {
    let version = |text: &[u8]| text.len() > 4 && text[..4].eq_ignore_ascii_case(b"SIP/");
    if version(line) {
        return Start::Response { rest: text(line) };
    }
    let Some(space) = line.iter().position(|b| *b == b' ') else {
        return Start::Other;
    };
    // A version with white space behind it still shows that SIP was meant (RFC 4475 section 3.1.2.9).
    let trimmed = line.trim_ascii_end();
    let last = trimmed.rsplit(|b| *b == b' ').next().unwrap_or_default();
    let method = text(&line[..space]);
    if !version(last) || !header::is_token(&method) {
        return Start::Other;
    }
    Start::Request { method, rest: text(&line[space + 1..]) }
}

/// Header octets as text: UTF-8 as the RFC wants, else Latin-1 as old phones send it.
fn text(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(octets.iter().copied().map(char::from).collect()),
    }
}

/// Lines that end in CRLF or, tolerated, in LF alone; ends at an empty line.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (line, rest) = match self.0.iter().position(|b| *b == b'\n') {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &self.0[self.0.len()..]),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // What follows the empty line is not ours.
        self.0 = if line.is_empty() { &[] } else { rest };
        (!line.is_empty()).then_some(line)
    }

    /// A line with its continuations (RFC 3261 section 7.3.1), each joined by one space. A lone CR is white space.
    fn next_unfolded(&mut self) -> Option<Cow<'a, [u8]>> {
        let mut line = Cow::Borrowed(self.next()?);
        while matches!(self.0, [b' ' | b'\t', ..]) {
            let Some(more) = self.next() else { break };
            let line = line.to_mut();
            line.truncate(line.trim_ascii_end().len());
            line.push(b' ');
            line.extend_from_slice(more.trim_ascii_start());
        }
        if line.contains(&b'\r') {
            line.to_mut().iter_mut().filter(|b| **b == b'\r').for_each(|b| *b = b' ');
        }
        Some(line)
    }
}

/// Where the head ends: octets of start line and headers with the empty line.
///
/// `from` is where the search may start, for a caller that gets the octets in pieces.
pub(super) fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(lf) = bytes.get(at..)?.iter().position(|b| *b == b'\n') {
        at += lf + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}
