//! What the account needs of this box: records and secrets that last, and the folder of hosted files.

use std::path::Path;

use crate::hosted::{File, HostedError};
use crate::owned::Owned;
use gateway_core::secrets::Secrets;

/// This box. What is saved is on disk when the call returns.
pub trait Local {
    /// Keeps the records of what is ours at Twilio.
    fn save_owned(&self, owned: &Owned) -> Result<(), LocalError>;

    /// The secrets as they are on disk.
    fn secrets(&self) -> Result<Secrets, LocalError>;

    /// Keeps the secrets.
    fn save_secrets(&self, secrets: &Secrets) -> Result<(), LocalError>;

    /// The URL of a tunnel that was written to Twilio last for this environment, if one was.
    fn tunnel_url(&self, environment: &str) -> Option<String>;

    /// All files of the folder `hosted.assets` and its subfolders, sorted by path.
    fn hosted_files(&self, folder: &Path) -> Result<Vec<File>, HostedError>;

    /// What is in a file now.
    fn content(&self, file: &File) -> Result<Vec<u8>, HostedError>;
}

/// A file of this box could not be read or written. The sentence names it and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LocalError(pub String);
