//! Dialogs (RFC 3261 section 12): the state that requests inside a call need. No I/O, no timers.

use rsip::{Headers, Method, Request, Response, Uri};

use super::header::{self, Contact, HeaderError, NameAddr};
use super::{uri, wire};

/// What names a dialog (RFC 3261 section 12): the tags are ours and theirs, whoever called.
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
mod tests {
    use rsip::SipMessage;

    use super::*;
    use crate::sip::transaction::response_to;
    use crate::sip::wire::{Datagram, read_datagram};

    /// The model INVITE of TWILIO.md "Call to an extension": two Record-Routes of one proxy, and a Contact that nobody
    /// can reach.
    const TWILIO: &str = "INVITE sip:101@203.0.113.7:49152;transport=tls SIP/2.0\r\n\
        Record-Route: <sip:54.172.60.0:5061;transport=tls;r2=on;lr>\r\n\
        Record-Route: <sip:54.172.60.0;r2=on;lr>\r\n\
        From: <sip:+15035550111@office.sip.twilio.com>;tag=08601002_c3356d0b_658bbbdc\r\n\
        To: <sip:101@office.sip.twilio.com>\r\n\
        CSeq: 29044 INVITE\r\n\
        Max-Forwards: 60\r\n\
        Call-ID: fb3e6e86a53e3094ed17b4776a69af59@0.0.0.0\r\n\
        Via: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1dc3.f822.0\r\n\
        Via: SIP/2.0/UDP 172.25.75.240:5060;rport=5060;branch=z9hG4bK658bbbdc\r\n\
        Contact: <sip:+15035550111@172.25.75.240:5060;transport=udp>\r\n\
        Content-Length: 0\r\n\r\n";

