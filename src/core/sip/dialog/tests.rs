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
    let ok =
        response(200, "them", &[("Record-Route", "<sip:54.172.60.0;lr>"), ("Contact", "<sip:10.0.0.1;transport=udp>")]);
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
