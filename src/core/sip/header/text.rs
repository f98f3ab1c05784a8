//! Pieces of the grammar of RFC 3261 section 25.1 that many headers share.

/// Whether a text is a non-empty token.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_char)
}

pub(super) fn is_token_char(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

/// Splits at the commas that stand outside quotes and angle brackets, and trims the parts. Parts can be empty.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match find_outside(text, b',') {
            Some(comma) => {
                rest = Some(&text[comma + 1..]);
                Some(text[..comma].trim())
            }
            None => {
                rest = None;
                Some(text.trim())
            }
        }
    })
}

/// The first place of an ASCII octet outside quotes and angle brackets.
pub(super) fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let (mut quoted, mut escaped, mut bracket) = (false, false, false);
    for (i, b) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match b {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if b == wanted && !bracket {
            return Some(i);
        } else {
            match b {
                b'"' => quoted = true,
                b'<' => bracket = true,
                b'>' => bracket = false,
                _ => {}
            }
        }
    }
    None
}

/// Reads a quoted-string at the start: its content without escapes, and what follows it.
pub(super) fn quoted_string(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let mut content = String::new();
    let mut chars = body.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((content, &body[i + 1..])),
            '\\' => content.push(chars.next()?.1),
            c => content.push(c),
        }
    }
    None
}

/// A quoted-string of any text. CR and LF can not be escaped (RFC 3261 quoted-pair) and become spaces.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\r' | '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_only_outside_quotes_and_angle_brackets() {
        let parts: Vec<_> = split_list(r#""a, \"b," <sip:x,y@z>;p="1,2" , <sip:q>,"#).collect();
        assert_eq!(parts, [r#""a, \"b," <sip:x,y@z>;p="1,2""#, "<sip:q>", ""]);
    }

    #[test]
    fn quoting_and_reading_a_text_gives_it_back() {
        let text = r#"say "hi\ho""#;
        assert_eq!(quoted_string(&quote(text)), Some((text.to_string(), "")));
        assert_eq!(quoted_string("\"open"), None);
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
    }
}
