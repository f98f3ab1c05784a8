//! `key=value key="a value"`: lines of the loggers log15 (ngrok) and logrus (cloudflared until 2020).

/// A line that is nothing but fields. What stands in the quotes of a value is no field, whatever it looks like.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// `None` for a line that is something else from its first word on, or at its end.
    pub fn parse(line: &str) -> Option<Fields> {
        let (mut fields, mut rest) = (Vec::new(), line.trim());
        while !rest.is_empty() {
            let (key, behind) = rest.split_once('=')?;
            let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if key.is_empty() || !key.bytes().all(is_key) {
                return None;
            }
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => quoted_value(quoted)?,
                None => {
                    let (value, behind) = behind.split_at(behind.find(' ').unwrap_or(behind.len()));
                    (value.to_owned(), behind)
                }
            };
            // A value ends with a space, or with the line.
            if !behind.is_empty() && !behind.starts_with(' ') {
                return None;
            }
            fields.push((key.to_owned(), value));
            rest = behind.trim_start();
        }
        Some(Fields(fields))
    }

    /// The value of a key that is there once; one that is there twice may be a stranger's.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(name, _)| name == key);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value.as_str())
    }

    /// Whether a key is there, or there more than once.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }
}

/// Up to the closing quote, and what follows it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_with_and_without_quotes() {
        let fields = Fields::parse(r#"t=2026 lvl=info msg="started tunnel" err=  name="a \"b\" c""#).unwrap();
        assert_eq!(fields.get("msg"), Some("started tunnel"));
        assert_eq!(fields.get("name"), Some("a \"b\" c"));
        assert_eq!(fields.get("err"), Some(""));
        assert_eq!(fields.get("url"), None);
    }

    #[test]
    fn what_stands_in_a_value_is_no_field_and_a_line_of_something_else_has_none() {
        let fields =
            Fields::parse(r#"lvl=info msg="x msg=\"started tunnel\" url=https://evil.example" path=/"#).unwrap();
        assert_eq!(fields.get("url"), None);
        assert!(fields.get("msg").is_some_and(|msg| msg.starts_with("x ")));
        let twice = Fields::parse("url=https://a.example.com url=https://b.example.com").unwrap();
        assert_eq!((twice.get("url"), twice.has("url")), (None, true));
        for line in ["GET /?a=1 url=https://evil.example", "msg=\"open", "a=\"b\"c=d", "=x", "a b=c", "https://x/?a=b"]
        {
            assert!(Fields::parse(line).is_none(), "{line}");
        }
    }
}
