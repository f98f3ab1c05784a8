//! What is wrong with a config file: file, line, thing, way out.

use std::fmt;

/// One mistake in `gateway.toml`: `gateway.toml:41: extension 101: caller_id "5035551212" is not E.164; write …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file as it was named to us.
    pub file: String,
    /// Line, from 1; 0 when the file as a whole is meant (it cannot be read).
    pub line: usize,
    /// The thing, what is wrong with it, and the way out.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}
