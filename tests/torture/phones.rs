//! Messages as phones and Twilio send them (TWILIO.md "Call from an extension", TWILIO.md "Call to an extension").

use gateway_core::sip::header::{self, Contact, NameAddr, Reason, Via};
use gateway_core::sip::uri;
use gateway_core::sip::wire::{write_request, write_response};

use super::{request, response, typed};

/// Text with LF line ends becomes a message.
fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn contact(r: &rsip::Request) -> NameAddr {
    match header::contacts(&r.headers).unwrap().remove(0) {
        Contact::Addr(address) => address,
        Contact::Star => panic!("a star"),
    }
}

#[test]
fn snoms_multicast_subscribe_has_neither_branch_nor_max_forwards() {
    let r = request(crlf(
        r#"SUBSCRIBE sip:MAC%3a0004134F2A11@intern.snom.de SIP/2.0
Via: SIP/2.0/UDP 192.0.2.31:5060;rport
From: <sip:MAC%3a0004134F2A11@intern.snom.de>;tag=1183471620
To: <sip:MAC%3a0004134F2A11@intern.snom.de>
Call-ID: 1908450721@192.0.2.31
CSeq: 1 SUBSCRIBE
Event: ua-profile;profile-type="device";vendor="OEM";model="OEM";version="7.3.30"
Expires: 0
Accept: application/url
Contact: <sip:192.0.2.31:5060>
Content-Length: 0

"#,
    ));
    assert_eq!(typed(&r.headers), Ok(()));
    assert_eq!(uri::user(&r.uri).as_deref(), Some("MAC:0004134F2A11"));
    let via = Via::parse(header::value(&r.headers, "Via").unwrap()).unwrap();
    assert_eq!((via.branch(), via.params.get("rport")), (None, Some(None)));
    let event = header::value(&r.headers, "Event").unwrap();
    let params = header::Params::parse(&event[event.find(';').unwrap()..]).unwrap();
    assert_eq!(params.value("vendor"), Some("OEM"));
}

#[test]
fn a_planet_phone_writes_no_space_behind_event_and_an_equals_sign_in_its_user() {
    let r = request(crlf(
        r#"SUBSCRIBE sip:MAC=00304fa99948@224.0.1.75 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.34:5060;branch=z9hG4bK1140322187
From: <sip:MAC=00304fa99948@224.0.1.75>;tag=6610473
To: <sip:MAC=00304fa99948@224.0.1.75>
Call-ID: 2204510066-7731@192.0.2.34
CSeq: 2 SUBSCRIBE
Contact: <sip:192.0.2.34:5060>
Max-Forwards: 70
User-Agent: PLANET VIP-2140PT
Expires: 0
Event:ua-profile;profile-type="device";vendor="PLANET";model="VIP-2140PT";version="2.0.3.2991"
Accept: application/url
Content-Length: 0

"#,
    ));
    assert!(header::value(&r.headers, "Event").unwrap().starts_with("ua-profile;"));
    assert_eq!(uri::user(&r.uri).as_deref(), Some("MAC=00304fa99948"));
}

#[test]
fn a_yealink_registers_with_its_digest_and_a_list_in_allow() {
    let r = request(crlf(
        r#"REGISTER sip:192.0.2.1:5060 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.53:5060;branch=z9hG4bK2316207449
From: "101" <sip:101@192.0.2.1:5060>;tag=2894460871
To: "101" <sip:101@192.0.2.1:5060>
Call-ID: 0_2730115489@192.0.2.53
CSeq: 2 REGISTER
Contact: <sip:101@192.0.2.53:5060>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-805e0c7788aa>";reg-id=1
Authorization: Digest username="101", realm="gateway", nonce="3f1", uri="sip:192.0.2.1:5060", response="6629fae49393a05397450978507c4ef1", algorithm=MD5, cnonce="0a4f113b", qop=auth, nc=00000001
Allow: INVITE, INFO, PRACK, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REGISTER, SUBSCRIBE, REFER, PUBLISH, UPDATE, MESSAGE
Max-Forwards: 70
User-Agent: Yealink SIP-T53W 96.87.0.16
Expires: 3600
Allow-Events: talk,hold,conference,refer,check-sync
Content-Length: 0

"#,
    ));
    assert_eq!(typed(&r.headers), Ok(()));
    let contact = contact(&r);
    assert_eq!(contact.params.value("reg-id"), Some("1"));
    assert_eq!(contact.params.value("+SIP.instance"), Some("<urn:uuid:00000000-0000-1000-8000-805e0c7788aa>"));
    assert!(
        header::has_token(&r.headers, "Allow", "PRACK") && header::has_token(&r.headers, "Allow-Events", "check-sync")
    );
}

