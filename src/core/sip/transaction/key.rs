//! What makes a message belong to a transaction (RFC 3261 sections 17.1.3, 17.2.3 and 8.2.2.2).

use std::borrow::Cow;
use std::net::IpAddr;

use rsip::{Method, Request, Response};

use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, Via};
use crate::sip::{uri, wire};

/// Branches that begin so were made by RFC 3261 and are unique (section 8.1.1.7).
pub(super) const MAGIC_COOKIE: &str = "z9hG4bK";

/// Names one of our requests: its branch and the method, because a CANCEL has the branch of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientKey {
    branch: String,
    method: &'static str,
}

impl ClientKey {
    pub fn new(branch: &str, method: Method) -> Self {
        ClientKey { branch: branch.to_owned(), method: wire::method_token(method) }
    }

    /// `None` for a response that can not be to one of our requests: it must have our Via and no other (section 8.1.3.3).
    pub fn of_response(response: &Response) -> Option<Self> {
        let mut vias = header::values(&response.headers, "Via");
        let via = Via::parse(vias.next()?).ok()?;
        if vias.next().is_some() {
            return None;
        }
        let (_, method) = header::cseq(&response.headers).ok()?;
        Some(ClientKey::new(via.branch()?, wire::method_of(&method)?))
    }
}

/// Names one of their requests. The transport belongs to it: what repeats, acknowledges or cancels a request comes by
/// the same one (section 18.1.1), and so nothing on the LAN can touch a transaction of the trunk. So does the address
/// that it came from: a CANCEL is not challenged, and who overheard a branch must not end another's call with it
/// (section 22.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerKey {
    transport: Transport,
    source: IpAddr,
    host: String,
    port: Option<u16>,
    branch: Option<String>,
    /// ACK counts as INVITE.
    method: &'static str,
    /// Of a branch without magic cookie, which is not unique.
    rfc2543: Option<Rfc2543>,
}

/// Section 17.2.3 for old phones. The To-tag is left out: the ACK has one that the INVITE had not, and what differs in
/// nothing but the To-tag also differs in CSeq.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rfc2543 {
    uri: String,
    from_tag: Option<String>,
    call_id: String,
    cseq: u32,
}

impl ServerKey {
    /// Octets of its texts.
    pub fn octets(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let old = self.rfc2543.as_ref().map_or(0, |old| old.uri.len() + of(&old.from_tag) + old.call_id.len());
        self.host.len() + of(&self.branch) + old
    }

    /// The transaction of a request; for CANCEL that of the CANCEL itself.
    pub fn of_request(flow: Flow, request: &Request, via: &Via) -> Option<Self> {
        let method = if request.method == Method::Ack { Method::Invite } else { request.method };
        let unique = via.branch().is_some_and(|branch| branch.starts_with(MAGIC_COOKIE) && branch != MAGIC_COOKIE);
        let rfc2543 = if unique {
            None
        } else {
            Some(Rfc2543 {
                uri: uri::write(&request.uri),
                from_tag: header::from_tag(&request.headers).map(Cow::into_owned),
                call_id: header::call_id(&request.headers)?.to_owned(),
                cseq: header::cseq(&request.headers).ok()?.0,
            })
        };
        Some(ServerKey {
            transport: flow.transport,
            source: flow.remote.ip().to_canonical(),
            host: via.host.to_ascii_lowercase(),
            port: via.port,
            branch: via.branch().map(str::to_owned),
            method: wire::method_token(method),
            rfc2543,
        })
    }

    /// The INVITE that a CANCEL with this key is for (section 9.2).
    pub fn cancelled(&self) -> Self {
        ServerKey { method: wire::method_token(Method::Invite), ..self.clone() }
    }
}

/// What the branches of one forked request have in common (section 8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MergeKey {
    call_id: String,
    from_tag: Option<String>,
    cseq: u32,
    method: &'static str,
}

impl MergeKey {
    /// Octets of its texts.
    pub fn octets(&self) -> usize {
        self.call_id.len() + self.from_tag.as_ref().map_or(0, String::len)
    }

    /// `None` inside a dialog, where nothing forks, and for REGISTER: two of one phone do no harm, and after a reboot it may
    /// count anew under the same Call-ID and tag.
    pub fn of_request(request: &Request) -> Option<Self> {
        if request.method == Method::Register || header::to_tag(&request.headers).is_some() {
            return None;
        }
        let (cseq, _) = header::cseq(&request.headers).ok()?;
        Some(MergeKey {
            call_id: header::call_id(&request.headers)?.to_owned(),
            from_tag: header::from_tag(&request.headers).map(Cow::into_owned),
            cseq,
            method: wire::method_token(request.method),
        })
    }
}

/// A To-tag for responses that leave no state: a repetition gets the same (section 8.2.7).
pub fn stateless_tag(request: &Request) -> String {
    let value = |name| header::value(&request.headers, name).unwrap_or_default();
    wire::stable_tag(value("Call-ID"), value("Via"))
}
