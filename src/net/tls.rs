//! TLS to the SIP domain: strict, with the roots of the configuration.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {error}; `ca_file` wants a PEM file of certificates")]
    File { path: String, error: String },
    #[error("{path} holds no usable certificate")]
    Empty { path: String },
    #[error("TLS cannot be set up: {0}")]
    Config(#[from] rustls::Error),
}

/// A connector; TLS 1.2 and 1.3 (Twilio speaks 1.2, twilio.md 4.2), certificates always verified.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusting `ca_file`, or Mozilla's roots.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let shown = path.display().to_string();
                let failed = |error: rustls::pki_types::pem::Error| TlsError::File {
                    path: shown.clone(),
                    error: error.to_string(),
                };
                for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                    roots.add(certificate.map_err(failed)?)?;
                }
                if roots.is_empty() {
                    return Err(TlsError::Empty { path: shown });
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    /// The connector.
    pub fn connector(&self) -> &TlsConnector {
        &self.0
    }
}
