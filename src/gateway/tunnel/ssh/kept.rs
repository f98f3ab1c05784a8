//! All that this driver keeps in the state folder: an upgrade asks whether another version finds it again.

use super::{key, known_hosts};
use crate::store::{Pass, Store};

/// Our own key, by its public half, and the servers' keys.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    key: Option<String>,
    servers: Vec<(String, String)>,
}

/// Reads it, and may write it again. The errors say what cannot be understood.
pub fn kept(store: &Store, pass: Pass) -> Result<Kept, Vec<String>> {
    let failed = |error: key::KeyError| vec![error.to_string()];
    let key = key::load(store).map_err(failed)?;
    if let Some(key) = key.as_ref().filter(|_| pass == Pass::Rewrite) {
        key::save(store, key).map_err(failed)?;
    }
    let servers = known_hosts::all(store, pass)?;
    Ok(Kept {
        key: key.map(|key| known_hosts::fingerprint(key.public_key())),
        servers: servers.into_iter().map(|(name, key)| (name, known_hosts::fingerprint(&key))).collect(),
    })
}
