//! Our own key: ed25519, in OpenSSH's format, in the state folder.

use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};

use crate::store::{Store, StoreError, files};
use crate::tunnel::{Culprit, Down};
use gateway_core::config::tunnel::Ssh;
use gateway_core::config::tunnel::UrlFrom;

/// In the state folder.
const FILE: &str = files::TUNNEL_KEY;

/// What stands behind the key in `authorized_keys`.
const COMMENT: &str = "gateway";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{path} is not a private key: {error}; remove it, and a new one is made (its line goes to the server again)"
    )]
    Unreadable { path: String, error: String },
    #[error("{path} is encrypted, and nobody is there to ask; put a key without passphrase there")]
    Encrypted { path: String },
    #[error("a key cannot be made: {0}")]
    Make(String),
}

impl From<KeyError> for Down {
    fn from(error: KeyError) -> Down {
        let text = error.to_string();
        let (reason, next_step) = text.split_once("; ").unwrap_or((&text, "look at the state folder"));
        Down::new(Culprit::Config, reason, next_step)
    }
}

/// The key; made when there is none.
pub(crate) fn load_or_make(store: &Store) -> Result<Arc<PrivateKey>, KeyError> {
    if let Some(key) = load(store)? {
        return Ok(Arc::new(key));
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| KeyError::Make(error.to_string()))?;
    let key = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into(), COMMENT)
        .map_err(|error| KeyError::Make(error.to_string()))?;
    save(store, &key)?;
    Ok(Arc::new(key))
}

/// The key, if there is one.
pub(super) fn load(store: &Store) -> Result<Option<PrivateKey>, KeyError> {
    let Some(content) = store.file(FILE)? else { return Ok(None) };
    let path = || store.path(FILE).display().to_string();
    let key = PrivateKey::from_openssh(content)
        .map_err(|error| KeyError::Unreadable { path: path(), error: error.to_string() })?;
    match key.is_encrypted() {
        true => Err(KeyError::Encrypted { path: path() }),
        false => Ok(Some(key)),
    }
}

pub(super) fn save(store: &Store, key: &PrivateKey) -> Result<(), KeyError> {
    let text = key.to_openssh(LineEnding::LF).map_err(|error| KeyError::Make(error.to_string()))?;
    Ok(store.save_file(FILE, text.as_bytes())?)
}

/// The line for `authorized_keys` on the server (sshd(8)): this key may forward the one port and nothing else. The key
/// is made when there is none.
pub fn public_key_line(store: &Store, ssh: &Ssh, url_from: &UrlFrom) -> Result<String, KeyError> {
    line(load_or_make(store)?.public_key(), ssh, url_from)
}

pub(super) fn line(key: &PublicKey, ssh: &Ssh, url_from: &UrlFrom) -> Result<String, KeyError> {
    let key = key.to_openssh().map_err(|error| KeyError::Make(error.to_string()))?;
    let listen = match (ssh.bind_address.as_str(), ssh.bind_port) {
        ("", port) => port.to_string(),
        (address, 0) => format!("{address}:*"),
        (address, port) if address.contains(':') => format!("[{address}]:{port}"),
        (address, port) => format!("{address}:{port}"),
    };
    Ok(match url_from {
        UrlFrom::Config => format!("restrict,port-forwarding,permitlisten=\"{listen}\" {key}"),
        // Hosting services take the bare key.
        UrlFrom::Output | UrlFrom::Ask(_) => key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::config::tunnel::Remote;

    #[test]
    fn a_key_is_made_once_for_us_alone_and_its_line_permits_one_forward() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("gateway-tunnel-key-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store = Store::open(&dir).unwrap();
        let server = Remote::parse("tunnel@box.example.com").unwrap();
        let mut ssh = Ssh { server, bind_address: "127.0.0.1".into(), bind_port: 8080, host_key: None };
        let first = public_key_line(&store, &ssh, &UrlFrom::Config).unwrap();
        assert!(
            first.starts_with("restrict,port-forwarding,permitlisten=\"127.0.0.1:8080\" ssh-ed25519 AAAA"),
            "{first}"
        );
        assert!(first.ends_with(" gateway"), "{first}");
        assert_eq!(public_key_line(&store, &ssh, &UrlFrom::Config).unwrap(), first);
        let mode = std::fs::metadata(store.path(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        ssh.bind_address.clear();
        assert!(public_key_line(&store, &ssh, &UrlFrom::Output).unwrap().starts_with("ssh-ed25519 "));

        store.save_file(FILE, b"no key").unwrap();
        let error = public_key_line(&store, &ssh, &UrlFrom::Config).unwrap_err().to_string();
        assert!(error.contains("tunnel_key is not a private key") && error.contains("remove it"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
