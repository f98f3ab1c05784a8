//! `application/x-www-form-urlencoded`, keeping what a signature needs: blank and repeated fields, in order.
//!
//! The usual decoders drop blank fields, and then the signature fails (TWILIO.md "Signature").

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Most fields of one request; Twilio sends about 30.
pub const MAX_FIELDS: usize = 256;

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("the form has more than {MAX_FIELDS} fields")]
    TooManyFields,
    #[error("the form is not UTF-8")]
    NotUtf8,
}

/// Decoded fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Form<'a> {
    /// Reads a body or a query string.
    pub fn decode(text: &'a [u8]) -> Result<Self, FormError> {
        let mut fields = Vec::with_capacity(32);
        for field in text.split(|b| *b == b'&').filter(|field| !field.is_empty()) {
            if fields.len() == MAX_FIELDS {
                return Err(FormError::TooManyFields);
            }
            let (name, value) = match field.iter().position(|b| *b == b'=') {
                Some(at) => (&field[..at], &field[at + 1..]),
                None => (field, &[][..]),
            };
            fields.push((decode(name)?, decode(value)?));
        }
        Ok(Form { fields })
    }

    /// A form of these fields, as a test or the offline dialplan makes one.
    pub fn of(fields: impl IntoIterator<Item = (impl Into<Cow<'a, str>>, impl Into<Cow<'a, str>>)>) -> Self {
        Form { fields: fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// Whether it is of this account. The rule: no field `AccountSid` names another one; a callback may have none.
    pub fn is_of_account(&self, account_sid: &str) -> bool {
        self.fields().all(|(name, value)| name != "AccountSid" || value == account_sid)
    }

    /// All fields in the order of the request.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

/// `+` is a space and `%HH` a byte; a lone `%` stays.
fn decode(text: &[u8]) -> Result<Cow<'_, str>, FormError> {
    if !text.contains(&b'+') {
        return percent_decode(text).decode_utf8().map_err(|_| FormError::NotUtf8);
    }
    // Before the escapes: `%2B` is a plus.
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded = percent_decode(&spaced).decode_utf8().map_err(|_| FormError::NotUtf8)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_and_repeated_fields_are_kept_in_order() {
        let form = Form::decode(b"b=2&Digits=&b=1&flag&a=x+y%2Bz&b=2").unwrap();
        let fields: Vec<_> = form.fields().collect();
        assert_eq!(fields, [("b", "2"), ("Digits", ""), ("b", "1"), ("flag", ""), ("a", "x y+z"), ("b", "2")]);
        assert_eq!(form.get("b"), Some("2"));
        assert_eq!(form.get("B"), None);
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        let form = Form::decode(b"a=100%&b=%zz&c=%4&d=%+1&%3D=%26").unwrap();
        let fields: Vec<_> = form.fields().collect();
        assert_eq!(fields, [("a", "100%"), ("b", "%zz"), ("c", "%4"), ("d", "% 1"), ("=", "&")]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert_eq!(Form::decode(b"a=%C3"), Err(FormError::NotUtf8));
        assert_eq!(Form::decode(b"a\xff=1"), Err(FormError::NotUtf8));
        assert_eq!(Form::decode("á=%C3%A9".as_bytes()).unwrap().get("á"), Some("é"));
    }

    #[test]
    fn more_fields_than_twilio_would_ever_send_are_refused() {
        assert!(Form::decode("a=1&".repeat(MAX_FIELDS).as_bytes()).is_ok());
        assert_eq!(Form::decode("a=1&".repeat(MAX_FIELDS + 1).as_bytes()), Err(FormError::TooManyFields));
    }
}
