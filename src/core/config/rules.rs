//! The rules of single values, for those who ask a person for them: set-up and the config file know the same ones.

use toml::de::DeValue;

use super::value;

/// A value as the file would hold it, or what is wrong with it and the way out ("is not E.164; write …").
pub type Checked = Result<String, String>;

fn check<T>(text: &str, read: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Result<T, String> {
    read(&DeValue::String(text.into()))
}

/// `[twilio] account_sid`
pub fn account_sid(text: &str) -> Checked {
    check(text, value::account_sid)
}

/// `[site] name`
pub fn site_name(text: &str) -> Checked {
    check(text, value::site_name)
}

/// `[[extension]] name`
pub fn extension(text: &str) -> Checked {
    check(text, value::extension)
}

/// `[[extension]] display_name`
pub fn display(text: &str) -> Checked {
    check(text, value::display)
}

/// A phone number.
pub fn e164(text: &str) -> Checked {
    check(text, value::e164)
}

/// `[trunk] domain`
pub fn host(text: &str) -> Checked {
    check(text, value::host)
}

/// `[webhook] public_url`
pub fn public_url(text: &str) -> Checked {
    check(text, value::public_url)
}

/// `[environment.NAME]`
pub fn environment(text: &str) -> Checked {
    value::environment_name(text)
}

/// The postal keys of `[[address]]`.
pub fn postal(text: &str) -> Checked {
    check(text, value::postal)
}

/// `[[address]] country`
pub fn country(text: &str) -> Checked {
    check(text, value::country)
}
