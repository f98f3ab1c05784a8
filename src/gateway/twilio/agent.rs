//! HTTPS as all requests of ours need it: strict TLS, no redirects, every status an answer.

use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};

use super::connector::Https;
use crate::net::clock::Clock;
use crate::net::tls::{self, TlsError};

/// The CA file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("twilio.ca_file: {0}")]
pub struct CaError(#[from] TlsError);

/// An agent that trusts Mozilla's roots, or those of `ca_file` instead, at the time of `clock`. `whole` bounds one
/// request from its first packet to the last byte of the answer, `connect` the time to a connection.
pub fn agent(ca_file: Option<&Path>, clock: &Clock, whole: Duration, connect: Duration) -> Result<Agent, CaError> {
    let config = Agent::config_builder()
        .timeout_global(Some(whole))
        .timeout_connect(Some(connect))
        .http_status_as_error(false)
        // A redirect would carry credentials to another host, and a tunnel that redirects is somebody's login page.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("gateway/", env!("CARGO_PKG_VERSION")))
        .build();
    // What ureq has by default, with our TLS.
    let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
    let connector = connector.chain(Https(tls::client(ca_file, clock)?));
    Ok(Agent::with_parts(config, connector, DefaultResolver::default()))
}
