//! Everything that rsip 0.4's own parser, printer and types get wrong, numbered.

use gateway_core::sip::header::{self, Contact, NameAddr, Via};
use gateway_core::sip::uri;
use gateway_core::sip::wire::{Datagram, Fault, Frame, StreamReader, read_datagram, write_request, write_response};
use rsip::{Header, Headers};

use super::{invite, read, request, response};

// 1.

#[test]
fn a_folded_header_is_one_header() {
    let r = request(invite("Subject: one\r\n two\r\n\tthree\r\n"));
    assert_eq!(header::value(&r.headers, "Subject"), Some("one two three"));
}

#[test]
fn a_space_before_the_colon_is_no_part_of_the_name() {
    let r = request(invite("Subject  : x\r\nExpires\t:60\r\n"));
    assert_eq!(header::value(&r.headers, "Subject"), Some("x"));
    assert_eq!(header::expires(&r.headers), Ok(Some(60)));
}

// 2.

#[test]
fn every_compact_form_is_its_long_header() {
    for (compact, long) in [
        ("v", "Via"),
        ("t", "To"),
        ("f", "From"),
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("l", "Content-Length"),
        ("c", "Content-Type"),
        ("e", "Content-Encoding"),
        ("s", "Subject"),
        ("k", "Supported"),
        ("a", "Accept-Contact"),
        ("b", "Referred-By"),
        ("d", "Request-Disposition"),
        ("j", "Reject-Contact"),
        ("n", "Identity-Info"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("u", "Allow-Events"),
        ("x", "Session-Expires"),
        ("y", "Identity"),
    ] {
        for name in [compact.to_string(), compact.to_uppercase()] {
            let header = header::make(&name, "1");
            assert_eq!(header::parts(&header), (long, "1"));
        }
    }
    let r = request(
        "INVITE sip:a@b SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bK1\r\nf:<sip:c@d>;tag=1\r\nt:<sip:a@b>\r\ni:1\r\n\
         CSeq:1 INVITE\r\nm:<sip:c@h>\r\nl:2\r\n\r\nhi",
    );
    assert_eq!(r.body, b"hi");
    assert_eq!(header::value(&r.headers, "Contact"), Some("<sip:c@h>"));
}

// 3.

#[test]
fn ipv6_is_read_and_written_in_request_uri_via_and_contact() {
    let text = "OPTIONS sip:a@[::1]:5060 SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::9]:5061;branch=z9hG4bK1\r\n\
        From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
        Contact: <sip:c@[2001:db8::9]:5061>\r\nContent-Length: 0\r\n\r\n";
    let r = request(text);
    assert_eq!((uri::host(&r.uri).as_str(), uri::port(&r.uri)), ("::1", Some(5060)));
    let via = Via::parse(header::value(&r.headers, "Via").unwrap()).unwrap();
    assert_eq!((via.host.as_str(), via.port), ("2001:db8::9", Some(5061)));
    assert_eq!(String::from_utf8(write_request(&r)).unwrap(), text);
}

// 4. and 5.: what concerns the wire is that the values arrive as they were sent; `sip::digest` reads them.

#[test]
fn a_nonce_count_in_hexadecimal_and_a_sha_256_answer_arrive_as_sent() {
    let value = r#"Digest username="101", realm = "b" , nonce="a\"b", uri="sip:b", response="00", algorithm=SHA-256, qop=auth, nc=0000000a, cnonce="x""#;
    let r = request(invite(&format!("Authorization: {value}\r\nSupported: a\r\n")));
    assert_eq!(header::value(&r.headers, "Authorization"), Some(value));
    assert_eq!(header::value(&r.headers, "Supported"), Some("a"));
}

// 6.

#[test]
fn a_contact_list_with_an_instance_and_brackets_in_the_display_name_is_split() {
    let r = request(invite(
        "Contact: \"<A>, B\" <sip:101@192.0.2.7>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000e08aabbcc>\", <sip:x,y@z>\r\n",
    ));
    assert_eq!(header::values(&r.headers, "Contact").count(), 2);
    let contacts = header::contacts(&r.headers).unwrap();
    let [Contact::Addr(first), Contact::Addr(second)] = &contacts[..] else { panic!("{contacts:?}") };
    assert_eq!(first.display.as_deref(), Some("<A>, B"));
    assert_eq!(first.params.value("+sip.instance"), Some("<urn:uuid:00000000-0000-1000-8000-000e08aabbcc>"));
    assert_eq!(uri::user(&second.uri).as_deref(), Some("x,y"));
}

// 7.

#[test]
fn a_via_list_keeps_all_its_values_and_any_transport() {
    let r = request(invite("").replace("Via: ", "Via: SIP/2.0/FOO p;branch = z9hG4bK0 , "));
    let vias: Vec<_> = header::values(&r.headers, "Via").map(|v| Via::parse(v).unwrap()).collect();
    assert_eq!(vias.len(), 2);
    assert_eq!((vias[0].transport.as_str(), vias[0].branch()), ("FOO", Some("z9hG4bK0")));
    assert_eq!(vias[1].branch(), Some("z9hG4bK1"));
}

#[test]
fn white_space_around_a_tag_is_not_part_of_it() {
    let r = request(invite("").replace(";tag=1", " ; tag = 1"));
    assert_eq!(NameAddr::parse(header::value(&r.headers, "From").unwrap()).unwrap().tag(), Some("1"));
}

// 8.

#[test]
fn a_semicolon_in_the_user_part_and_an_unknown_transport_are_no_reason_to_refuse() {
    let r = request(invite("").replace("sip:102@192.0.2.1 ", "sip:102;x=y@192.0.2.1;transport=foo "));
    assert_eq!(uri::user(&r.uri).as_deref(), Some("102"));
    assert_eq!(uri::param(&r.uri, "transport"), Some(Some("foo".into())));
}

#[test]
fn an_unknown_method_is_answered_501_with_what_is_allowed() {
    let error = read(invite("").replace("INVITE", "CONJURE").as_bytes()).unwrap_err();
    assert_eq!(error.fault, Fault::UnknownMethod("CONJURE".into()));
    let reply = error.reply.unwrap();
    assert_eq!(reply.status_code.code(), 501);
    assert!(header::has_token(&reply.headers, "Allow", "INVITE"));
    assert_eq!(header::value(&reply.headers, "CSeq"), Some("1 CONJURE"));
}

#[test]
fn a_method_is_case_sensitive() {
    let error = read(invite("").replace("INVITE", "invite").as_bytes()).unwrap_err();
    assert_eq!(error.fault, Fault::UnknownMethod("invite".into()));
}

#[test]
fn replaces_inside_a_refer_to_is_a_header_of_the_uri() {
    let value = "<sip:102@192.0.2.9?Replaces=abc%40192.0.2.9%3Bto-tag%3D7%3Bfrom-tag%3D6>";
    let refer_to = NameAddr::parse(value).unwrap();
    assert_eq!(uri::host(&refer_to.uri), "192.0.2.9");
    let replaces = header::Replaces::parse(&uri::header(&refer_to.uri, "Replaces").unwrap()).unwrap();
    assert_eq!((replaces.call_id.as_str(), replaces.to_tag.as_str()), ("abc@192.0.2.9", "7"));
    assert_eq!(refer_to.to_string(), value);
}

#[test]
fn a_tel_uri_is_a_number_and_not_a_host_called_tel() {
    let r = request(invite("").replace("sip:102@192.0.2.1 ", "tel:+1555-0100 "));
    assert_eq!((uri::user(&r.uri).as_deref(), uri::host(&r.uri).as_str()), (Some("+15550100"), ""));
    assert!(write_request(&r).starts_with(b"INVITE tel:+1555-0100 SIP/2.0\r\n"));
}

// 9.

#[test]
fn a_binary_body_is_written_as_it_was_read() {
    let body: Vec<u8> = (0..=255).collect();
    let mut octets = invite("Content-Length: 256\r\n").into_bytes();
    octets.extend_from_slice(&body);
    let r = request(&octets);
    assert_eq!(r.body, body);
    assert_eq!(write_request(&r), octets);
}

#[test]
fn a_busy_phone_is_busy_here_with_the_phrase_of_iana() {
    let text = "SIP/2.0 486 Besetzt\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
        To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nSubject: trailing   \r\n\r\n";
    let written = String::from_utf8(write_response(&response(text))).unwrap();
    assert!(written.starts_with("SIP/2.0 486 Busy Here\r\n"), "{written}");
    assert!(written.contains("\r\nSubject: trailing\r\n"));
}

#[test]
fn the_text_of_an_rsip_status_is_never_written() {
    let reply = rsip::Response {
        status_code: rsip::StatusCode::Other(499, "x\r\nRoute: <sip:evil>".into()),
        ..rsip::Response::default()
    };
    assert_eq!(write_response(&reply), b"SIP/2.0 499 Client Error\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn a_value_can_not_start_a_header_of_its_own() {
    let mut r = request(invite(""));
    header::set(&mut r.headers, "Subject", "x\r\nRoute: <sip:evil>\n\r\nbody");
    r.headers.push(Header::Other("X\r\nRoute".into(), "<sip:evil>".into()));
    let again = request(write_request(&r));
    assert_eq!(header::value(&again.headers, "Route"), None);
    assert_eq!(header::value(&again.headers, "Subject"), Some("x  Route: <sip:evil>   body"));
    assert!(again.body.is_empty());
}

#[test]
fn content_length_is_what_the_body_has_whatever_the_header_says() {
    let mut r = request(invite("Content-Length: 0\r\nSubject: x\r\n"));
    r.body = b"12345".to_vec();
    r.headers.push(Header::Other("l".into(), "7".into()));
    let text = String::from_utf8(write_request(&r)).unwrap();
    assert!(text.ends_with("\r\nContent-Length: 5\r\nSubject: x\r\n\r\n12345"), "{text}");
}

// 10.

#[test]
fn octets_behind_content_length_are_dropped_from_a_datagram() {
    assert_eq!(request(invite("Content-Length: 2\r\n") + "hi there").body, b"hi");
    assert_eq!(request(invite("") + "hi there").body, b"hi there", "without the header all of it is the body");
}

#[test]
fn a_datagram_shorter_than_its_content_length_is_answered_400() {
    let error = read((invite("Content-Length: 20\r\n") + "hi").as_bytes()).unwrap_err();
    assert_eq!(error.fault, Fault::Truncated);
    assert_eq!(error.reply.unwrap().status_code.code(), 400);
}

#[test]
fn pipelined_messages_of_a_stream_are_two_messages() {
    let mut reader = StreamReader::default();
    reader.push((invite("Content-Length: 2\r\n") + "hi" + &invite("Content-Length: 0\r\n")).as_bytes());
    for body in ["hi", ""] {
        let Ok(Some(Frame::Message(rsip::SipMessage::Request(r)))) = reader.next() else { panic!("{body}") };
        assert_eq!(r.body, body.as_bytes());
    }
    assert_eq!(reader.next(), Ok(None));
}

#[test]
fn keepalives_and_leading_line_ends_are_no_message() {
    for keepalive in ["", "\r\n", "\r\n\r\n", "\0", "\0\0\0\0", "\n"] {
        assert_eq!(read_datagram(keepalive.as_bytes()), Ok(Datagram::Keepalive));
    }
    request(format!("\r\n\r\n{}", invite("")));
}

#[test]
fn lines_that_end_in_lf_alone_are_tolerated() {
    let r = request(invite("Subject: one\r\n two\r\n").replace("\r\n", "\n") + "body");
    assert_eq!((header::value(&r.headers, "Subject"), r.body.as_slice()), (Some("one two"), &b"body"[..]));
}

#[test]
fn octets_that_are_no_utf_8_are_latin_1_and_hide_no_header() {
    let octets: Vec<u8> = invite("Subject: caf\u{e9}\r\nX-After: y\r\n").chars().map(|c| c as u8).collect();
    let r = request(octets);
    assert_eq!(header::value(&r.headers, "Subject"), Some("café"));
    assert_eq!(header::value(&r.headers, "X-After"), Some("y"));
}

// 11.

#[test]
fn headers_that_rsip_does_not_know_are_reached_by_name() {
    let names = "RAck RSeq Session-Expires Min-SE Replaces Refer-To Referred-By Path Service-Route P-Asserted-Identity \
        P-Preferred-Identity Privacy Diversion History-Info Reason Allow-Events Event Join SIP-ETag SIP-If-Match \
        Geolocation Session-ID User-to-User Flow-Timer Date Retry-After Supported Require Subscription-State";
    let lines: String = names.split_whitespace().map(|name| format!("{name}: 1\r\n")).collect();
    let r = request(invite(&lines));
    for name in names.split_whitespace() {
        assert_eq!(header::value(&r.headers, &name.to_ascii_lowercase()), Some("1"), "{name}");
    }
    let written = String::from_utf8(write_request(&r)).unwrap();
    assert!(written.contains("\r\nSIP-ETag: 1\r\n") && written.contains("\r\nSubscription-State: 1\r\n"));
}

#[test]
fn the_typed_readers_read_what_rsip_lacks() {
    let headers = Headers::from(vec![
        header::make("RAck", "1 2 INVITE"),
        header::make("x", "1800;refresher=uas"),
        header::make("Min-SE", "90"),
        header::make("Retry-After", "5 (busy)"),
        header::make("Date", "Sun, 22 Nov 2026 01:00:00 GMT"),
        header::make("k", "timer, 100rel"),
        header::make("Reason", "SIP;cause=200"),
    ]);
    assert_eq!(header::rack(&headers), Ok(Some((1, 2, "INVITE".into()))));
    assert_eq!(header::session_expires(&headers).unwrap().unwrap().interval, 1800);
    assert_eq!(header::min_se(&headers), Ok(Some(90)));
    assert_eq!(header::retry_after(&headers), Ok(Some(5)));
    assert_eq!(header::date(&headers), Ok(Some(1_795_309_200)));
    assert!(header::has_token(&headers, "Supported", "100rel"));
    assert_eq!(header::Reason::parse(header::value(&headers, "Reason").unwrap()).unwrap().cause, Some(200));
}

// Sizes and mandatory headers, which rsip does not look at.

#[test]
fn a_message_beyond_a_limit_is_refused_with_the_answer_for_it() {
    let long = invite(&format!("Subject: {}\r\n", "x".repeat(16 * 1024)));
    let many = invite(&"X: y\r\n".repeat(128));
    let list = invite(&format!("Route: {}\r\n", ["<sip:a>"; 128].join(",")));
    for text in [long, many, list] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.fault, Fault::TooLarge);
        assert_eq!(error.reply.unwrap().status_code.code(), 513);
    }
    let error = read(invite("Content-Length: 65537\r\n").as_bytes()).unwrap_err();
    assert_eq!((error.fault, error.reply.unwrap().status_code.code()), (Fault::BodyTooLarge, 413));
    let used = invite("").matches("\r\n").count() - 2;
    assert_eq!(request(invite(&"X: y\r\n".repeat(128 - used))).headers.iter().count(), 128);
}

