//! What a field at Twilio holds. A URL in it may carry credentials; they are masked wherever it is shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::url::masked;

/// A field's content as the text that a form would hold.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Setting(String);

impl Setting {
    pub fn new(text: impl Into<String>) -> Setting {
        Setting(text.into())
    }

    /// The content itself, for the request or the comparison that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", masked(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_masked_wherever_it_stands() {
        for (text, shown) in [
            ("https://u:p@example.com/x", "https://***@example.com/x"),
            ("https://u:p%40q@example.com", "https://***@example.com"),
            (
                r#"{"voice_url":"https://u:p@h/a","b":"http://h/@c"}"#,
                r#"{"voice_url":"https://***@h/a","b":"http://h/@c"}"#,
            ),
            ("no url, a@b", "no url, a@b"),
            ("", ""),
            ("https://", "https://"),
        ] {
            assert_eq!(Setting::new(text).to_string(), shown);
            assert_eq!(Setting::new(text).expose(), text);
        }
    }
}
