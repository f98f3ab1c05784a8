//! Dialogs (RFC 3261 section 12): the state that requests inside a call need. No I/O, no timers.

use rsip::{Headers, Method, Request, Response, Uri};

use super::header::{self, Contact, HeaderError, NameAddr};
use super::{uri, wire};

/// What names a dialog (RFC 3261 section 12): our tag and theirs, on either side of the call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId {
    pub call_id: String,
    pub local_tag: String,
    /// Empty for phones of RFC 2543, which have none (section 12.1.1).
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that a request which reached us belongs to: To-tag is ours. `None` without a To-tag.
    pub fn of_request(request: &Request) -> Option<DialogId> {
        let local_tag = header::to_tag(&request.headers)?.into_owned();
        let remote_tag = header::from_tag(&request.headers).unwrap_or_default().into_owned();
        let call_id = header::call_id(&request.headers)?.to_owned();
        Some(DialogId { call_id, local_tag, remote_tag })
    }

    /// The dialog of a response to our request: From-tag is ours. `None` without a To-tag, as in a 100.
    pub fn of_response(response: &Response) -> Option<DialogId> {
        let local_tag = header::from_tag(&response.headers)?.into_owned();
        let remote_tag = header::to_tag(&response.headers)?.into_owned();
        let call_id = header::call_id(&response.headers)?.to_owned();
        Some(DialogId { call_id, local_tag, remote_tag })
    }
}

