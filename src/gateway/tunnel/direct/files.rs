//! The certificate and its key, read and checked.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::expiry::not_after;
use crate::tunnel::{Culprit, Down};

/// Most certificates of a chain; longer ones are no chains.
const MAX_CHAIN: usize = 10;

/// What is served.
pub(super) struct Loaded {
    pub config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
    /// Until when the first certificate is valid, seconds since 1970.
    pub not_after: Option<u64>,
}

impl Loaded {
    /// Whether the files have changed.
    pub fn is_other_than(&self, other: &Loaded) -> bool {
        self.chain != other.chain
    }
}

/// Reads both files; the error names the file and the way out.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<Loaded, Down> {
    let wrong = |path: &Path, reason: String, next: &str| {
        Down::new(Culprit::Config, format!("{} {reason}", path.display()), next.to_owned())
    };
    let unread = |path: &Path, error: pem::Error, wanted: &str| match error {
        pem::Error::Io(error) => wrong(path, format!("cannot be read: {error}"), "may the user gateway read it?"),
        pem::Error::NoItemsFound => wrong(path, format!("holds no {wanted}"), "it must be a PEM file"),
        error => wrong(path, format!("is not PEM: {error}"), "convert it with openssl x509 or openssl pkey"),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| unread(certificate, error, "certificate"))?
        .take(MAX_CHAIN)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unread(certificate, error, "certificate"))?;
    let Some(first) = chain.first() else {
        let next = "it must hold the certificate and those that lead to a known authority (fullchain.pem)";
        return Err(wrong(certificate, "holds no certificate".to_owned(), next));
    };
    let not_after = not_after(first);
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(certificate, format!("cannot be served: {error}"), "report this"))?
        .with_no_client_auth()
        .with_single_cert(chain.clone(), private)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => wrong(
                key,
                format!("is not the key of {}", certificate.display()),
                "write the pair that belongs together",
            ),
            error => wrong(certificate, format!("cannot be served: {error}"), "make a new certificate"),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), chain, not_after })
}
