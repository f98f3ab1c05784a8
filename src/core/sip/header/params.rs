//! `;name=value` parameters.

use std::borrow::Cow;

use super::text::{is_token_char, quote, quoted_string};

/// `;name=value` parameters behind a header value, in order. Quoted values are held without quotes and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// By name, without case: `Some(None)` for a flag.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_deref())
    }

    /// The value of a parameter that has one.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).flatten()
    }

    /// Adds or replaces.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_string);
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_string(), value)),
        }
    }

    /// Removes a parameter.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Reads `*(SEMI name [EQUAL value])` up to the end of the text; `None` if anything else is there. An empty
    /// parameter (`;;`) is an error (RFC 4475 section 3.1.2.1), an empty value (`;rport=`) is not.
    pub fn parse(text: &str) -> Option<Params> {
        let owned = |(name, value): Param<'_>| (name.to_string(), value.map(Cow::into_owned));
        read(text).map(|param| param.map(owned)).collect::<Option<_>>().map(Params)
    }
}

/// The value of one parameter in a text that [`Params::parse`] takes, without reading what follows it.
pub(super) fn find<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    read(text).map_while(|param| param).find(|(n, _)| n.eq_ignore_ascii_case(name))?.1
}

type Param<'a> = (&'a str, Option<Cow<'a, str>>);

/// Each parameter; `None` for what is none, and nothing behind it.
fn read(text: &str) -> impl Iterator<Item = Option<Param<'_>>> {
    let mut rest = Some(text.trim());
    std::iter::from_fn(move || {
        let text = rest.take().filter(|text| !text.is_empty())?;
        let read = first(text);
        rest = read.as_ref().map(|(_, rest)| *rest);
        Some(read.map(|(param, _)| param))
    })
}

/// The parameter at the start, and what follows it.
fn first(text: &str) -> Option<(Param<'_>, &str)> {
    let text = text.strip_prefix(';')?.trim_start();
    let end = text.bytes().position(|b| !is_token_char(b)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let Some(rest) = rest.strip_prefix('=') else { return Some(((name, None), rest)) };
    let rest = rest.trim_start();
    let (value, rest) = match rest.starts_with('"') {
        true => quoted_string(rest).map(|(value, rest)| (Cow::Owned(value), rest))?,
        false => {
            let end = rest.find([';', ' ', '\t', '"', ',', '<', '>']).unwrap_or(rest.len());
            (Cow::Borrowed(&rest[..end]), &rest[end..])
        }
    };
    Some(((name, Some(value)), rest.trim_start()))
}

/// Values that are no token or host are quoted, and those of feature tags always are (RFC 3840 section 9).
impl std::fmt::Display for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in &self.0 {
            write!(f, ";{name}")?;
            let plain = |v: &str| v.bytes().all(|b| is_token_char(b) || matches!(b, b':' | b'[' | b']'));
            match value {
                Some(v) if plain(v) && !name.starts_with('+') => write!(f, "={v}")?,
                Some(v) => write!(f, "={}", quote(v))?,
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_with_white_space_quotes_and_flags() {
        let text = r#" ; tag = 1 ;lr;text="a;b \"c\"";received=2001:db8::1;rport="#;
        let params = Params::parse(text).unwrap();
        assert_eq!(params.value("TAG"), Some("1"));
        assert_eq!(params.get("lr"), Some(None));
        assert_eq!(params.value("text"), Some("a;b \"c\""));
        assert_eq!(params.value("received"), Some("2001:db8::1"));
        assert_eq!(params.value("rport"), Some(""));
        assert_eq!(Params::parse(&params.to_string()), Some(params));
    }

    #[test]
    fn empty_parameters_and_loose_words_are_refused() {
        for text in [";", ";;a", ";a;", "a", ";a b", ";=b", ";a=\"open", ";a=b c"] {
            assert_eq!(Params::parse(text), None, "{text}");
        }
    }

    #[test]
    fn setting_a_parameter_replaces_it_without_case() {
        let mut params = Params::parse(";Expires=60;q=1").unwrap();
        params.set("expires", Some("0"));
        params.remove("Q");
        assert_eq!(params.to_string(), ";Expires=0");
    }
}