/// A dialog, early or confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialog {
    pub id: DialogId,
    /// Our URI and theirs, as From/To header values without tags.
    pub local: String,
    pub remote: String,
    /// Our Contact, written into each request that may refresh the target.
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
        let headers = &invite.headers;
        let (cseq, _) = header::cseq(headers)?;
        Ok(Dialog {
            id: DialogId {
                call_id: header::call_id(headers).ok_or(HeaderError("Call-ID"))?.to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: header::from_tag(headers).unwrap_or_default().into_owned(),
            },
            local: header::to(headers).map(without_tag)?,
            remote: header::from(headers).map(without_tag)?,
            contact: contact.to_owned(),
            target: remote_target(headers)?.ok_or(HeaderError("Contact"))?,
            routes: record_route(headers)?,
            local_cseq: 0,
            remote_cseq: Some(cseq),
        })
    }

    /// As UAC: from our INVITE and a response with a To-tag (section 12.1.2). Record-Route reversed. Where the response
    /// has no Contact, as a 180 may not, the target is the Request-URI for now.
    pub fn uac(invite: &Request, response: &Response) -> Result<Dialog, HeaderError> {
        let (cseq, _) = header::cseq(&invite.headers)?;
        let mut dialog = Dialog {
            id: DialogId::of_response(response).ok_or(HeaderError("To"))?,
            local: header::from(&invite.headers).map(without_tag)?,
            remote: header::to(&invite.headers).map(without_tag)?,
            contact: header::value(&invite.headers, "Contact").ok_or(HeaderError("Contact"))?.to_owned(),
            target: invite.uri.clone(),
            routes: Vec::new(),
            local_cseq: cseq,
            remote_cseq: None,
        };
        dialog.confirm(response)?;
        Ok(dialog)
    }

    /// A 2xx rebuilds the route set of an early dialog and its target (section 13.2.2.4).
    pub fn confirm(&mut self, response: &Response) -> Result<(), HeaderError> {
        if let Some(target) = remote_target(&response.headers)? {
            self.target = target;
        }
        self.routes = record_route(&response.headers)?;
        self.routes.reverse();
        Ok(())
    }

    /// The next request inside the dialog: Request-URI and Route per section 12.2.1.1, From, To, Call-ID, CSeq + 1,
    /// Contact, Max-Forwards. Not for ACK and CANCEL.
    pub fn request(&mut self, method: Method) -> Request {
        self.local_cseq = self.local_cseq.saturating_add(1);
        let mut request = self.routed(method, self.local_cseq);
        // Those that refresh the target, or begin dialogs of their own; the others have none (RFC 3261 table 2).
        if matches!(
            method,
            Method::Invite | Method::Update | Method::Refer | Method::Subscribe | Method::Notify | Method::Options
        ) {
            header::push_contact(&mut request.headers, &*self.contact);
        }
        request
    }

    /// The ACK to a 2xx of the INVITE with CSeq number `cseq`: Request-URI and Route from the dialog only
    /// (section 13.2.2.4), credentials copied from that INVITE (`invite` headers Authorization, Proxy-Authorization).
    pub fn ack(&self, cseq: u32, invite: &Request) -> Request {
        let mut ack = self.routed(Method::Ack, cseq);
        header::copy_credentials(&mut ack.headers, &invite.headers);
        ack
    }

    /// Checks and takes the CSeq of a request from them; `false` means out of order: 500 (section 12.2.2). ACK and CANCEL
    /// have the number of their INVITE and are always in order.
    pub fn accept(&mut self, request: &Request) -> bool {
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return true;
        }
        let Ok((cseq, _)) = header::cseq(&request.headers) else {
            return false;
        };
        if self.remote_cseq.is_some_and(|last| cseq < last) {
            return false;
        }
        self.remote_cseq = Some(cseq);
        true
    }

    /// Target refresh by INVITE or UPDATE, request or 2xx (section 12.2.1.2, 12.2.2): takes their Contact. The route set
    /// stays.
    pub fn refresh(&mut self, headers: &Headers) {
        if let Ok(Some(target)) = remote_target(headers) {
            self.target = target;
        }
    }

    /// Section 12.2.1.1, without Contact and without what the transaction layer puts on.
    fn routed(&self, method: Method, cseq: u32) -> Request {
        let (uri, routes) = self.route();
        let mut request = header::request(method, uri);
        let headers = &mut request.headers;
        header::push_max_forwards(headers, 70);
        for route in routes {
            header::push_route(headers, route);
        }
        header::push_from(headers, with_tag(&self.local, &self.id.local_tag));
        header::push_to(headers, with_tag(&self.remote, &self.id.remote_tag));
        header::push_call_id(headers, &*self.id.call_id);
        header::push_cseq(headers, cseq, wire::method_token(method));
        request
    }

    /// Request-URI and Route values.
    fn route(&self) -> (Uri, Vec<String>) {
        let first = self.routes.first().and_then(|first| NameAddr::parse(first).ok());
        match first {
            Some(first) if uri::param(&first.uri, "lr").is_none() => {
                // A strict router: it wants to see itself in the Request-URI, and the target behind all routes.
                let target = format!("<{}>", uri::write(&self.target));
                (first.uri, self.routes.iter().skip(1).cloned().chain([target]).collect())
            }
            _ => (self.target.clone(), self.routes.clone()),
        }
    }
}

fn without_tag(mut address: NameAddr) -> String {
    address.params.remove("tag");
    address.to_string()
}

fn with_tag(address: &str, tag: &str) -> String {
    if tag.is_empty() { address.to_owned() } else { format!("{address};tag={tag}") }
}

/// The first Contact, which must be a SIP URI; `None` without Contact.
fn remote_target(headers: &Headers) -> Result<Option<Uri>, HeaderError> {
    match header::contacts(headers)?.into_iter().next() {
        None => Ok(None),
        Some(Contact::Addr(address)) if uri::is_sip(&address.uri) => Ok(Some(address.uri)),
        Some(_) => Err(HeaderError("Contact")),
    }
}

/// All Record-Route values, each of which must be an address: it will be a Route.
fn record_route(headers: &Headers) -> Result<Vec<String>, HeaderError> {
    header::record_routes(headers)
        .flat_map(header::split_list)
        .map(|value| NameAddr::parse(value).map(|_| value.to_owned()).map_err(|_| HeaderError("Record-Route")))
        .collect()
}

#[cfg(test)]
mod tests;