#[test]
fn a_grandstream_ata_dials_a_star_code_over_tcp() {
    let r = request(crlf(
        r#"INVITE sip:*72%23@192.0.2.1;transport=tcp;user=phone SIP/2.0
Via: SIP/2.0/TCP 192.0.2.80:5060;branch=z9hG4bK1577020413;rport;alias
From: <sip:101@192.0.2.1;user=phone>;tag=776120954
To: <sip:*72%23@192.0.2.1;user=phone>
Call-ID: 612044873-5060-1@BJC.BGI.CA.DD
CSeq: 20 INVITE
Contact: <sip:101@192.0.2.80:5060;transport=tcp;user=phone>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-C074AD445566>"
X-Grandstream-PBX: true
Max-Forwards: 70
User-Agent: Grandstream HT801 1.0.17.5
Privacy: none
P-Preferred-Identity: <sip:101@192.0.2.1;user=phone>
Supported: replaces, path, timer
Allow: INVITE, ACK, OPTIONS, CANCEL, BYE, SUBSCRIBE, NOTIFY, INFO, REFER, UPDATE
Content-Type: application/sdp
Accept: application/sdp, application/dtmf-relay
Content-Length: 5

v=0
"#,
    ));
    assert_eq!(typed(&r.headers), Ok(()));
    assert_eq!(uri::user(&r.uri).as_deref(), Some("*72#"));
    assert_eq!(uri::param(&contact(&r).uri, "transport"), Some(Some("tcp".into())));
}

#[test]
fn a_polycom_sends_a_display_name_tag_and_rport_of_its_own() {
    let r = request(crlf(
        r#"INVITE sip:5035551212@192.0.2.1;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.90;branch=z9hG4bK7d1f2c08A1B2C3D4
From: "Front Desk, 2nd floor" <sip:102@192.0.2.1>;tag=8F2A9D1C-5E6F7A8B
To: <sip:5035551212@192.0.2.1;user=phone>
CSeq: 1 INVITE
Call-ID: 9e8d7c6b-5a493827-16051423@192.0.2.90
Contact: <sip:102@192.0.2.90>
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, SUBSCRIBE, NOTIFY, PRACK, UPDATE, REFER
User-Agent: PolycomSoundPointIP-SPIP_501-UA/3.2.7.0198
Accept-Language: en
Supported: 100rel,replaces
Allow-Events: talk,hold,conference
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 0

"#,
    ));
    let from = NameAddr::parse(header::value(&r.headers, "From").unwrap()).unwrap();
    assert_eq!(from.display.as_deref(), Some("Front Desk, 2nd floor"));
    assert_eq!(from.tag(), Some("8F2A9D1C-5E6F7A8B"));
    assert!(header::has_token(&r.headers, "Supported", "100rel"));
}

#[test]
fn a_linksys_pap2_registers_with_an_unquoted_display_name() {
    let r = request(crlf(
        r#"REGISTER sip:192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.70:5061;branch=z9hG4bK-3c85d3a4
From: Line 1 <sip:103@192.0.2.1>;tag=c5b6d3a8f0e1o0
To: Line 1 <sip:103@192.0.2.1>
Call-ID: 1c4d8e2a-7b9f0c3d@192.0.2.70
CSeq: 48211 REGISTER
Max-Forwards: 70
Contact: Line 1 <sip:103@192.0.2.70:5061>;expires=600
User-Agent: Linksys/PAP2-3.1.9(LSc)
Content-Length: 0
Allow: ACK, BYE, CANCEL, INFO, INVITE, NOTIFY, OPTIONS, REFER
Supported: x-sipura

"#,
    ));
    assert_eq!(typed(&r.headers), Ok(()));
    let contact = contact(&r);
    assert_eq!((contact.display.as_deref(), contact.params.value("expires")), (Some("Line 1"), Some("600")));
}

