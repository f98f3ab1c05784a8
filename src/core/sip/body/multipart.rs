//! MIME parts (RFC 2046 section 5.1) and their headers, read as leniently as phones write them: bare LF, no closing
//! delimiter, no boundary parameter, no headers.

use rsip::Headers;

use super::super::header;

/// Most header lines of a part that are read.
const MAX_HEADERS: usize = 32;

/// The parts of a body, in order, headers included. Without a boundary parameter the first line that begins with `--`
/// is the delimiter.
pub(super) fn split<'a>(body: &'a [u8], boundary: Option<&str>) -> Vec<&'a [u8]> {
    let guessed = || lines(body).find_map(|(_, line)| line.strip_prefix(b"--")).map(<[u8]>::to_vec);
    let boundary = boundary.map(|boundary| boundary.trim_end().as_bytes().to_vec());
    let Some(boundary) = boundary.or_else(guessed).filter(|boundary| !boundary.is_empty()) else { return Vec::new() };
    let mut parts = Vec::new();
    let mut open = None;
    for (at, line) in lines(body) {
        let tail = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary.as_slice()));
        let Some(tail) = tail.filter(|tail| tail.is_empty() || *tail == b"--") else { continue };
        parts.extend(open.take().and_then(|start: usize| body.get(start..at)).map(without_break));
        if !tail.is_empty() || parts.len() == super::MAX_PARTS {
            return parts;
        }
        open = Some(end_of_line(body, at));
    }
    parts.extend(open.and_then(|start| body.get(start..)));
    parts
}

/// A part's headers and body. A part without an empty line is all body when it begins like a description.
pub(super) fn read(part: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Headers::default();
    if part.starts_with(b"v=0") {
        return (headers, part);
    }
    let mut fields: Vec<String> = Vec::new();
    for (at, line) in lines(part) {
        if line.is_empty() {
            fields.iter().filter_map(|field| field.split_once(':')).for_each(|(name, value)| {
                headers.push(header::make(name.trim(), value.trim()));
            });
            return (headers, part.get(end_of_line(part, at)..).unwrap_or_default());
        }
        let text = String::from_utf8_lossy(line);
        let is_full = fields.len() == MAX_HEADERS;
        match fields.last_mut() {
            // Folded (RFC 2822 section 2.2.3).
            Some(last) if text.starts_with([' ', '\t']) => last.push_str(&text),
            _ if !is_full => fields.push(text.into_owned()),
            _ => {}
        }
    }
    (headers, &[])
}

/// Quoted-printable (RFC 2045 section 6.7). What is no code stays as it is.
pub(super) fn unquote(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'=', [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..]) => rest = tail,
            (b'=', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(first),
            },
            _ => out.push(first),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    // A digit of 16 is below 16.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Where each line begins, and the line without the white space at its end.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let line = text.get(start..).filter(|rest| !rest.is_empty())?;
        at = end_of_line(text, start);
        Some((start, line.get(..at - start)?.trim_ascii_end()))
    })
}

/// Where the next line begins.
fn end_of_line(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length + 1)
}

/// The line break before a delimiter belongs to the delimiter.
fn without_break(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}
