//! The LAN's registrar (RFC 3261 section 10): which handsets an extension has, and where they are.

use rsip::Request;

use crate::engine::Context;
use crate::sip::flow::Flow;
use crate::sip::transaction::ServerId;
use crate::time::{Instant, WallClock};

/// A handset of an extension.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its Contact URI, as it wrote it: the Request-URI of a call to it.
    pub contact: String,
    /// `+sip.instance` or the contact itself: what tells one handset from another after a reboot (RFC 5626).
    pub instance: Option<String>,
    /// Where its REGISTER came from: calls go there, NAT or not.
    pub flow: Flow,
    pub expires: Instant,
    pub user_agent: Option<String>,
    pub call_id: String,
    pub cseq: u32,
}

/// Who is behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Digest was right: the extension's name.
    Extension(String),
    /// A challenge or refusal has been sent; nothing more to do.
    Answered,
}

/// Bindings, nonces and the brake for wrong passwords.
#[derive(Debug)]
pub struct Registrar {
    // private
}

impl Registrar {
    /// With the bindings that [`Output::Persist`](crate::engine::Output::Persist) gave out before the restart.
    pub fn new(persisted: Option<&str>, now: Instant, wall: WallClock) -> Self {
        todo!()
    }

    /// A REGISTER.
    pub fn handle_register(&mut self, context: &mut Context<'_>, id: ServerId, flow: Flow, request: &Request) {
        todo!()
    }

    /// Checks the digest of any other request from the LAN; challenges with 401 when there is none.
    pub fn authenticate(&mut self, context: &mut Context<'_>, id: ServerId, flow: Flow, request: &Request) -> Verdict {
        todo!()
    }

    /// The handsets of an extension that have not expired, most recently registered first.
    pub fn bindings(&self, extension: &str, now: Instant) -> Vec<&Binding> {
        todo!()
    }

    /// Whether a source belongs to a registered handset, and to which extension (for the From of an emergency call
    /// that is not challenged).
    pub fn extension_at(&self, flow: Flow, now: Instant) -> Option<&str> {
        todo!()
    }

    /// Which extensions have at least one handset now; the trunk wants them registered.
    pub fn wanted(&self, now: Instant) -> Vec<String> {
        todo!()
    }

    /// A handset's stream ended: its binding cannot be reached any more.
    pub fn flow_down(&mut self, context: &mut Context<'_>, flow: Flow) {
        todo!()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    pub fn handle_timeout(&mut self, context: &mut Context<'_>) {
        todo!()
    }
}
