//! `;name=value` parameters.

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
        let mut params = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            rest = rest.strip_prefix(';')?.trim_start();
            let end = rest.find(|c: char| !c.is_ascii() || !is_token_char(c as u8)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return None;
            }
            rest = after.trim_start();
            let value = match rest.strip_prefix('=') {
                None => None,
                Some(after) => {
                    let after = after.trim_start();
                    let (value, after) = match after.starts_with('"') {
                        true => quoted_string(after)?,
                        false => {
                            let end = after.find([';', ' ', '\t', '"', ',', '<', '>']).unwrap_or(after.len());
                            (after[..end].to_string(), &after[end..])
                        }
                    };
                    rest = after.trim_start();
                    Some(value)
                }
            };
            params.push((name.to_string(), value));
        }
        Some(Params(params))
    }
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