#[test]
fn twilios_challenge_is_read_and_its_private_contact_is_only_a_contact() {
    let r = response(crlf(
        r#"SIP/2.0 407 Proxy Authentication required
CSeq: 1 INVITE
Call-ID: 7a3c@198.51.100.7
From: <sip:101@acme.sip.twilio.com>;tag=1c2
To: <sip:+15035551212@acme.sip.twilio.com>;tag=30272938_c3356d0b_658bbbdc-370e-4c02-862b-9f5807568f80
Via: SIP/2.0/TLS 198.51.100.7:41234;received=198.51.100.7;rport=41234;branch=z9hG4bK77
Server: Twilio
Contact: <sip:172.25.10.70:5060>
Proxy-Authenticate: Digest realm="sip.twilio.com",qop="auth",nonce="Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_Ab-_",opaque="0123456789abcdef0123456789abcdef"
Content-Length: 0

"#,
    ));
    assert_eq!(typed(&r.headers), Ok(()));
    assert_eq!(r.status_code.code(), 407);
    assert!(header::value(&r.headers, "proxy-authenticate").unwrap().starts_with("Digest realm=\"sip.twilio.com\""));
    let via = Via::parse(header::value(&r.headers, "Via").unwrap()).unwrap();
    assert_eq!((via.params.value("received"), via.params.value("rport")), (Some("198.51.100.7"), Some("41234")));
    assert!(write_response(&r).starts_with(b"SIP/2.0 407 Proxy Authentication Required\r\n"));
}

#[test]
fn twilios_invite_keeps_both_record_routes_in_order() {
    let text = crlf(
        r#"INVITE sip:101@198.51.100.7:41234;transport=tls SIP/2.0
Record-Route: <sip:54.172.60.0:5061;transport=tls;r2=on;lr>
Record-Route: <sip:54.172.60.0;r2=on;lr>
From: <sip:+15035550111@acme.sip.twilio.com>;tag=08601002_c3356d0b_658bbbdc-370e-4c02-862b-9f5807568f80
To: <sip:101@acme.sip.twilio.com>
CSeq: 29044 INVITE
Max-Forwards: 60
Call-ID: fb3e6e86a53e3094ed17b4776a69af59@0.0.0.0
Via: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1dc3.f8220000.0
Via: SIP/2.0/UDP 172.25.75.240:5060;rport=5060;branch=z9hG4bK658bbbdc-370e
Contact: <sip:+15035550111@172.25.75.240:5060;transport=udp>
Allow: INVITE,ACK,CANCEL,OPTIONS,BYE,REFER,NOTIFY
User-Agent: Twilio Gateway
X-Twilio-AccountSid: AC00000000000000000000000000000000
X-Twilio-CallSid: CA00000000000000000000000000000000
Content-Type: application/sdp
Content-Length: 5

v=0
"#,
    );
    let r = request(&text);
    assert_eq!(typed(&r.headers), Ok(()));
    let routes: Vec<_> = header::values(&r.headers, "Record-Route").map(|v| NameAddr::parse(v).unwrap().uri).collect();
    assert_eq!(routes.iter().map(uri::port).collect::<Vec<_>>(), [Some(5061), None]);
    assert!(routes.iter().all(|u| uri::param(u, "lr") == Some(None) && uri::param(u, "r2") == Some(Some("on".into()))));
    assert_eq!(header::value(&r.headers, "X-Twilio-CallSid"), Some("CA00000000000000000000000000000000"));
    assert_eq!(uri::user(&contact(&r).uri).as_deref(), Some("+15035550111"));
    // Written as it was read, octet by octet.
    assert_eq!(String::from_utf8(write_request(&r)).unwrap(), text);
}

#[test]
fn twilios_record_routes_in_one_line_are_the_same_two() {
    let one = request(crlf(
        "OPTIONS sip:101@198.51.100.7 SIP/2.0\nVia: SIP/2.0/TLS a, SIP/2.0/UDP b\nFrom: <sip:a@b>;tag=1\nTo: <sip:101@b>\n\
         Call-ID: 1\nCSeq: 1 OPTIONS\nRecord-Route: <sip:54.172.60.0:5061;transport=tls;r2=on;lr>,<sip:54.172.60.0;r2=on;lr>\n\
         l: 0\n\n",
    ));
    let routes: Vec<_> = header::values(&one.headers, "Record-Route").collect();
    assert_eq!(routes, ["<sip:54.172.60.0:5061;transport=tls;r2=on;lr>", "<sip:54.172.60.0;r2=on;lr>"]);
}

#[test]
fn twilios_bye_says_why() {
    let r = request(crlf(
        "BYE sip:101@198.51.100.7:41234;transport=tls SIP/2.0\nVia: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK2\n\
         From: <sip:+15035550111@acme.sip.twilio.com>;tag=1\nTo: <sip:101@acme.sip.twilio.com>;tag=2\nCall-ID: 1\n\
         CSeq: 2 BYE\nMax-Forwards: 69\nReason: Q.850;cause=16;text=\"Normal call clearing\"\nContent-Length: 0\n\n",
    ));
    let reason = Reason::parse(header::value(&r.headers, "Reason").unwrap()).unwrap();
    assert_eq!((reason.protocol.as_str(), reason.cause), ("Q.850", Some(16)));
}
