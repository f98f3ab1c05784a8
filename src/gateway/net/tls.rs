//! TLS as a client: strict, with the roots of the configuration and the time that we trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::clock::Clock;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {error}; write the path of a PEM file of certificates in ca_file, then run \"gateway reload\"")]
    File { path: String, error: String },
    #[error(
        "{path} holds no usable certificate; write the path of a PEM file of certificates in ca_file, then run \"gateway reload\""
    )]
    Empty { path: String },
    #[error("TLS cannot be set up: {0}")]
    Config(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 (Twilio speaks 1.2, TWILIO.md "TLS"), certificates always verified: with Mozilla's roots or those of
/// `ca_file` instead, at the time of `clock`.
pub fn client(ca_file: Option<&Path>, clock: &Clock) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let shown = path.display().to_string();
    let failed = |error: pem::Error| TlsError::File {
        path: shown.clone(),
        error: match error {
            pem::Error::Io(error) => error.kind().to_string(),
            _ => "no PEM".to_owned(),
        },
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
        // A system's whole bundle may hold one that is not understood: the others count.
        roots.add_parsable_certificates([certificate.map_err(failed)?]);
    }
    match roots.is_empty() {
        true => Err(TlsError::Empty { path: shown }),
        false => Ok(roots),
    }
}

/// Whether the only thing wrong with the certificate is the time, or there is no time to judge it by.
pub fn is_about_time(error: &std::io::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    // The handshake's errors come as the socket's.
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::FailedToGetCurrentTime) => true,
        Some(rustls::Error::InvalidCertificate(reason)) => {
            matches!(reason, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
        }
        _ => false,
    }
}

/// A connector for the trunk.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// As [`client`] has it.
    pub fn new(ca_file: Option<&Path>, clock: &Clock) -> Result<Self, TlsError> {
        Ok(Tls(TlsConnector::from(client(ca_file, clock)?)))
    }

    /// The connector.
    pub fn connector(&self) -> &TlsConnector {
        &self.0
    }
}

/// What the trunk trusts: a connector, or the file that could not be read yet. One that cannot be read stops nothing but
/// the trunk, and is read again for each connection.
pub struct Trust {
    ca_file: Option<PathBuf>,
    tls: Option<Tls>,
}

impl Trust {
    /// Reads the file now if it can be read.
    pub fn new(ca_file: Option<&Path>, clock: &Clock) -> Trust {
        let mut trust = Trust { ca_file: ca_file.map(Path::to_owned), tls: None };
        let _ = trust.tls(clock);
        trust
    }

    /// With this connector.
    pub fn of(tls: Tls) -> Trust {
        Trust { ca_file: None, tls: Some(tls) }
    }

    /// The connector, or why there is none.
    pub fn tls(&mut self, clock: &Clock) -> Result<Tls, TlsError> {
        if let Some(tls) = &self.tls {
            return Ok(tls.clone());
        }
        let tls = Tls::new(self.ca_file.as_deref(), clock)?;
        self.tls = Some(tls.clone());
        Ok(tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_names_itself() {
        let path = std::env::temp_dir().join(format!("gateway-ca-{}.pem", std::process::id()));
        std::fs::write(&path, "nothing").unwrap();
        let error = client(Some(&path), &Clock::start(None)).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let told = error.to_string();
        assert!(told.starts_with(&format!("{} holds no usable certificate; ", path.display())), "{told}");
        assert!(told.ends_with("\"gateway reload\""), "{told}");
    }

    #[test]
    fn a_file_that_comes_later_is_read_for_the_next_connection() {
        let path = std::env::temp_dir().join(format!("gateway-trust-{}.pem", std::process::id()));
        let clock = Clock::start(None);
        let mut trust = Trust::new(Some(&path), &clock);
        assert!(trust.tls(&clock).err().is_some_and(|error| error.to_string().contains("gateway-trust")));
        let own = rcgen::generate_simple_self_signed(vec!["a.example".to_string()]).unwrap();
        std::fs::write(&path, own.cert.pem()).unwrap();
        assert!(trust.tls(&clock).is_ok());
        std::fs::remove_file(&path).unwrap();
        assert!(trust.tls(&clock).is_ok(), "what was read once stays");
    }
}
