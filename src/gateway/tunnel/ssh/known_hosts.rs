//! The keys of servers that we have met, in OpenSSH's `known_hosts` form: one line each, `name algorithm key`.

use russh::keys::{Algorithm, HashAlg, PublicKey};

use crate::store::{Pass, Store, StoreError, files};

/// In the state folder.
const FILE: &str = files::TUNNEL_KNOWN_HOSTS;

/// The key that a server showed last in the place of the one that we know, in the same form.
const REFUSED: &str = files::TUNNEL_REFUSED_HOST_KEY;

/// Most servers that are kept; the oldest goes first.
const MAX: usize = 100;

/// What is known of a server's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the one that it must be.
    Good,
    /// The first meeting; it has been written down.
    Pinned { fingerprint: String },
    /// Another than the one that it must be.
    Changed { expected: String, offered: String },
}

/// A key that a server showed in the place of the one that we know; it waits for a person's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Fingerprint of the key that we know; `None` when what was written down cannot be read.
    pub known: Option<String>,
    /// Fingerprint of the key that was refused.
    pub offered: String,
    line: String,
}

/// What of this server was refused, if anything.
pub fn refused(store: &Store, server: &str) -> Result<Option<Refused>, StoreError> {
    let content = store.file(REFUSED)?.unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let Some((_, line)) = content.trim_end().split_once(' ').filter(|(name, _)| *name == server) else {
        return Ok(None);
    };
    let Ok(key) = PublicKey::from_openssh(line) else { return Ok(None) };
    let known = pinned(store, server)?.and_then(Result::ok).map(|known| fingerprint(&known));
    Ok(Some(Refused { known, offered: fingerprint(&key), line: line.to_owned() }))
}

/// A person says that this key is the server's: it takes the place of the one that we know.
pub fn accept(store: &Store, server: &str, refused: &Refused) -> Result<(), StoreError> {
    let content = store.file(FILE)?.unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let is_other = |line: &&str| line.split_once(' ').is_none_or(|(name, _)| name != server);
    let mut lines: Vec<String> = content.lines().filter(is_other).map(str::to_owned).collect();
    lines.push(format!("{server} {}\n", refused.line));
    store.save_file(FILE, lines.join("\n").as_bytes())?;
    forget_refused(store, server)
}

fn forget_refused(store: &Store, server: &str) -> Result<(), StoreError> {
    match refused(store, server)? {
        Some(_) => store.save_file(REFUSED, b""),
        None => Ok(()),
    }
}

/// Everything that is written down of servers' keys, and of refused ones: name and key. The error is the line of a file
/// that is none.
pub(super) fn all(store: &Store, pass: Pass) -> Result<Vec<(String, PublicKey)>, Vec<String>> {
    let failed = |error: StoreError| vec![error.to_string()];
    let mut all = Vec::new();
    for file in [FILE, REFUSED] {
        let Some(content) = store.file(file).map_err(failed)? else { continue };
        let content = String::from_utf8_lossy(&content);
        let mut text = String::new();
        for (number, line) in content.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let entry = line.split_once(' ').and_then(|(name, key)| Some((name, PublicKey::from_openssh(key).ok()?)));
            let entry = entry.and_then(|(name, key)| Some((name, key.to_openssh().ok()?, key)));
            let Some((name, shown, key)) = entry else {
                let (path, number) = (store.path(file), number + 1);
                return Err(vec![format!("{}:{number} is no server's key; remove that line", path.display())]);
            };
            text.push_str(&format!("{name} {shown}\n"));
            all.push((name.to_owned(), key));
        }
        if pass == Pass::Rewrite {
            store.save_file(file, text.as_bytes()).map_err(failed)?;
        }
    }
    Ok(all)
}

/// The SHA-256 fingerprint, as OpenSSH shows it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// What is written down of a server: its key, or what cannot be read as one.
fn pinned(store: &Store, name: &str) -> Result<Option<Result<PublicKey, ()>>, StoreError> {
    let content = store.file(FILE)?.unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let mut lines = content.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(host, _)| *host == name);
    Ok(found.map(|(_, key)| PublicKey::from_openssh(key).map_err(drop)))
}

/// Checks the key of a server, and writes it down at the first meeting. `configured` is `SHA256:…` of the config, which
/// is stronger than what was met.
pub(super) fn check(
    store: &Store,
    name: &str,
    configured: Option<&str>,
    key: &PublicKey,
) -> Result<Verdict, StoreError> {
    let offered = fingerprint(key);
    if let Some(expected) = configured {
        return Ok(match offered == expected {
            true => Verdict::Good,
            false => Verdict::Changed { expected: expected.to_owned(), offered },
        });
    }
    let changed = |expected: &str| -> Result<Verdict, StoreError> {
        if let Ok(text) = key.to_openssh() {
            // For "gateway tunnel accept-host-key".
            // On a flash that takes no writes there is nothing to accept, and the verdict is the same.
            let _ = store.save_file(REFUSED, format!("{name} {text}\n").as_bytes());
        }
        Ok(Verdict::Changed { expected: expected.to_owned(), offered: offered.clone() })
    };
    Ok(match (pinned(store, name)?, key.to_openssh()) {
        (Some(Ok(known)), _) if known.key_data() == key.key_data() => {
            // It is the right one, whether or not that can be written down.
            let _ = forget_refused(store, name);
            Verdict::Good
        }
        (Some(Ok(known)), _) => changed(&fingerprint(&known))?,
        (Some(Err(())), _) => changed("a key that cannot be read any more")?,
        // What is not written down would be taken silently each time.
        (None, Err(_)) => changed("a key that can be written down")?,
        (None, Ok(text)) => {
            pin(store, name, &text)?;
            Verdict::Pinned { fingerprint: offered }
        }
    })
}

