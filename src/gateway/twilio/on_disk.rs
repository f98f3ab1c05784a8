//! The state folder and the folder of hosted files, as the account sees them.

use std::path::Path;

use super::hosted_folder;
use super::public_url;
use crate::store::{Store, StoreError};
use gateway_account::hosted::{File, HostedError};
use gateway_account::local::{Local, LocalError};
use gateway_account::owned::Owned;
use gateway_core::secrets::Secrets;

impl Local for Store {
    fn save_owned(&self, owned: &Owned) -> Result<(), LocalError> {
        Ok(Store::save_owned(self, owned)?)
    }

    fn secrets(&self) -> Result<Secrets, LocalError> {
        Ok(Store::secrets(self)?.value)
    }

    fn save_secrets(&self, secrets: &Secrets) -> Result<(), LocalError> {
        Ok(Store::save_secrets(self, secrets)?)
    }

    fn tunnel_url(&self, environment: &str) -> Option<String> {
        public_url::last_written(self, environment)
    }

    fn hosted_files(&self, folder: &Path) -> Result<Vec<File>, HostedError> {
        hosted_folder::scan(folder)
    }

    fn content(&self, file: &File) -> Result<Vec<u8>, HostedError> {
        hosted_folder::content(file)
    }
}

impl From<StoreError> for LocalError {
    fn from(error: StoreError) -> LocalError {
        LocalError(error.to_string())
    }
}
