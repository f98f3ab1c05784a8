//! A resource as a record of JSON fields, and the parameters that may change it.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::RestError;

/// The families of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `SD...`
    Domain,
    /// `CL...`
    CredentialList,
    /// `CR...`
    Credential,
    /// `Auth/Calls/CredentialListMappings`
    CallsMapping,
    /// `Auth/Registrations/CredentialListMappings`
    RegistrationsMapping,
    /// `AP...`
    Application,
    /// `PN...`
    Number,
    /// `AL...`
    AccessList,
    /// `IP...`
    IpAddress,
    /// `Auth/Calls/IpAccessControlListMappings`
    AccessListMapping,
    /// `AD...`
    Address,
    /// `SK...`
    Key,
    /// `UT...`
    UsageTrigger,
    /// `PN...` of somebody else's number that is verified
    CallerId,
    /// `CA...`
    Call,
}

impl Kind {
    /// A mapping borrows the SID of its list (TWILIO.md "Domain mappings").
    pub fn is_mapping(self) -> bool {
        matches!(self, Self::CallsMapping | Self::RegistrationsMapping | Self::AccessListMapping)
    }
}

/// One resource.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Its family.
    pub kind: Kind,
    /// Its SID; a mapping has the SID of its list (TWILIO.md "Domain mappings").
    pub sid: String,
    /// The SID of what it hangs on: the list of a credential, the domain of a mapping.
    pub parent: Option<String>,
    /// What the API shows.
    pub fields: Map<String, Value>,
    /// What the API never shows: the digest of a credential's password (TWILIO.md "Credentials").
    pub ha1: Option<String>,
}

impl Record {
    /// A text field; null is empty.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// A boolean field.
    pub fn flag(&self, name: &str) -> bool {
        self.fields.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// What a parameter's value must look like.
#[derive(Clone, Copy)]
pub enum Form {
    /// Any text up to that many characters.
    Text(usize),
    /// An absolute http or https URL; 21402 otherwise (TWILIO.md "Voice settings of a number").
    Url,
    /// GET or POST; 21403 otherwise.
    Method,
    /// `true` or `false`.
    Flag,
    /// A SID with that prefix.
    Sid(&'static str),
    /// One of these words; what it cannot be is null.
    OneOf(&'static [&'static str]),
    /// Known, but no field shows it.
    Unshown,
}

/// One parameter: its CamelCase name; the field is the same in snake_case (TWILIO.md "API requests").
pub struct Param {
    /// Name in the form.
    pub name: &'static str,
    /// Its form.
    pub value: Form,
}

/// Shorthand for the tables of the families.
pub const fn param(name: &'static str, value: Form) -> Param {
    Param { name, value }
}

/// `VoiceUrl` as `voice_url`.
pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Applies a form to fields. Parameters that no table knows are given back and counted (TWILIO.md "API requests").
pub fn apply(
    params: &[Param],
    form: &[(String, String)],
    fields: &mut Map<String, Value>,
) -> Result<Vec<String>, RestError> {
    let mut unknown = Vec::new();
    for (name, text) in form {
        match params.iter().find(|p| p.name == name) {
            Some(param) if matches!(param.value, Form::Unshown) => {}
            Some(param) => {
                fields.insert(snake(name), convert(param, text)?);
            }
            None => unknown.push(name.clone()),
        }
    }
    Ok(unknown)
}

fn convert(param: &Param, text: &str) -> Result<Value, RestError> {
    let name = param.name;
    // TWILIO.md "API requests": Clear a URL/SID by sending an empty value.
    if text.is_empty() {
        return Ok(match param.value {
            Form::Flag | Form::OneOf(_) => return Err(RestError::bad(20001, format!("{name} is empty"))),
            Form::Text(_) => json!(""),
            _ => Value::Null,
        });
    }
    match param.value {
        Form::Text(longest) if text.chars().count() > longest => {
            Err(RestError::bad(20002, format!("{name} is longer than {longest} characters")))
        }
        Form::Text(_) => Ok(json!(text)),
        Form::Url if is_url(text) => Ok(json!(text)),
        Form::Url => Err(RestError::bad(21402, format!("{name} is not valid"))),
        Form::Method if text == "GET" || text == "POST" => Ok(json!(text)),
        Form::Method => Err(RestError::bad(21403, format!("{name} must be GET or POST"))),
        Form::Flag => match text {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            _ => Err(RestError::bad(20001, format!("{name} must be true or false"))),
        },
        Form::OneOf(words) if words.contains(&text) => Ok(json!(text)),
        Form::OneOf(words) => Err(RestError::bad(20001, format!("{name} must be one of {words:?}"))),
        Form::Unshown => Ok(Value::Null),
        Form::Sid(prefix) if is_sid(text, prefix) => Ok(json!(text)),
        Form::Sid(_) => Err(RestError::bad(20423, format!("{name} {text} is not a SID"))),
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|r| r.split(['/', '?', '#']).next().unwrap_or(""));
    host.is_some_and(|h| !h.is_empty()) && !text.contains(char::is_whitespace)
}

/// The fields of a JSON object literal.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// `^XX[0-9a-fA-F]{32}$` (TWILIO.md "API requests").
pub fn is_sid(text: &str, prefix: &str) -> bool {
    text.len() == 34 && text.starts_with(prefix) && text[2..].bytes().all(|b| b.is_ascii_hexdigit())
}
