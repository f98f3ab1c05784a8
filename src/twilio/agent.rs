//! HTTPS as all requests of ours need it: strict TLS, no redirects, every status an answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

/// The CA file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("twilio.ca_file {path}: {reason}")]
pub struct CaError {
    path: String,
    reason: String,
}

/// An agent that trusts Mozilla's roots, or those of `ca_file` instead. `whole` bounds one request from its first packet to
/// the last byte of the answer, `connect` the time to a connection.
pub fn agent(ca_file: Option<&Path>, whole: Duration, connect: Duration) -> Result<Agent, CaError> {
    let roots = match ca_file {
        Some(path) => read_roots(path).map_err(|reason| CaError { path: path.display().to_string(), reason })?,
        None => RootCerts::WebPki,
    };
    Ok(Agent::config_builder()
        .timeout_global(Some(whole))
        .timeout_connect(Some(connect))
        .http_status_as_error(false)
        // A redirect would carry credentials to another host, and a tunnel that redirects is somebody's login page.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("gateway/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build()
        .new_agent())
}

fn read_roots(path: &Path) -> Result<RootCerts, String> {
    let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut roots = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            roots.push(certificate);
        }
    }
    match roots.is_empty() {
        true => Err("holds no certificate; write a PEM file".to_owned()),
        false => Ok(RootCerts::Specific(Arc::new(roots))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_names_itself() {
        let path = std::env::temp_dir().join(format!("gateway-ca-{}.pem", std::process::id()));
        std::fs::write(&path, "nothing").unwrap();
        let error = read_roots(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error, "holds no certificate; write a PEM file");
    }
}
