//! The upload of an asset version (TWILIO.md "Assets"): multipart/form-data (RFC 7578, RFC 2046 section 5.1).

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use super::serverless::File;
use super::{Call, invalid, object};
use crate::rest::RestError;

/// The limit of an asset: 25 MB.
const MAX_CONTENT: usize = 25 * 1024 * 1024;
/// TWILIO.md "Assets": path <= 255 and starts with /.
const MAX_PATH: usize = 255;
/// Parts of one upload; three are used.
const MAX_PARTS: usize = 16;

/// One part of a multipart body.
#[derive(Debug, PartialEq)]
struct Part {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    content: Bytes,
}

/// Reads the parts `Path`, `Visibility` and `Content`: the version's own fields, and its file.
pub fn version(call: &mut Call, asset: &str) -> Result<(Map<String, Value>, File), RestError> {
    let boundary = parameter(&call.request.content_type, "multipart/form-data", "boundary")
        .ok_or_else(|| RestError { status: 415, code: 20415, message: "multipart/form-data is required".to_owned() })?;
    let parts = parse(&call.request.body, &boundary).map_err(|what| invalid(format!("multipart/form-data: {what}")))?;
    let known = ["Path", "Visibility", "Content"];
    call.unknown.extend(parts.iter().map(|part| part.name.clone()).filter(|name| !known.contains(&name.as_str())));
    let part = |name: &str| {
        let missing = || invalid(format!("Missing required parameter {name} in the post body"));
        parts.iter().find(|part| part.name == name).ok_or_else(missing)
    };
    let text = |name: &str| part(name).map(|part| String::from_utf8_lossy(&part.content).into_owned());
    // Twilio puts a missing slash in front (TWILIO.md "Assets").
    let path = format!("/{}", text("Path")?.trim_start_matches('/'));
    if path.len() == 1 || path.chars().count() > MAX_PATH || path.contains(char::is_whitespace) {
        return Err(invalid(format!("Path {path:?} has no or more than {MAX_PATH} characters, or a space")));
    }
    let visibility = text("Visibility")?;
    if !["public", "private", "protected"].contains(&visibility.as_str()) {
        return Err(invalid("Visibility must be public, private or protected"));
    }
    let content = part("Content")?;
    if content.filename.is_none() {
        return Err(invalid("Content must be a file"));
    }
    if content.content.len() > MAX_CONTENT {
        return Err(RestError { status: 413, code: 20001, message: format!("Content is longer than {MAX_CONTENT}") });
    }
    let fields = object(json!({ "asset_sid": asset, "path": path, "visibility": visibility }));
    let content_type = content.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
    Ok((fields, File { path, visibility, content_type, bytes: content.content.clone() }))
}

/// A parameter of a header such as `form-data; name="Path"`, when its value begins with `kind`.
fn parameter(header: &str, kind: &str, name: &str) -> Option<String> {
    let (value, mut rest) = header.split_once(';')?;
    if !value.trim().eq_ignore_ascii_case(kind) {
        return None;
    }
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next()? {
                        (at, '"') => break at + 1,
                        (_, '\\') => value.push(chars.next()?.1),
                        (_, c) => value.push(c),
                    }
                };
                (value, &quoted[end..])
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.trim_start_matches([';', ' ', '\t']).trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

/// RFC 2046 section 5.1.1: each part is between lines `--boundary`, the last line is `--boundary--`.
fn parse(body: &Bytes, boundary: &str) -> Result<Vec<Part>, &'static str> {
    let dash = format!("--{boundary}");
    let between = format!("\r\n{dash}");
    // The preamble is nobody's; the line break before a boundary belongs to the boundary.
    let mut at = match body.starts_with(dash.as_bytes()) {
        true => dash.len(),
        false => find(body, between.as_bytes(), 0).ok_or("no boundary")? + between.len(),
    };
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest[padding..].starts_with(b"\r\n") {
            return Err("a boundary without the end of its line");
        }
        if parts.len() == MAX_PARTS {
            return Err("too many parts");
        }
        let start = at + padding;
        let end = find(body, between.as_bytes(), start + 2).ok_or("no closing boundary")?;
        let blank = find(body, b"\r\n\r\n", start).filter(|blank| *blank < end).ok_or("a part without a blank line")?;
        let head = std::str::from_utf8(&body[start..blank]).map_err(|_| "headers of a part are not UTF-8")?;
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let disposition = header("Content-Disposition").ok_or("a part without Content-Disposition")?;
        let name = parameter(&disposition, "form-data", "name").ok_or("a part without a name")?;
        parts.push(Part {
            name,
            filename: parameter(&disposition, "form-data", "filename"),
            content_type: header("Content-Type"),
            content: body.slice(blank + 4..end),
        });
        at = end + between.len();
    }
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    body.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.to_owned())
    }

    #[test]
    fn the_parts_of_a_form_are_told_apart_and_their_bytes_are_kept() {
        let body = bytes(
            "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"Path\"\r\n\r\n/a.wav\r\n--B \r\n\
             content-type: audio/wav\r\ncontent-disposition: form-data; filename=\"a \\\"b\\\".wav\"; name=Content\r\n\
             \r\n\r\n--A\r\n\0\r\n\r\n--B--\r\nepilogue",
        );
        let parts = parse(&body, "B").unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].name.as_str(), &parts[0].content[..]), ("Path", &b"/a.wav"[..]));
        assert_eq!(parts[1].name, "Content");
        assert_eq!(parts[1].filename.as_deref(), Some("a \"b\".wav"));
        assert_eq!(parts[1].content_type.as_deref(), Some("audio/wav"));
        assert_eq!(&parts[1].content[..], b"\r\n--A\r\n\0\r\n");
    }

    #[test]
    fn a_broken_body_is_refused_with_a_reason() {
        let part = "--B\r\nContent-Disposition: form-data; name=\"Path\"\r\n\r\n/a";
        let cases = ["", "x", part, "--Bx", "--B\r\n\r\nx\r\n--B--", "--B\r\nContent-Disposition: form-data\r\n--B--"];
        for body in cases {
            assert!(parse(&bytes(body), "B").is_err(), "{body:?}");
        }
        let many = format!("{part}\r\n").repeat(MAX_PARTS + 1) + "--B--";
        assert_eq!(parse(&bytes(&many), "B"), Err("too many parts"));
    }

    #[test]
    fn a_boundary_is_found_quoted_or_not() {
        let boundary = |header: &str| parameter(header, "multipart/form-data", "boundary");
        assert_eq!(boundary("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(boundary("application/json; boundary=abc"), None);
        assert_eq!(boundary("multipart/form-data"), None);
    }
}
