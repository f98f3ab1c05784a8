//! `Digest name=value, name="value"`: the grammar that challenges and credentials share (RFC 7616, RFC 3261 section 25.1).

use std::borrow::Cow;

use super::DigestError;
use crate::sip::header::is_token;

/// Parameters of a digest header, values as they stood between the quotes.
pub(super) struct Params<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Params<'a> {
    /// Most parameters of a header; more is no digest.
    const MAX: usize = 32;

    /// Reads the whole value. White space may stand anywhere; no parameter comes twice (RFC 7616 section 3.3).
    pub fn parse(value: &'a str) -> Result<Self, DigestError> {
        let value = value.trim();
        let (scheme, mut rest) = value.split_once([' ', '\t']).ok_or(DigestError::NotDigest)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(DigestError::NotDigest);
        }
        let mut params = Params(Vec::new());
        loop {
            // Empty list elements are allowed (RFC 9110 section 5.6.1.2).
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(params);
            }
            let (name, after) = rest.split_once('=').ok_or(DigestError::Malformed)?;
            let (value, after) = Self::value(after.trim_start()).ok_or(DigestError::Malformed)?;
            let name = name.trim();
            rest = after.trim_start();
            let ended = rest.is_empty() || rest.starts_with(',');
            if !ended || !is_token(name) || params.get(name).is_some() || params.0.len() == Self::MAX {
                return Err(DigestError::Malformed);
            }
            params.0.push((name, value));
        }
    }

    /// A token or quoted string at the start, and what follows it.
    fn value(text: &'a str) -> Option<(&'a str, &'a str)> {
        let Some(quoted) = text.strip_prefix('"') else {
            let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
            return (!text[..end].contains('"')).then(|| text.split_at(end));
        };
        let mut escaped = false;
        let end = quoted.bytes().position(|b| {
            let closes = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        })?;
        Some((&quoted[..end], &quoted[end + 1..]))
    }

    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    /// A parameter that must be there.
    pub fn need(&self, name: &str) -> Result<String, DigestError> {
        self.get(name).map(str::to_owned).ok_or(DigestError::Malformed)
    }
}

/// A text as it can stand between quotes: what does already is kept, else quotes and backslashes are escaped.
pub(super) fn quotable(text: &str) -> Cow<'_, str> {
    let mut bytes = text.bytes();
    let stands = loop {
        match bytes.next() {
            None => break true,
            Some(b'"') => break false,
            Some(b'\\') if bytes.next().is_none() => break false,
            Some(_) => {}
        }
    };
    if stands { Cow::Borrowed(text) } else { Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\"")) }
}
