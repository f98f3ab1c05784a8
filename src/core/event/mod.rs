//! What happened, for people: one line each in the log, and in the history (`history` of the program) what matters later.
//!
//! A fault has a code, a culprit and a next step ([`Code`]; `event/EVENTS.md` lists them). No secrets, no SIP bodies.

mod code;
mod culprit;

pub use code::Code;
pub use culprit::Culprit;

/// How much it matters; syslog's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Level {
    /// All, the worst first.
    pub const ALL: [Level; 5] = [Level::Error, Level::Warning, Level::Notice, Level::Info, Level::Debug];

    /// Syslog's word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// One event. Written `code key=value … : what, next step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub level: Level,
    /// What kind of event it is.
    pub code: Code,
    /// Who or what: extension, address, Call-ID.
    pub subject: String,
    /// What happened and, for a fault, what to do about it.
    pub text: String,
}

impl Event {
    /// An event of its code's usual level.
    pub fn new(code: Code, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Event { level: code.level(), code, subject: subject.into(), text: text.into() }
    }

    /// The same at a level that depends on what happened: the usual one, or one of [`Code::other_levels`].
    pub fn at(mut self, level: Level) -> Self {
        debug_assert!(
            level == self.code.level() || self.code.other_levels().contains(&level),
            "{} is never of level {}",
            self.code,
            level.word()
        );
        self.level = level;
        self
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.subject, self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Relative to the package.
    const MANUAL: &str = "event/EVENTS.md";

    /// The list of codes for people.
    fn manual() -> String {
        let mut text = "# Events\n\n\
            The log and `gateway history` name each event by its code. The level is the usual one; some codes have others, too.\n\
            The culprit is where the fault lies as a rule. `gateway history --code tunnel.down` shows the events of one code,\n\
            `gateway history --code tunnel` those of all codes that begin so.\n\n\
            <!-- Made from code.rs: GATEWAY_BLESS=1 cargo test --package gateway-core --lib event -->\n\n\
            | Code | Level | Culprit | What it means | What to do |\n\
            |------|-------|---------|---------------|------------|\n"
            .to_owned();
        for code in Code::ALL {
            let others: Vec<&str> = code.other_levels().iter().map(|level| level.word()).collect();
            let others = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
            let (level, culprit, next) = (code.level().word(), code.culprit().word(), code.next_step());
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| `{code}` | {level}{others} | {culprit} | {} | {} |",
                code.meaning(),
                next.unwrap_or("nothing")
            );
        }
        text
    }

    #[test]
    fn the_manual_lists_each_code_as_the_table_has_it() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(MANUAL);
        if std::env::var_os("GATEWAY_BLESS").is_some() {
            std::fs::write(&path, manual()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == manual(), "{MANUAL} is old; write it anew with GATEWAY_BLESS=1 set for this test");
    }

    #[test]
    fn the_table_is_sorted_by_words_that_are_each_there_once() {
        assert!(Code::ALL.is_sorted_by(|one, next| one < next && one.word() < next.word()));
    }

    #[test]
    fn a_word_is_read_as_its_code_and_another_is_none() {
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.word()), Some(*code));
        }
        for other in ["", "tunnel", "tunnel.", "Tunnel.Down", "tunnel.down "] {
            assert_eq!(Code::from_word(other), None, "{other:?}");
        }
    }

    #[test]
    fn json_holds_the_word() {
        assert_eq!(serde_json::to_string(&Code::TunnelDown).unwrap(), "\"tunnel.down\"");
        assert_eq!(serde_json::from_str::<Code>("\"tunnel.down\"").unwrap(), Code::TunnelDown);
        assert!(serde_json::from_str::<Code>("\"tunnel.former\"").is_err());
    }

    #[test]
    fn a_code_with_several_levels_has_each_once_and_a_fault_has_a_next_step_and_a_culprit() {
        for code in Code::ALL {
            let mut levels = vec![code.level()];
            levels.extend(code.other_levels());
            levels.sort_unstable();
            assert!(levels.is_sorted_by(|one, next| one < next), "{code}");
            if levels[0] == Level::Error {
                assert!(code.next_step().is_some() && code.culprit() != Culprit::Nobody, "{code}");
            }
        }
    }

    #[test]
    fn an_event_has_the_level_of_its_code_or_another_of_its_own() {
        let event = Event::new(Code::CallEnded, "call 7", "why");
        assert_eq!((event.level, event.to_string().as_str()), (Level::Info, "call.ended call 7: why"));
        assert_eq!(event.at(Level::Error).level, Level::Error);
    }
}
