//! A public key of minisign(1): who signs new binaries.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Signature algorithm in a public key.
const PURE: [u8; 2] = *b"Ed";

/// Who signs: `RW…`, the second line of `minisign.pub`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: [u8; 32],
}

/// Which key made a signature; it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl PublicKey {
    /// Reads the base64 line; what is wrong otherwise, and what to write.
    pub fn parse(text: &str) -> Result<PublicKey, String> {
        let way = "write the line of minisign.pub that begins with RW";
        let bytes = STANDARD.decode(text.trim()).map_err(|_| format!("is no key of minisign; {way}"))?;
        let bytes: [u8; 42] = bytes.try_into().map_err(|_| format!("is no public key of minisign; {way}"))?;
        let (mut id, mut key) = ([0; 8], [0; 32]);
        id.copy_from_slice(&bytes[2..10]);
        key.copy_from_slice(&bytes[10..]);
        match bytes.starts_with(&PURE) {
            true => Ok(PublicKey { id: KeyId(id), key }),
            false => Err(format!("is a key of another algorithm than Ed25519; {way}")),
        }
    }

    /// What the key's signatures name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The Ed25519 key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.key
    }
}