    fn request(text: &str) -> Request {
        match read_datagram(text.as_bytes()) {
            Ok(Datagram::Message(SipMessage::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    /// An INVITE of ours to the trunk, as it left.
    fn invite() -> Request {
        request(
            "INVITE sip:+15035551212@office.sip.twilio.com SIP/2.0\r\n\
             Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n\
             From: \"Front, desk\" <sip:101@office.sip.twilio.com>;tag=us\r\nTo: <sip:+15035551212@office.sip.twilio.com>\r\n\
             Call-ID: c1\r\nCSeq: 2 INVITE\r\nContact: <sip:101@192.0.2.1:5061;transport=tls>\r\n\
             Proxy-Authorization: Digest username=\"101\"\r\nContent-Length: 0\r\n\r\n",
        )
    }

    fn response(code: u16, tag: &str, more: &[(&str, &str)]) -> Response {
        let mut response = response_to(&invite(), code, Some(tag));
        for (name, value) in more {
            response.headers.push(header::make(name, *value));
        }
        response
    }

    fn routes(request: &Request) -> Vec<&str> {
        header::values(&request.headers, "Route").collect()
    }

    #[test]
    fn requests_to_twilio_follow_both_record_routes_and_name_the_private_contact() {
        let mut dialog = Dialog::uas(&request(TWILIO), "us", "<sip:101@203.0.113.7:49152;transport=tls>").unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(uri::write(&bye.uri), "sip:+15035550111@172.25.75.240:5060;transport=udp");
        assert_eq!(routes(&bye), ["<sip:54.172.60.0:5061;transport=tls;r2=on;lr>", "<sip:54.172.60.0;r2=on;lr>"]);
        assert_eq!(header::value(&bye.headers, "From"), Some("<sip:101@office.sip.twilio.com>;tag=us"));
        assert_eq!(
            header::value(&bye.headers, "To"),
            Some("<sip:+15035550111@office.sip.twilio.com>;tag=08601002_c3356d0b_658bbbdc")
        );
        assert_eq!(header::value(&bye.headers, "CSeq"), Some("1 BYE"));
        assert_eq!(header::value(&bye.headers, "Max-Forwards"), Some("70"));
        assert_eq!(header::value(&bye.headers, "Contact"), None);
        let again = dialog.request(Method::Invite);
        assert_eq!(header::value(&again.headers, "CSeq"), Some("2 INVITE"));
        assert_eq!(header::value(&again.headers, "Contact"), Some("<sip:101@203.0.113.7:49152;transport=tls>"));
    }

    #[test]
    fn both_parties_name_the_dialog_alike() {
        let uas = Dialog::uas(&request(TWILIO), "us", "<sip:101@203.0.113.7>").unwrap();
        let mut bye = request(TWILIO);
        header::set(&mut bye.headers, "To", "<sip:101@office.sip.twilio.com>;tag=us");
        assert_eq!(DialogId::of_request(&bye), Some(uas.id));
        assert_eq!(DialogId::of_request(&request(TWILIO)), None, "no To-tag yet");

        let ok = response(200, "them", &[("Contact", "<sip:x@10.0.0.1>")]);
        let uac = Dialog::uac(&invite(), &ok).unwrap();
        assert_eq!(DialogId::of_response(&ok), Some(uac.id.clone()));
        assert_eq!((&*uac.id.local_tag, &*uac.id.remote_tag), ("us", "them"));
        assert_eq!(DialogId::of_response(&response_to(&invite(), 100, None)), None);
    }

    #[test]
    fn a_caller_follows_the_record_routes_in_reverse() {
        let ok = response(
            200,
            "them",
            &[
                ("Record-Route", "<sip:10.1.1.1;r2=on;lr>"),
                ("Record-Route", "<sip:54.172.60.0:5061;transport=tls;r2=on;lr>"),
                ("Contact", "<sip:172.25.75.240:5060>"),
            ],
        );
        let mut dialog = Dialog::uac(&invite(), &ok).unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(routes(&bye), ["<sip:54.172.60.0:5061;transport=tls;r2=on;lr>", "<sip:10.1.1.1;r2=on;lr>"]);
        assert_eq!(uri::write(&bye.uri), "sip:172.25.75.240:5060");
        assert_eq!(header::value(&bye.headers, "CSeq"), Some("3 BYE"));
        assert_eq!(header::value(&bye.headers, "From"), Some("\"Front, desk\" <sip:101@office.sip.twilio.com>;tag=us"));
    }

    #[test]
    fn a_strict_router_gets_the_request_uri_and_the_target_goes_last() {
        let ok = response(
            200,
            "them",
            &[
                ("Record-Route", "<sip:second.example;lr>"),
                ("Record-Route", "<sip:strict.example:5070>"),
                ("Contact", "<sip:phone@10.0.0.1>"),
            ],
        );
        let dialog = Dialog::uac(&invite(), &ok).unwrap();
        let ack = dialog.ack(2, &invite());
        assert_eq!(uri::write(&ack.uri), "sip:strict.example:5070");
        assert_eq!(routes(&ack), ["<sip:second.example;lr>", "<sip:phone@10.0.0.1>"]);
    }

    #[test]
    fn the_ack_to_a_2xx_is_built_of_contact_and_record_route_only_and_repeats_the_credentials() {
        let mut first = invite();
        first.headers.push(header::make("Route", "<sip:outbound.example;lr>"));
        let ok = response(
            200,
            "them",
            &[("Record-Route", "<sip:54.172.60.0;lr>"), ("Contact", "<sip:10.0.0.1;transport=udp>")],
        );
        let dialog = Dialog::uac(&first, &ok).unwrap();
        let ack = dialog.ack(2, &first);
        assert_eq!(uri::write(&ack.uri), "sip:10.0.0.1;transport=udp");
        assert_eq!(routes(&ack), ["<sip:54.172.60.0;lr>"]);
        assert_eq!(header::value(&ack.headers, "CSeq"), Some("2 ACK"));
        assert_eq!(header::value(&ack.headers, "To"), Some("<sip:+15035551212@office.sip.twilio.com>;tag=them"));
        assert_eq!(header::value(&ack.headers, "Proxy-Authorization"), Some("Digest username=\"101\""));
        assert_eq!(header::value(&ack.headers, "Via"), None, "the transaction layer puts it on");
    }

    #[test]
    fn an_early_dialog_without_contact_uses_the_request_uri_until_the_2xx_rebuilds_it() {
        let mut dialog = Dialog::uac(&invite(), &response(180, "them", &[("Record-Route", "<sip:a;lr>")])).unwrap();
        assert_eq!(uri::write(&dialog.target), "sip:+15035551212@office.sip.twilio.com");
        assert_eq!(dialog.routes, ["<sip:a;lr>"]);
        let ok = response(200, "them", &[("Record-Route", "<sip:b;lr>"), ("Contact", "<sip:10.0.0.1>")]);
        dialog.confirm(&ok).unwrap();
        assert_eq!(uri::write(&dialog.target), "sip:10.0.0.1");
        assert_eq!(dialog.routes, ["<sip:b;lr>"]);
    }

    #[test]
    fn forks_of_one_invite_are_dialogs_of_their_own() {
        let one = Dialog::uac(&invite(), &response(180, "one", &[])).unwrap();
        let two = Dialog::uac(&invite(), &response(180, "two", &[])).unwrap();
        assert_ne!(one.id, two.id);
    }

    #[test]
    fn a_target_refresh_takes_their_contact_and_leaves_the_route_set() {
        let mut dialog = Dialog::uas(&request(TWILIO), "us", "<sip:101@203.0.113.7>").unwrap();
        let routes = dialog.routes.clone();
        dialog.refresh(&Headers::from(vec![
            header::make("Contact", "<sip:moved@10.0.0.2>"),
            header::make("Record-Route", "<sip:other;lr>"),
        ]));
        assert_eq!(uri::write(&dialog.target), "sip:moved@10.0.0.2");
        assert_eq!(dialog.routes, routes);
        for useless in ["*", "<mailto:a@b>", "<<>"] {
            dialog.refresh(&Headers::from(vec![header::make("Contact", useless)]));
            assert_eq!(uri::write(&dialog.target), "sip:moved@10.0.0.2", "{useless}");
        }
    }

    #[test]
    fn requests_with_a_lower_cseq_are_out_of_order_and_ack_and_cancel_never_are() {
        let mut dialog = Dialog::uas(&request(TWILIO), "us", "<sip:101@203.0.113.7>").unwrap();
        let mut with = |method: Method, cseq: u32| {
            let mut request = request(TWILIO);
            request.method = method;
            let value = format!("{cseq} {}", wire::method_token(method));
            header::set(&mut request.headers, "CSeq", value);
            dialog.accept(&request)
        };
        assert!(with(Method::Ack, 29044));
        assert!(with(Method::Bye, 29050), "gaps are allowed");
        assert!(!with(Method::Invite, 29049));
        assert!(with(Method::Cancel, 29044));
        assert!(with(Method::Options, 29051));
    }

    #[test]
    fn a_phone_of_rfc_2543_has_no_tag_and_gets_none() {
        let mut old = request(TWILIO);
        header::set(&mut old.headers, "From", "sip:101@10.0.0.5");
        let mut dialog = Dialog::uas(&old, "us", "<sip:gw@10.0.0.1>").unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(header::value(&bye.headers, "To"), Some("<sip:101@10.0.0.5>"));
        header::set(&mut old.headers, "To", "<sip:101@office.sip.twilio.com>;tag=us");
        assert_eq!(DialogId::of_request(&old), Some(dialog.id));
    }

    #[test]
    fn an_invite_that_can_not_make_a_dialog_names_the_header() {
        for (name, value) in
            [("Contact", "<http://x>"), ("Contact", "*"), ("Record-Route", "nonsense"), ("From", "<"), ("CSeq", "x")]
        {
            let mut bad = request(TWILIO);
            header::set(&mut bad.headers, name, value);
            assert_eq!(Dialog::uas(&bad, "us", "<sip:a@b>"), Err(HeaderError(name)), "{value}");
        }
        let mut bad = request(TWILIO);
        header::remove(&mut bad.headers, "Contact");
        assert_eq!(Dialog::uas(&bad, "us", "<sip:a@b>"), Err(HeaderError("Contact")));
    }
}
