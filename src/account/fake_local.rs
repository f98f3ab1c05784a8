//! A box in memory, for tests: what it keeps, and a folder of hosted files.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gateway_core::hex::hex;
use gateway_core::secrets::Secrets;
use sha2::{Digest, Sha256};

use crate::hosted::{File, HostedError};
use crate::local::{Local, LocalError};
use crate::owned::Owned;

/// One box.
#[derive(Clone, Debug, Default)]
pub struct FakeLocal {
    /// What is on disk.
    pub owned: RefCell<Owned>,
    pub secrets: RefCell<Secrets>,
    /// How often the records were written.
    pub saves: Cell<usize>,
    /// The process was killed: what it saves is lost.
    pub killed: Rc<Cell<bool>>,
    /// An environment and the URL of its tunnel that was written to Twilio.
    pub tunnel_url: Option<(String, String)>,
    /// Hosted files by folder, and by their path in it.
    pub folders: RefCell<BTreeMap<PathBuf, BTreeMap<String, String>>>,
}

impl FakeLocal {
    /// Puts a hosted file in a folder, `sounds/busy.mp3`.
    pub fn write(&self, folder: &str, path: &str, content: &str) {
        let mut folders = self.folders.borrow_mut();
        folders.entry(folder.into()).or_default().insert(format!("/{path}"), content.to_owned());
    }
}

impl Local for FakeLocal {
    fn save_owned(&self, owned: &Owned) -> Result<(), LocalError> {
        self.saves.set(self.saves.get() + 1);
        if !self.killed.get() {
            self.owned.replace(owned.clone());
        }
        Ok(())
    }

    fn secrets(&self) -> Result<Secrets, LocalError> {
        Ok(self.secrets.borrow().clone())
    }

    fn save_secrets(&self, secrets: &Secrets) -> Result<(), LocalError> {
        self.secrets.replace(secrets.clone());
        Ok(())
    }

    fn tunnel_url(&self, environment: &str) -> Option<String> {
        let (of, url) = self.tunnel_url.as_ref()?;
        (of == environment).then(|| url.clone())
    }

    fn hosted_files(&self, folder: &Path) -> Result<Vec<File>, HostedError> {
        let file = |(path, content): (&String, &String)| File {
            path: path.clone(),
            source: folder.join(&path[1..]),
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        };
        Ok(self.folders.borrow().get(folder).map(|files| files.iter().map(file).collect()).unwrap_or_default())
    }

    fn content(&self, file: &File) -> Result<Vec<u8>, HostedError> {
        let folders = self.folders.borrow();
        let found = folders.iter().find_map(|(folder, files)| {
            let path = file.source.strip_prefix(folder).ok()?.to_str()?;
            files.get(&format!("/{path}"))
        });
        Ok(found.map(|content| content.clone().into_bytes()).unwrap_or_default())
    }
}
