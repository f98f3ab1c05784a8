//! Dialogs (RFC 3261 section 12): the state that requests inside a call need. No I/O, no timers.

use rsip::{Method, Request, Response, Uri};

use super::header::HeaderError;

/// What names a dialog (RFC 3261 section 12): the tags are ours and theirs, whoever called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that a request which reached us belongs to: To-tag is ours. `None` without a To-tag or From-tag.
    pub fn of_request(request: &Request) -> Option<DialogId> {
        todo!()
    }

    /// The dialog of a response to our request: From-tag is ours.
    pub fn of_response(response: &Response) -> Option<DialogId> {
        todo!()
    }
}

/// A dialog, early or confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialog {
    pub id: DialogId,
    /// Our URI and theirs, as From/To header values without tags.
    pub local: String,
    pub remote: String,
    /// Our Contact, written into each request.
    pub contact: String,
    /// Where requests go: their Contact.
    pub target: Uri,
    /// Route headers in order, verbatim; loose routing (RFC 3261 section 12.2.1.1), strict first hops handled.
    pub routes: Vec<String>,
    /// CSeq of our last request, and of theirs.
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
}

impl Dialog {
    /// As UAS: from the INVITE and the tag and Contact that our responses carry (section 12.1.1). Record-Route in order.
    pub fn uas(invite: &Request, local_tag: &str, contact: &str) -> Result<Dialog, HeaderError> {
        todo!()
    }

    /// As UAC: from our INVITE and a response with a To-tag (section 12.1.2). Record-Route reversed.
    pub fn uac(invite: &Request, response: &Response) -> Result<Dialog, HeaderError> {
        todo!()
    }

    /// A 2xx rebuilds the route set of an early dialog and its target (section 13.2.2.4).
    pub fn confirm(&mut self, response: &Response) -> Result<(), HeaderError> {
        todo!()
    }

    /// The next request inside the dialog: Request-URI and Route per section 12.2.1.1, From, To, Call-ID, CSeq + 1,
    /// Contact, Max-Forwards. Not for ACK.
    pub fn request(&mut self, method: Method) -> Request {
        todo!()
    }

    /// The ACK to a 2xx of the INVITE with CSeq number `cseq`: Request-URI and Route from the dialog only
    /// (section 13.2.2.4), credentials copied from that INVITE (`invite` headers Authorization, Proxy-Authorization).
    pub fn ack(&self, cseq: u32, invite: &Request) -> Request {
        todo!()
    }

    /// Checks and takes the CSeq of a request from them; `false` means out of order: 500 (section 12.2.2).
    pub fn accept(&mut self, request: &Request) -> bool {
        todo!()
    }

    /// Target refresh by INVITE or UPDATE, request or 2xx (section 12.2.1.2, 12.2.2): takes their Contact.
    pub fn refresh(&mut self, headers: &rsip::Headers) {
        todo!()
    }
}
