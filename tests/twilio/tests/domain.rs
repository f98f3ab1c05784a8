//! The SIP domain and the REST API, driven by a client that is not the product.

mod common;

use common::*;
use serde_json::Value;
use twilio_simulator::journal::Event;
use twilio_simulator::media::endpoint::Endpoint;
use twilio_simulator::media::meter::Meter;
use twilio_simulator::media::port::{Frame, Port, Sound};
use twilio_simulator::media::tone::Tone;
use twilio_simulator::pstn::{self, Party};
use twilio_simulator::sip::dialog::Dialog;
use twilio_simulator::sip::message::{Message, uri_of};
use twilio_simulator::sip::sdp::{Audio, Crypto, SUITES};
use twilio_simulator::switches::Switches;
use twilio_simulator::webhook::signature::sign;

fn dial_out() -> String {
    format!(
        "<Response><Dial callerId=\"{NUMBER}\" answerOnBridge=\"true\"><Number>+15035551212</Number></Dial></Response>"
    )
}

fn dial_in() -> String {
    format!("<Response><Dial answerOnBridge=\"true\"><Sip>sip:101@{DOMAIN};secure=true</Sip></Dial></Response>")
}

/// A media side for the client: an endpoint, what it hears, and its offer.
struct Voice {
    endpoint: Endpoint,
    port: Port,
    heard: tokio::sync::mpsc::Receiver<Frame>,
    offer: Audio,
}

impl Voice {
    async fn open(secure: bool) -> Self {
        let (port, queue) = Port::new();
        let (sink, heard) = tokio::sync::mpsc::channel(1000);
        port.listen(Some(sink));
        let endpoint = Endpoint::open(port.clone(), queue).await.unwrap();
        let offer = Audio {
            address: endpoint.address,
            secure,
            formats: vec![0],
            dtmf: Some(101),
            crypto: if secure { vec![Crypto::generate(1, SUITES[0])] } else { Vec::new() },
            direction: "sendrecv".to_owned(),
        };
        Self { endpoint, port, heard, offer }
    }

    fn agree(&self, body: &[u8]) {
        let theirs = Audio::parse(body).unwrap();
        let keys = self.offer.crypto.first().zip(theirs.crypto.first());
        self.endpoint.agree(&theirs, keys).unwrap();
    }

