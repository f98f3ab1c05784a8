//! Signatures as minisign(1) makes them: Ed25519 over BLAKE2b-512 of the file.
//!
//! ring verifies (TLS has it here anyway); the format is two lines of base64. `minisign-verify` costs 28 KB more, and it
//! tells neither whose key it is nor whether the file or the comment was changed: the lines would be read here as well.
//! Format: <https://jedisct1.github.io/minisign/#signature-format>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest};
use ring::signature::{ED25519, UnparsedPublicKey};

use gateway_core::config::upgrade::{KeyId, PublicKey};

/// Signature algorithm of a file that is signed as it is.
const PURE: [u8; 2] = *b"Ed";

/// Signature algorithm of a file whose BLAKE2b-512 is signed: what minisign does by itself since 0.9.
const HASHED: [u8; 2] = *b"ED";

/// How the lines before base64 begin.
const UNTRUSTED: &str = "untrusted comment:";
const TRUSTED: &str = "trusted comment: ";

/// Longest signature file, in bytes; minisign's own bound of a comment is 8192.
pub const MAX_FILE: u64 = 20_000;

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("is no signature of minisign: {0}")]
    Malformed(&'static str),
    #[error("is in the old format, of a file that is not hashed first; sign without -l")]
    Legacy,
    #[error("is made with key {0}, and upgrade.public_key is {1}")]
    OtherKey(String, String),
    #[error("does not fit the file; one of them was changed, or is of another build")]
    Wrong,
    #[error("has a trusted comment that was changed")]
    WrongComment,
}

/// Whether the key made this signature of the message.
fn is_by(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.bytes()).verify(message, signature).is_ok()
}

/// `N` bytes from `at` on; the callers' arrays are long enough.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// A signature file, read and not believed yet.
pub struct Signature {
    signature: [u8; 64],
    comment: String,
    of_comment: [u8; 64],
}

impl Signature {
    /// Reads `FILE.minisig` for a key.
    pub fn parse(text: &str, key: &PublicKey) -> Result<Signature, SignatureError> {
        use SignatureError::Malformed;
        // Ends of lines of any system are none of the text; what was signed with the comment stays.
        let mut lines = text.trim_start_matches('\u{feff}').lines().map(|line| line.trim_end_matches('\r'));
        let first = lines.next().unwrap_or_default();
        if !first.starts_with(UNTRUSTED) {
            return Err(Malformed("the first line is no \"untrusted comment:\""));
        }
        let signature = lines.next().and_then(|line| STANDARD.decode(line.trim_end()).ok());
        let signature: [u8; 74] = signature
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Malformed("the second line is not 74 bytes in base64"))?;
        let comment = lines.next().and_then(|line| line.strip_prefix(TRUSTED));
        let comment = comment.ok_or(Malformed("the third line is no \"trusted comment:\""))?.to_owned();
        let of_comment = lines.next().and_then(|line| STANDARD.decode(line.trim_end()).ok());
        let of_comment: [u8; 64] =
            of_comment.and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed("the fourth line is not 64 bytes"))?;
        match array(&signature, 0) {
            HASHED => {}
            PURE => return Err(SignatureError::Legacy),
            _ => return Err(Malformed("it is of another algorithm than Ed25519 over BLAKE2b")),
        }
        let id = KeyId(array(&signature, 2));
        if id != key.id() {
            return Err(SignatureError::OtherKey(id.to_string(), key.id().to_string()));
        }
        Ok(Signature { signature: array(&signature, 10), comment, of_comment })
    }

    /// Whether it is that of a file with this hash; if so, the comment that was signed with it.
    pub fn verify(&self, key: &PublicKey, hash: &Hash) -> Result<&str, SignatureError> {
        if !is_by(key, hash, &self.signature) {
            return Err(SignatureError::Wrong);
        }
        let signed = [&self.signature, self.comment.as_bytes()].concat();
        match is_by(key, &signed, &self.of_comment) {
            true => Ok(&self.comment),
            false => Err(SignatureError::WrongComment),
        }
    }
}

/// BLAKE2b-512 of a file.
pub type Hash = [u8; 64];

