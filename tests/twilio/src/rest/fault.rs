//! Faults on demand: refusals, silence, torn connections, slowness.

use serde::Deserialize;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An error answer with `status` and `code`; nothing is carried out. With status 0 the request is only delayed.
    #[default]
    Status,
    /// The request is carried out, then the connection stays silent until the client gives up.
    NoAnswer,
    /// The connection is closed; nothing is carried out.
    TornBefore,
    /// The request is carried out, then the connection is closed without an answer.
    TornAfter,
    /// The request is carried out and answered after `delay_ms`.
    Slow,
}

/// A fault for the next `count` requests that it fits.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// HTTP status, such as 429, 500 or 503, of `FaultKind::Status`.
    pub status: u16,
    /// Twilio's code, such as 20429.
    pub code: u32,
    /// How many requests it hits.
    pub count: u32,
    /// Let so many requests that it fits through first.
    pub after: u32,
    /// Wait so long before anything else.
    pub delay_ms: u64,
    /// Only requests with this method.
    pub method: Option<String>,
    /// Only requests whose path contains this.
    pub path_contains: Option<String>,
}

impl Default for Fault {
    fn default() -> Self {
        let (kind, method, path_contains) = (FaultKind::Status, None, None);
        Self { kind, status: 0, code: 0, count: 1, after: 0, delay_ms: 0, method, path_contains }
    }
}

impl Fault {
    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|own| own == method)
            && self.path_contains.as_deref().is_none_or(|part| path.contains(part))
    }
}

/// The fault of this request: the first in the queue that fits, unless that one lets it through.
pub fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Fault> {
    let at = faults.iter().position(|fault| fault.fits(method, path))?;
    let fault = &mut faults[at];
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    let taken = fault.clone();
    fault.count = fault.count.saturating_sub(1);
    if fault.count == 0 {
        faults.remove(at);
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fault {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_fault_hits_as_many_requests_as_it_says_after_those_it_lets_through() {
        let mut faults = vec![read(r#"{"status":429,"code":20429,"count":2,"after":1}"#)];
        let hit: Vec<bool> = (0..5).map(|_| take(&mut faults, "GET", "/x").is_some()).collect();
        assert_eq!(hit, [false, true, true, false, false]);
    }

    #[test]
    fn a_fault_for_one_method_and_path_leaves_the_others_alone() {
        let mut faults = vec![read(r#"{"kind":"torn_after","method":"POST","path_contains":"Domains"}"#)];
        assert!(take(&mut faults, "GET", "/SIP/Domains.json").is_none());
        assert!(take(&mut faults, "POST", "/Applications.json").is_none());
        assert_eq!(take(&mut faults, "POST", "/SIP/Domains.json").map(|f| f.kind), Some(FaultKind::TornAfter));
        assert!(faults.is_empty());
    }

    #[test]
    fn an_unknown_word_in_a_fault_is_refused() {
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"explode"}"#).is_err());
        assert!(serde_json::from_str::<Fault>(r#"{"statis":429}"#).is_err());
    }
}