    /// Sends `hertz` and listens for 1.2 s.
    async fn talk(&mut self, hertz: f64) -> twilio_simulator::media::meter::Heard {
        let (mut tone, mut meter) = (Tone::new(hertz, -10.0), Meter::default());
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        for seq in 0..60 {
            tick.tick().await;
            let _ = self.port.out.try_send(Frame { seq, sound: Sound::Pcmu(tone.frame()) });
            while let Ok(frame) = self.heard.try_recv() {
                meter.take(&frame);
            }
        }
        meter.heard()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_is_challenged_bound_clamped_and_taken_away() {
    let twilio = start(Switches::default()).await;
    configure(&twilio, true, "http://127.0.0.1:9").await;
    let mut client = Client::connect(&twilio, "101").await;
    let ok = client.register(7200, PASSWORD).await;
    assert_eq!(ok.code(), 200);
    assert!(ok.get("Contact").unwrap().ends_with("expires=3600"), "{ok:?}");
    let brief = client.register(60, PASSWORD).await;
    assert_eq!((brief.code(), brief.get("Min-Expires")), (423, Some("600")));
    assert_eq!(client.register(600, "Wrong7Password").await.code(), 407);
    assert_eq!(client.register(0, PASSWORD).await.code(), 200);
    assert!(twilio.registrar().contacts(&format!("101@{DOMAIN}")).is_empty());
    assert_eq!(twilio.journal.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_registration_or_mapping_refuses() {
    let twilio = start(Switches::default()).await;
    let (_, domain) = rest(&twilio, "POST", "SIP/Domains.json", &[("DomainName", DOMAIN)]).await;
    assert_eq!(domain["auth_type"], "");
    let mut client = Client::connect(&twilio, "101").await;
    let refused = client.register(600, PASSWORD).await;
    assert_eq!(refused.code(), 403);
    assert!(refused.get("X-Twilio-Error").unwrap().starts_with("32210"));
    let path = format!("SIP/Domains/{}.json", domain["sid"].as_str().unwrap());
    rest(&twilio, "POST", &path, &[("SipRegistration", "true")]).await;
    let refused = client.register(600, PASSWORD).await;
    assert!(refused.get("X-Twilio-Error").unwrap().starts_with("32212"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_out_goes_by_webhook_to_the_pstn_and_sound_passes_both_ways() {
    let twilio = start(Switches::default()).await;
    let (base, seen) = hooks(&[("/out", dial_out())]).await;
    configure(&twilio, true, &base).await;
    let party = Party { hang_up_after_ms: Some(1500), tone_hz: 1004.0, ..Party::default() };
    twilio.pstn().connect("+15035551212", party);
    let mut client = Client::connect(&twilio, "101").await;
    let mut sound = Voice::open(true).await;
    let (invite, ringing) = client.invite("5035551212", &sound.offer.to_phone_text(1)).await;
    assert_eq!(ringing.code(), 180);
    let ok = client.last().await;
    assert_eq!(ok.code(), 200, "{ok:?}");
    let mut dialog = Dialog::caller(&invite, &ok);
    let mut ack = dialog.ack(2);
    ack.headers.insert(0, ("Via".to_owned(), client.via()));
    client.send(&ack).await;
    sound.agree(&ok.body);
    let heard = sound.talk(700.0).await;
    assert!(heard.is_tone(1004.0), "{heard:?}");
    let bye = client.next().await.unwrap();
    assert_eq!(bye.method(), "BYE");
    assert!(bye.get("Reason").unwrap().starts_with("Q.850;cause=16"));
    assert!(bye.list("Route").is_empty() && bye.list("Via").len() == 2);
    client.send(&Message::response(&bye, 200, "OK")).await;
    let ended = twilio.journal.wait(0, LIMIT, |e| match &e.event {
        Event::PstnEnded { heard, .. } => Some(heard.clone()),
        _ => None,
    });
    let far = ended.await.unwrap();
    assert!(far.is_tone(700.0) && far.lost == 0, "{far:?}");
    assert_eq!(dialog.request("BYE").list("Route").len(), 2);
    assert_eq!(twilio.journal.violations(), Vec::<String>::new());

    let seen = seen.lock().unwrap();
    let (path, headers, form) = &seen[0];
    assert_eq!((path.as_str(), headers["user-agent"].as_str()), ("/out", "TwilioProxy/1.1"));
    assert_eq!(headers["x-twilio-signature"], sign(&twilio.account.token, &format!("{base}/out"), form));
    let get = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(get("To"), Some(format!("sip:5035551212@{DOMAIN}").as_str()));
    assert_eq!((get("CallStatus"), get("SipDomain")), (Some("ringing"), Some(DOMAIN)));
    assert!(form.windows(2).all(|w| w[0].0 <= w[1].0), "fields are sorted by name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_goes_on_by_another_connection_or_is_not_known_there_as_the_switch_says() {
    for (moved_dialog_code, expected) in [(0, 200), (481, 481)] {
        let twilio = start(Switches { moved_dialog_code, ..Switches::default() }).await;
        let (base, _) = hooks(&[("/out", dial_out())]).await;
        configure(&twilio, true, &base).await;
        twilio.pstn().connect("+15035551212", Party::default());
        let mut first = Client::connect(&twilio, "101").await;
        let sound = Voice::open(true).await;
        let (invite, _) = first.invite("5035551212", &sound.offer.to_phone_text(1)).await;
        let ok = first.last().await;
        let mut dialog = Dialog::caller(&invite, &ok);
        let mut ack = dialog.ack(2);
        ack.headers.insert(0, ("Via".to_owned(), first.via()));
        first.send(&ack).await;
        drop(first);
        // The ACK has been read when its connection has ended; on another one the INVITE could come before it.
        let down = twilio.journal.wait(0, LIMIT, |e| matches!(e.event, Event::FlowDown { .. }).then_some(()));
        down.await.unwrap();
        let mut second = Client::connect(&twilio, "101").await;
        let mut again = dialog
            .request("INVITE")
            .with("Contact", format!("<{}>", second.contact()))
            .with_body("application/sdp", sound.offer.to_phone_text(2));
        again.headers.insert(0, ("Via".to_owned(), second.via()));
        second.send(&again).await;
        let answer = second.last().await;
        assert_eq!(answer.code(), expected);
        let mut ack = if expected == 200 { dialog.ack(dialog.local_cseq) } else { refusal_ack(&again, &answer) };
        if expected == 200 {
            ack.headers.insert(0, ("Via".to_owned(), second.via()));
        }
        second.send(&ack).await;
        let mut bye = dialog.request("BYE");
        bye.headers.insert(0, ("Via".to_owned(), second.via()));
        second.send(&bye).await;
        assert_eq!(second.last().await.code(), 200);
        assert_eq!(twilio.journal.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ignores_the_route_set_is_refused_loudly() {
    let twilio = start(Switches::default()).await;
    let (base, _) = hooks(&[("/out", dial_out())]).await;
    configure(&twilio, true, &base).await;
    twilio.pstn().connect("+15035551212", Party::default());
    let mut client = Client::connect(&twilio, "101").await;
    let sound = Voice::open(true).await;
    let (invite, _) = client.invite("5035551212", &sound.offer.to_phone_text(1)).await;
    let ok = client.last().await;
    let mut dialog = Dialog::caller(&invite, &ok);
    let mut ack = dialog.ack(2);
    ack.headers.insert(0, ("Via".to_owned(), client.via()));
    client.send(&ack).await;
    let mut bye = dialog.request("BYE");
    bye.headers.retain(|(name, _)| name != "Route");
    bye.headers.insert(0, ("Via".to_owned(), client.via()));
    client.send(&bye).await;
    assert_eq!(client.last().await.code(), 481);
    assert!(twilio.journal.violations()[0].contains("Record-Route"), "{:?}", twilio.journal.violations());
}

#[tokio::test(flavor = "multi_thread")]
async fn srtp_must_match_the_flag_exactly() {
    let (base, _) = hooks(&[("/out", dial_out())]).await;
    for secure in [true, false] {
        let twilio = start(Switches::default()).await;
        configure(&twilio, secure, &base).await;
        let mut client = Client::connect(&twilio, "101").await;
        let wrong = Voice::open(!secure).await;
        let (invite, refused) = client.invite("5035551212", &wrong.offer.to_phone_text(1)).await;
        client.send(&refusal_ack(&invite, &refused)).await;
        assert_eq!(refused.code(), 488);
        let code = if secure { "32208" } else { "32207" };
        assert!(refused.get("X-Twilio-Error").unwrap().starts_with(code));
        assert_eq!(twilio.journal.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_rings_the_registered_contact_on_its_own_connection() {
    let twilio = start(Switches::default()).await;
    let (base, seen) = hooks(&[("/in", dial_in())]).await;
    configure(&twilio, true, &base).await;
    let mut client = Client::connect(&twilio, "101").await;
    assert_eq!(client.register(600, PASSWORD).await.code(), 200);
    let party = Party { hang_up_after_ms: Some(1500), tone_hz: 1004.0, digits: "42#".to_owned(), ..Party::default() };
    let call = tokio::spawn(pstn::call(twilio.clone(), "+15035550199".to_owned(), NUMBER.to_owned(), party, LIMIT));
    let invite = client.next().await.unwrap();
    assert_eq!((invite.method(), invite.uri()), ("INVITE", client.contact().as_str()));
    assert_eq!((invite.list("Via").len(), invite.list("Record-Route").len()), (2, 2));
    assert!(invite.get("From").unwrap().starts_with(&format!("<sip:+15035550199@{DOMAIN}>")));
    let mut sound = Voice::open(true).await;
    sound.offer.crypto = vec![Crypto::generate(1, SUITES[0])];
    let contact = format!("<{}>", client.contact());
    let ok = Message::response(&invite, 200, "OK").with("Contact", contact).with_to_tag("x1");
    client.send(&ok.with_body("application/sdp", sound.offer.to_phone_text(1))).await;
    sound.agree(&invite.body);
    let ack = client.next().await.unwrap();
    assert_eq!((ack.method(), ack.uri()), ("ACK", client.contact().as_str()));
    let heard = sound.talk(700.0).await;
    assert_eq!(heard.digits, "42#");
    let bye = client.next().await.unwrap();
    client.send(&Message::response(&bye, 200, "OK")).await;
    let outcome = call.await.unwrap();
    assert!(outcome.answered && outcome.heard.is_tone(700.0), "{outcome:?}");
    assert_eq!(twilio.journal.violations(), Vec::<String>::new());
    let form = seen.lock().unwrap()[0].2.clone();
    assert!(form.contains(&("FromCity".to_owned(), String::new())), "blank geo fields are sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contacts_fork_and_the_loser_is_cancelled() {
    let twilio = start(Switches { enhanced_sip: true, ..Switches::default() }).await;
    let (base, _) = hooks(&[("/in", dial_in())]).await;
    configure(&twilio, true, &base).await;
    let (mut one, mut two) = (Client::connect(&twilio, "101").await, Client::connect(&twilio, "101").await);
    assert_eq!(one.register(600, PASSWORD).await.code(), 200);
    assert_eq!(two.register(600, PASSWORD).await.list("Contact").len(), 2);
    let party = Party { hang_up_after_ms: Some(200), ..Party::default() };
    let call = tokio::spawn(pstn::call(twilio.clone(), "+15035550199".to_owned(), NUMBER.to_owned(), party, LIMIT));
    let (first, second) = (one.next().await.unwrap(), two.next().await.unwrap());
    let ringing = Message::response(&second, 180, "Ringing").with("Contact", format!("<{}>", two.contact()));
    two.send(&ringing.with_to_tag("t2")).await;
    let sound = Voice::open(true).await;
    let ok = Message::response(&first, 200, "OK").with("Contact", format!("<{}>", one.contact())).with_to_tag("t1");
    one.send(&ok.with_body("application/sdp", sound.offer.to_phone_text(1))).await;
    let cancel = two.next().await.unwrap();
    assert_eq!((cancel.method(), cancel.list("Via").len()), ("CANCEL", 1));
    two.send(&Message::response(&cancel, 200, "OK").with_to_tag("t2")).await;
    two.send(&Message::response(&second, 487, "Request Terminated").with_to_tag("t2")).await;
    assert_eq!(two.next().await.unwrap().method(), "ACK");
    assert_eq!(one.next().await.unwrap().method(), "ACK");
    let bye = one.next().await.unwrap();
    one.send(&Message::response(&bye, 200, "OK")).await;
    assert!(call.await.unwrap().answered);
    assert_eq!(twilio.journal.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_account_rings_the_newest_contact_with_the_headers_of_the_noun() {
    let twilio = start(Switches::default()).await;
    let header = "X-Gateway-Target=%2B15035550100&amp;X-Other=a-b";
    let dial = dial_in().replace("secure=true", &format!("secure=true?{header}"));
    let (base, _) = hooks(&[("/in", dial)]).await;
    configure(&twilio, true, &base).await;
    let (mut one, mut two) = (Client::connect(&twilio, "101").await, Client::connect(&twilio, "101").await);
    assert_eq!(one.register(600, PASSWORD).await.code(), 200);
    assert_eq!(two.register(600, PASSWORD).await.code(), 200);
    let party = Party { hang_up_after_ms: Some(200), ..Party::default() };
    let call = tokio::spawn(pstn::call(twilio.clone(), "+15035550199".to_owned(), NUMBER.to_owned(), party, LIMIT));
    let invite = two.next().await.unwrap();
    assert_eq!(invite.method(), "INVITE");
    assert_eq!(invite.get("X-Gateway-Target"), Some("+15035550100"));
    assert_eq!(invite.get("X-Other"), Some("a-b"));
    two.send(&Message::response(&invite, 486, "Busy Here").with_to_tag("t2")).await;
    assert_eq!(two.next().await.unwrap().method(), "ACK");
    assert!(!call.await.unwrap().answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_call_asks_no_webhook_and_needs_an_own_number_in_from() {
    let twilio = start(Switches::default()).await;
    let (base, seen) = hooks(&[("/out", dial_out())]).await;
    configure(&twilio, true, &base).await;
    let mut client = Client::connect(&twilio, "101").await;
    let sound = Voice::open(true).await;
    let (invite, refused) = client.invite("933", &sound.offer.to_phone_text(1)).await;
    client.send(&refusal_ack(&invite, &refused)).await;
    assert_eq!(refused.code(), 403);

    let (uri, call_id) = (format!("sip:933@{DOMAIN}"), "emergency".to_owned());
    let from = format!("<sip:{NUMBER}@{DOMAIN}>;tag=e");
    let mut request = client.request("INVITE", &uri, 1, &call_id);
    request.set("From", from.clone());
    let request = request.with_body("application/sdp", sound.offer.to_phone_text(1));
    client.send(&request).await;
    let challenge = client.last().await;
    client.send(&refusal_ack(&request, &challenge)).await;
    let answer = twilio_simulator::sip::digest::answer(&challenge, "INVITE", &uri, "101", PASSWORD).unwrap();
    let mut request = client.request("INVITE", &uri, 2, &call_id).with(&answer.0, answer.1);
    request.set("From", from);
    client.send(&request.with_body("application/sdp", sound.offer.to_phone_text(1))).await;
    assert_eq!(client.last().await.code(), 200);
    let left = twilio.journal.wait(0, LIMIT, |e| match &e.event {
        Event::Emergency { caller_id, .. } => Some(caller_id.clone()),
        _ => None,
    });
    assert_eq!(left.await.as_deref(), Some(NUMBER));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_api_has_twilios_codes_and_the_fields_of_openapi() {
    let twilio = start(Switches::default()).await;
    let sd = configure(&twilio, true, "https://hooks.example.com").await;
    let fields: Value = serde_json::from_str(include_str!("data/openapi-fields.json")).unwrap();
    let code = |reply: (u16, Value)| (reply.0, reply.1["code"].as_u64().unwrap_or(0));
    let post = async |path: &str, form: &[(&str, &str)]| code(rest(&twilio, "POST", path, form).await);

    assert_eq!(post("SIP/Domains.json", &[("DomainName", DOMAIN)]).await, (400, 21232));
    assert_eq!(post("SIP/Domains.json", &[("DomainName", "no_good.sip.twilio.com")]).await, (400, 21232));
    assert_eq!(post("SIP/CredentialLists.json", &[("FriendlyName", "handsets")]).await, (400, 21240));
    let (_, lists) = rest(&twilio, "GET", "SIP/CredentialLists.json", &[]).await;
    let cl = lists["credential_lists"][0]["sid"].as_str().unwrap().to_owned();
    let credentials = format!("SIP/CredentialLists/{cl}/Credentials.json");
    assert_eq!(post(&credentials, &[("Username", "101"), ("Password", PASSWORD)]).await, (400, 21240));
    assert_eq!(post(&credentials, &[("Username", "103"), ("Password", "alllowercase1")]).await, (400, 21240));
    let mapping = format!("SIP/Domains/{sd}/Auth/Calls/CredentialListMappings.json");
    assert_eq!(post(&mapping, &[("CredentialListSid", &cl)]).await, (400, 21231));
    assert_eq!(code(rest(&twilio, "DELETE", &format!("SIP/CredentialLists/{cl}.json"), &[]).await), (400, 21241));
    assert_eq!(post(&format!("SIP/Domains/{sd}.json"), &[("VoiceUrl", "nonsense")]).await, (400, 21402));
    assert_eq!(
        code(rest(&twilio, "GET", "SIP/Domains/SD00000000000000000000000000000000.json", &[]).await),
        (404, 20404)
    );
    let (_, cleared) =
        rest(&twilio, "POST", &format!("SIP/Domains/{sd}.json"), &[("VoiceUrl", ""), ("VoiceURL", "x")]).await;
    assert_eq!((&cleared["voice_url"], &cleared["auth_type"]), (&Value::Null, &Value::from("CREDENTIAL_LIST")));
    assert_eq!(twilio.store().unknown_parameters, ["VoiceURL"]);

    let key = twilio.account.key.clone();
    let account = format!("/2010-04-01/Accounts/{}.json", twilio.account.sid);
    assert_eq!(code(rest_as(&twilio, &key.0, &key.1, "GET", &account, &[]).await), (401, 20003));
    assert_eq!(rest_as(&twilio, &key.0, &key.1, "GET", "SIP/Domains.json", &[]).await.0, 200);
    assert_eq!(code(rest_as(&twilio, &key.0, "wrong", "GET", "SIP/Domains.json", &[]).await), (401, 20003));

    let resources = [
        ("account", rest(&twilio, "GET", &account, &[]).await.1),
        ("balance", rest(&twilio, "GET", "Balance.json", &[]).await.1),
        ("domain", rest(&twilio, "GET", "SIP/Domains.json", &[]).await.1["domains"][0].clone()),
        ("credential_list", lists["credential_lists"][0].clone()),
        ("credential", rest(&twilio, "GET", &credentials, &[]).await.1["credentials"][0].clone()),
        ("mapping", rest(&twilio, "GET", &mapping, &[]).await.1["contents"][0].clone()),
        ("application", rest(&twilio, "GET", "Applications.json?FriendlyName=in", &[]).await.1["applications"][0].clone()),
        (
            "number",
            rest(&twilio, "GET", "IncomingPhoneNumbers.json?PhoneNumber=%2B15035550100", &[]).await.1
                ["incoming_phone_numbers"][0]
                .clone(),
        ),
    ];
    for (name, body) in resources {
        let own = body.as_object().unwrap_or_else(|| panic!("{name}: {body}"));
        for (field, kind) in fields[name].as_object().unwrap() {
            let value = own.get(field).unwrap_or_else(|| panic!("{name} has no {field}"));
            let good = match kind.as_str().unwrap() {
                "boolean" => value.is_boolean(),
                "object" => value.is_object(),
                _ => value.is_string(),
            };
            assert!(good || value.is_null(), "{name}.{field} is {value}, not {kind}");
        }
        assert!(own.keys().all(|field| fields[name].get(field).is_some()), "{name} has fields of its own");
    }
}

#[test]
fn the_signature_agrees_with_every_sha1_vector() {
    let vectors: Value = serde_json::from_str(include_str!("data/signature-vectors.json")).unwrap();
    let mut checked = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap_or("");
        let form = text("content_type").starts_with("application/x-www-form-urlencoded") && text("method") == "POST";
        if text("algorithm") != "HMAC_SHA1" {
            continue;
        }
        let params = if form { twilio_simulator::form::decode(text("raw_body")) } else { Vec::new() };
        let signature = sign(text("token"), text("url_configured_or_received"), &params);
        assert_eq!(signature, text("signature"), "{}", text("name"));
        checked += 1;
    }
    assert!(checked >= 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_goes_away_and_comes_back_on_the_same_ports() {
    let twilio = start(Switches::default()).await;
    configure(&twilio, true, "http://127.0.0.1:9").await;
    let mut client = Client::connect(&twilio, "101").await;
    assert_eq!(client.register(600, PASSWORD).await.code(), 200);
    twilio.stop_network().await;
    assert!(client.next().await.is_none());
    assert!(tokio::net::TcpStream::connect(twilio.sip_address).await.is_err());
    twilio.start_network().await.unwrap();
    let mut client = Client::connect(&twilio, "101").await;
    assert_eq!(client.register(600, PASSWORD).await.code(), 200);
    assert_eq!(uri_of(client.register(600, PASSWORD).await.get("Contact").unwrap()).split(':').next(), Some("sip"));
}
