//! What happened, for people: one line each in the log, and in the history (`history` of the program) what matters later.
//!
//! A fault has a code, a culprit and a next step ([`Code`]; `event/EVENTS.md` lists them). No secrets, no SIP bodies.

mod code;
mod culprit;
#[cfg(test)]
mod tests;

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
