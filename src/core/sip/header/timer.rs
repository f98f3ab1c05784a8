//! Session timers: Session-Expires and Min-SE (RFC 4028).

use rsip::Headers;

use super::number::{decimal, number};
use super::untyped::push;
use super::{HeaderError, Params, set, value};

/// Session-Expires (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    pub refresher: Option<Refresher>,
}

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

impl SessionExpires {
    fn text(self) -> String {
        let SessionExpires { interval, refresher } = self;
        match refresher {
            None => interval.to_string(),
            Some(Refresher::Uac) => format!("{interval};refresher=uac"),
            Some(Refresher::Uas) => format!("{interval};refresher=uas"),
        }
    }
}

/// Writes Session-Expires.
pub fn push_session_expires(headers: &mut Headers, value: SessionExpires) {
    push(headers, "Session-Expires", value.text());
}

/// Replaces Session-Expires.
pub fn set_session_expires(headers: &mut Headers, value: SessionExpires) {
    set(headers, "Session-Expires", value.text());
}

/// Min-SE (RFC 4028 section 5), seconds.
pub fn min_se(headers: &Headers) -> Result<Option<u32>, HeaderError> {
    number(headers, "Min-SE")
}

/// Writes Min-SE.
pub fn push_min_se(headers: &mut Headers, seconds: u32) {
    push(headers, "Min-SE", seconds.to_string());
}

/// Replaces Min-SE.
pub fn set_min_se(headers: &mut Headers, seconds: u32) {
    set(headers, "Min-SE", seconds.to_string());
}

/// Reads Session-Expires (compact form `x`).
pub fn session_expires(headers: &Headers) -> Result<Option<SessionExpires>, HeaderError> {
    let malformed = HeaderError("Session-Expires");
    let Some(text) = value(headers, "Session-Expires") else {
        return Ok(None);
    };
    let (interval, params) = text.split_at(text.find(';').unwrap_or(text.len()));
    let params = Params::parse(params).ok_or(malformed.clone())?;
    let refresher = match params.value("refresher") {
        Some(r) if r.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
        Some(r) if r.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
        Some(_) => return Err(malformed),
        None => None,
    };
    let interval = decimal(interval.trim_end()).ok_or(malformed)?;
    Ok(Some(SessionExpires { interval, refresher }))
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    #[test]
    fn session_expires_names_its_refresher() {
        let read = |value| session_expires(&Headers::from(vec![make("x", value)]));
        let uac = SessionExpires { interval: 1800, refresher: Some(Refresher::Uac) };
        assert_eq!(read("1800 ; refresher = UAC"), Ok(Some(uac)));
        assert_eq!(read("90"), Ok(Some(SessionExpires { interval: 90, refresher: None })));
        assert!(read("90;refresher=both").is_err() && read("soon").is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        for refresher in [None, Some(Refresher::Uac), Some(Refresher::Uas)] {
            let mut headers = Headers::default();
            let value = SessionExpires { interval: 1800, refresher };
            push_session_expires(&mut headers, value);
            assert_eq!(session_expires(&headers), Ok(Some(value)));
        }
    }
}