fn pin(store: &Store, name: &str, key: &str) -> Result<(), StoreError> {
    let content = store.file(FILE)?.unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let kept: Vec<&str> = content.lines().filter(|line| !line.is_empty()).collect();
    let mut lines: Vec<String> = kept[kept.len().saturating_sub(MAX - 1)..].iter().map(|&line| line.into()).collect();
    lines.push(format!("{name} {key}\n"));
    store.save_file(FILE, lines.join("\n").as_bytes())
}

/// The algorithms that we ask a server's key for. Without RSA: every OpenSSH since 2014 has ed25519. That of the pinned
/// key comes first, or a server with several keys would show another.
pub(super) fn algorithms(store: &Store, name: &str) -> Result<Vec<Algorithm>, StoreError> {
    use russh::keys::EcdsaCurve::{NistP256, NistP384, NistP521};
    let ecdsa = [NistP256, NistP384, NistP521].map(|curve| Algorithm::Ecdsa { curve });
    let mut all = vec![Algorithm::Ed25519];
    all.extend(ecdsa);
    if let Some(Ok(pinned)) = pinned(store, name)? {
        all.sort_by_key(|algorithm| *algorithm != pinned.algorithm());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";

    #[test]
    fn a_key_is_taken_at_the_first_meeting_and_another_one_never() {
        let dir = std::env::temp_dir().join(format!("gateway-known-hosts-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store = Store::open(&dir).unwrap();
        let (one, other) = (PublicKey::from_openssh(ONE).unwrap(), PublicKey::from_openssh(OTHER).unwrap());
        let check = |name: &str, configured: Option<&str>, key| check(&store, name, configured, key).unwrap();
        assert_eq!(check("a", None, &one), Verdict::Pinned { fingerprint: fingerprint(&one) });
        assert_eq!(check("[a]:2222", None, &other), Verdict::Pinned { fingerprint: fingerprint(&other) });
        for _ in 0..2 {
            assert_eq!(check("a", None, &one), Verdict::Good);
            let changed = Verdict::Changed { expected: fingerprint(&one), offered: fingerprint(&other) };
            assert_eq!(check("a", None, &other), changed);
        }
        // What the config says is stronger, and pins nothing.
        assert_eq!(check("a", Some(&fingerprint(&other)), &other), Verdict::Good);
        assert!(matches!(check("b", Some(&fingerprint(&other)), &one), Verdict::Changed { .. }));
        assert!(pinned(&store, "b").unwrap().is_none());
        let content = String::from_utf8(store.file(FILE).unwrap().unwrap()).unwrap();
        assert_eq!(content, format!("a {ONE}\n[a]:2222 {OTHER}\n"));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_refused_key_is_taken_on_a_persons_word_and_forgotten_when_the_known_one_is_back() {
        let dir = std::env::temp_dir().join(format!("gateway-known-hosts-3-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store = Store::open(&dir).unwrap();
        let (one, other) = (PublicKey::from_openssh(ONE).unwrap(), PublicKey::from_openssh(OTHER).unwrap());
        for name in ["a", "b"] {
            check(&store, name, None, &one).unwrap();
        }
        assert_eq!(refused(&store, "a").unwrap(), None);
        check(&store, "a", None, &other).unwrap();
        check(&store, "a", None, &one).unwrap();
        assert_eq!(refused(&store, "a").unwrap(), None, "the server is who it was");
        check(&store, "a", None, &other).unwrap();
        let found = refused(&store, "a").unwrap().unwrap();
        assert_eq!((found.known.clone(), found.offered.clone()), (Some(fingerprint(&one)), fingerprint(&other)));
        assert_eq!(refused(&store, "b").unwrap(), None, "it is not b's");
        accept(&store, "a", &found).unwrap();
        assert_eq!(check(&store, "a", None, &other).unwrap(), Verdict::Good);
        assert_eq!(check(&store, "b", None, &one).unwrap(), Verdict::Good);
        assert_eq!(refused(&store, "a").unwrap(), None);
        // Also what cannot be read any more is replaced.
        store.save_file(FILE, b"a ssh-ed25519 AAAA\n").unwrap();
        check(&store, "a", None, &one).unwrap();
        let found = refused(&store, "a").unwrap().unwrap();
        assert_eq!(found.known, None);
        accept(&store, "a", &found).unwrap();
        assert_eq!(check(&store, "a", None, &one).unwrap(), Verdict::Good);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_algorithm_of_the_pinned_key_is_asked_for_first_and_a_spoilt_line_is_no_first_meeting() {
        let dir = std::env::temp_dir().join(format!("gateway-known-hosts-2-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store = Store::open(&dir).unwrap();
        assert_eq!(algorithms(&store, "a").unwrap()[0], Algorithm::Ed25519);
        let key = PublicKey::from_openssh(
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCvLjh4uGg3jdaYsu2xgSoBbhPUZeG\
             zob/BcC3+0W6Mlf3QIdsRduY4z17WpelvnKWu1avq5Oa+bbtV/nLG2p80=",
        )
        .unwrap();
        check(&store, "a", None, &key).unwrap();
        assert_eq!(algorithms(&store, "a").unwrap()[0], key.algorithm());
        assert_eq!(algorithms(&store, "a").unwrap().len(), 4);
        store.save_file(FILE, b"a ssh-ed25519 AAAA\n").unwrap();
        assert!(matches!(check(&store, "a", None, &key).unwrap(), Verdict::Changed { .. }));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