#[test]
fn a_missing_or_repeated_header_is_named() {
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let line = invite("").lines().find(|l| l.starts_with(name)).unwrap().to_string() + "\r\n";
        let missing = read(invite("").replace(&line, "").as_bytes()).unwrap_err();
        assert_eq!((missing.fault, missing.reply.is_some()), (Fault::Missing(name), true));
        let repeated = read(invite(&line).as_bytes()).unwrap_err();
        assert_eq!((repeated.fault, repeated.reply.is_some()), (Fault::Repeated(name), true));
    }
    let via = invite("").lines().nth(1).unwrap().to_string() + "\r\n";
    let error = read(invite("").replace(&via, "").as_bytes()).unwrap_err();
    assert_eq!((error.fault, error.reply), (Fault::Missing("Via"), None));
    assert_eq!(read(invite("Max-Forwards: 69\r\n").as_bytes()).unwrap_err().fault, Fault::Repeated("Max-Forwards"));
}

#[test]
fn a_line_without_a_colon_is_a_malformed_header() {
    for line in ["Foobar roobar\r\n", "X Y: z\r\n", ": z\r\n", "X\u{7f}: z\r\n"] {
        let error = read(invite(line).as_bytes()).unwrap_err();
        assert!(matches!(error.fault, Fault::Header(_)) && error.reply.is_some(), "{line:?}: {error:?}");
    }
}
