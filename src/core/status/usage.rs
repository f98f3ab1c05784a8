//! What was used outside of what may be: `gateway spend`.

use serde::{Deserialize, Serialize};

/// The house.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Why calls outside are stopped, if they are; the driver fills it in.
    pub stopped: Option<String>,
    /// Minutes outside in the last 24 hours, of all extensions.
    pub minutes: u32,
    pub allowed_minutes: u32,
    /// New numbers in the last hour, of all extensions.
    pub new_numbers: u32,
    pub allowed_new_numbers: u32,
    pub extensions: Vec<ExtensionUsage>,
}

/// An extension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtensionUsage {
    pub name: String,
    /// Calls that count for it now.
    pub calls: usize,
    pub allowed_calls: usize,
    pub minutes: u32,
    pub allowed_minutes: u32,
    pub new_numbers: u32,
    pub allowed_new_numbers: u32,
}
