//! The Twilio side of SIP: one TLS flow to the domain, a registration per extension on it, and who may call in on it.

use rsip::Response;

use crate::engine::{Context, DnsAnswer};
use crate::sip::digest::Challenge;
use crate::sip::flow::Flow;
use crate::sip::transaction::{ClientId, Failure};
use crate::time::Instant;

/// The trunk.
#[derive(Debug)]
pub struct Trunk {
    // private
}

impl Trunk {
    /// Nothing is sent before the first [`Trunk::handle_timeout`].
    pub fn new(now: Instant) -> Self {
        todo!()
    }

    /// The flow to send calls on; `Err` says, for people, why there is none.
    pub fn flow(&self) -> Result<Flow, &str> {
        todo!()
    }

    /// Whether a request that came on this flow is from the SIP domain (only the TLS flow that we opened is).
    pub fn is_trunk(&self, flow: Flow) -> bool {
        todo!()
    }

    /// The last challenge seen, so that an INVITE can carry credentials at once, with the next nonce count.
    pub fn authorization(&mut self, context: &mut Context<'_>, extension: &str, method: &str, uri: &str, challenge: Option<&Challenge>) -> Option<(&'static str, String)> {
        todo!()
    }

    pub fn handle_connected(&mut self, context: &mut Context<'_>, connection: u64, flow: Flow) {
        todo!()
    }

    pub fn handle_connect_failed(&mut self, context: &mut Context<'_>, connection: u64, error: &str) {
        todo!()
    }

    pub fn handle_disconnected(&mut self, context: &mut Context<'_>, flow: Flow, reason: &str) {
        todo!()
    }

    pub fn handle_resolved(&mut self, context: &mut Context<'_>, query: u64, answer: DnsAnswer) {
        todo!()
    }

    /// CRLF answer to our keepalive.
    pub fn handle_pong(&mut self, context: &mut Context<'_>, flow: Flow) {
        todo!()
    }

    /// A response to a REGISTER of `extension` (index into the config) or to an OPTIONS.
    pub fn handle_response(&mut self, context: &mut Context<'_>, id: ClientId, extension: Option<usize>, response: &Response) {
        todo!()
    }

    pub fn handle_failure(&mut self, context: &mut Context<'_>, id: ClientId, extension: Option<usize>, failure: Failure) {
        todo!()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    pub fn handle_timeout(&mut self, context: &mut Context<'_>) {
        todo!()
    }
}