/// What is signed, taken in pieces.
#[derive(Default)]
pub struct Hasher(Blake2b512);

impl Hasher {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// After the last piece.
    pub fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by minisign 0.11 of Debian: `minisign -G -W`, then `minisign -S -m FILE -t "gateway 0.2.0"` and with -l.
    const KEY: &str = include_str!("testdata/minisign.pub");
    const FILE: &[u8] = include_bytes!("testdata/signed");
    const SIGNED: &str = include_str!("testdata/signed.minisig");
    const LEGACY: &str = include_str!("testdata/legacy.minisig");
    const OTHER: &str = include_str!("testdata/other.minisig");

    fn key() -> PublicKey {
        PublicKey::parse(KEY.lines().nth(1).unwrap()).unwrap()
    }

    fn verify(file: &[u8], signature: &str) -> Result<String, SignatureError> {
        let mut hasher = Hasher::default();
        file.chunks(7).for_each(|chunk| hasher.update(chunk));
        let key = key();
        Signature::parse(signature, &key)?.verify(&key, &hasher.finish()).map(str::to_owned)
    }

    #[test]
    fn what_minisign_signed_is_taken_and_its_comment_told() {
        assert_eq!(verify(FILE, SIGNED).as_deref(), Ok("gateway 0.2.0"));
    }

    #[test]
    fn the_ends_of_lines_of_any_system_are_read() {
        let crlf = SIGNED.replace('\n', "\r\n");
        for text in
            [&crlf, crlf.trim_end(), SIGNED.trim_end(), &format!("\u{feff}{crlf}"), &SIGNED.replace("==\n", "== \r\n")]
        {
            assert_eq!(verify(FILE, text).as_deref(), Ok("gateway 0.2.0"), "{text:?}");
        }
        // What was signed is the comment to its last octet.
        for comment in ["gateway 0.2.0 ", "gateway 0.2.0\t\r"] {
            let text = crlf.replace("gateway 0.2.0", comment);
            assert_eq!(verify(FILE, &text), Err(SignatureError::WrongComment), "{comment:?}");
        }
    }

    #[test]
    fn no_byte_of_the_file_can_be_changed() {
        for at in 0..FILE.len() {
            let mut file = FILE.to_vec();
            file[at] ^= 1;
            assert_eq!(verify(&file, SIGNED), Err(SignatureError::Wrong));
        }
        assert_eq!(verify(&FILE[1..], SIGNED), Err(SignatureError::Wrong));
    }

    #[test]
    fn no_character_of_the_signature_can_be_changed() {
        let trusted = SIGNED.find('\n').unwrap() + 1;
        for at in (trusted..SIGNED.len()).filter(|at| SIGNED.as_bytes()[*at] != b'\n') {
            let mut text = SIGNED.as_bytes().to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            assert!(verify(FILE, std::str::from_utf8(&text).unwrap()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_changed_comment_is_not_believed() {
        let text = SIGNED.replace("gateway 0.2.0", "gateway 9.9.9");
        assert_eq!(verify(FILE, &text), Err(SignatureError::WrongComment));
    }

    #[test]
    fn another_key_is_named() {
        let error = verify(FILE, OTHER).unwrap_err().to_string();
        assert!(error.starts_with("is made with key ") && error.ends_with(&key().id().to_string()), "{error}");
    }

    #[test]
    fn the_old_format_says_what_to_do() {
        assert_eq!(verify(FILE, LEGACY), Err(SignatureError::Legacy));
    }

    #[test]
    fn a_file_that_is_cut_or_no_signature_is_refused() {
        for end in 0..SIGNED.len() - 1 {
            assert!(verify(FILE, &SIGNED[..end]).is_err(), "{end} bytes");
        }
        for text in ["", "\n\n\n\n", "untrusted comment: x\n====\ntrusted comment: y\n====\n", KEY] {
            assert!(matches!(verify(FILE, text), Err(SignatureError::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn a_key_that_is_none_says_what_to_write() {
        for text in ["", "RW", "untrusted comment: minisign public key", SIGNED.lines().nth(1).unwrap()] {
            assert!(PublicKey::parse(text).unwrap_err().ends_with("that begins with RW"), "{text:?}");
        }
    }
}
