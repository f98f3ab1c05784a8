//! What Twilio is told: golden files in `tests/golden/twiml`. `GATEWAY_BLESS=1 cargo test --test twiml` writes them.

use std::path::Path;

use gateway_core::config::{Config, Protection, Secure};
use gateway_core::context::Spending;
use gateway_core::emergency::callback::Phone;
use gateway_core::forward::Forward;
use gateway_core::route::Route;
use gateway_core::twiml::credentials::told;
use gateway_core::twiml::dialplan::{Answer, Outcome, WebhookRequest, answer};
use gateway_core::twiml::document::MAX_NOUNS;
use gateway_core::twiml::explain::explain;
use gateway_core::twiml::form::Form;
use gateway_core::twiml::{Endpoint, WebhookEvent};

use super::office;

fn ask(config: &Config, endpoint: Endpoint, body: &str) -> Answer {
    ask_form(config, endpoint, Form::decode(body.as_bytes()).unwrap())
}

fn ask_form(config: &Config, endpoint: Endpoint, form: Form<'_>) -> Answer {
    ask_by(config, endpoint, form, None)
}

/// `carrier`: by whom calls from outside reach this box.
fn ask_by(config: &Config, endpoint: Endpoint, form: Form<'_>, carrier: Option<&str>) -> Answer {
    let base = &told(config, &office::secrets(), &config.webhook.public_url);
    let request = WebhookRequest {
        endpoint,
        base,
        form,
        carrier,
        call_back: &|_| None,
        forward: &|_| None,
        spending: &Spending::Open,
    };
    answer(config, &request)
}

fn xml(answer: &Answer) -> String {
    answer.document.as_ref().unwrap().to_xml()
}

/// `(file, body)`: each body's answer is the file.
fn golden(endpoint: Endpoint, cases: &[(&str, &str)]) {
    for (name, body) in cases {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/twiml").join(format!("{name}.xml"));
        let got = format!("{}\n", xml(&ask(&office::config(), endpoint, body)));
        if std::env::var_os("GATEWAY_BLESS").is_some() {
            std::fs::write(&path, &got).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(got, wanted, "{}", path.display());
    }
}

const FROM_101: &str = "CallSid=CA1&From=sip%3A101%40office.sip.twilio.com";

#[test]
fn an_extension_calls_out() {
    let cases = [
        ("outgoing-number", "To=sip%3A5035551212%40office.sip.twilio.com"),
        ("outgoing-mexico", "To=sip%3A011525555536266%40office.sip.twilio.com"),
        ("outgoing-service", "To=sip%3A411%40office.sip.twilio.com"),
        ("outgoing-service-211", "To=sip%3A211%40office.sip.twilio.com"),
        ("outgoing-own-number", "To=sip%3A%2B15035550100%40office.sip.twilio.com"),
        ("outgoing-extension", "To=sip%3A102%40office.sip.twilio.com"),
        ("outgoing-emergency", "To=sip%3A911%40office.sip.twilio.com"),
        ("outgoing-emergency-test-line", "To=sip%3A%2B933%40office.sip.twilio.com"),
        ("outgoing-premium", "To=sip%3A9005551212%40office.sip.twilio.com"),
        ("outgoing-country", "To=sip%3A%2B442071838751%40office.sip.twilio.com"),
        ("outgoing-nobodys-number", "To=sip%3A%2B15035550199%40office.sip.twilio.com"),
        ("outgoing-nothing-dialled", "To="),
    ];
    let cases: Vec<_> = cases.map(|(name, to)| (name, format!("{FROM_101}&{to}"))).to_vec();
    golden(Endpoint::Outgoing, &cases.iter().map(|(name, body)| (*name, body.as_str())).collect::<Vec<_>>());
    golden(
        Endpoint::Outgoing,
        &[
            ("outgoing-unknown-extension", "From=sip%3A105%40office.sip.twilio.com&To=sip%3A5035551212%40h"),
            ("outgoing-emergency-from-a-number", "From=sip%3A%2B15035550101%40office.sip.twilio.com&To=sip%3A911%40h"),
            ("outgoing-emergency-from-a-stranger", "From=sip%3Aanybody%40h&To=sip%3A911%40h"),
            ("outgoing-from-pstn", "From=%2B15035551212&To=sip%3A5035551212%40h"),
            ("outgoing-empty-request", ""),
            ("outgoing-no-emergency-right", "From=sip%3A103%40office.sip.twilio.com&To=sip%3A911%40h"),
        ],
    );
}

#[test]
fn from_and_to_are_understood_however_the_handset_wrote_them() {
    let config = office::config();
    let plain = ask(&config, Endpoint::Outgoing, &format!("{FROM_101}&To=sip%3A5035551212%40office.sip.twilio.com"));
    for (from, to) in [
        ("sip:101@office.sip.us1.twilio.com:5061;transport=tls", "sip:5035551212@office.sip.us1.twilio.com;user=phone"),
        ("sips:%31%30%31@office.sip.ashburn.twilio.com", "sips:+15035551212@office.sip.twilio.com:5061"),
        ("\"Front desk\" <sip:101@h>;tag=1", "<sip:%2B1-503-555-1212@h>"),
        ("sip:101@h", "sip:5035551212;phone-context=+1@h"),
    ] {
        let form = Form::of([("CallSid", "CA1"), ("From", from), ("To", to)]);
        assert_eq!(ask_form(&config, Endpoint::Outgoing, form), plain, "{from} {to}");
    }
    let copies = ask(&config, Endpoint::Outgoing, "CallSid=CA1&Caller=sip%3A101%40h&Called=sip%3A5035551212%40h");
    assert_eq!(copies, plain);
}

#[test]
fn somebody_calls_one_of_our_numbers() {
    golden(
        Endpoint::Incoming,
        &[
            ("incoming-one", "CallSid=CA1&From=%2B12125550111&To=%2B15035550101"),
            ("incoming-several", "CallSid=CA1&From=%2B12125550111&To=%2B15035550100"),
            ("incoming-anonymous", "CallSid=CA1&From=anonymous&To=%2B15035550101"),
            ("incoming-no-from", "CallSid=CA1&From=&To=%2B15035550101"),
            ("incoming-strange-from", "CallSid=CA1&From=%22%3E%3CReject%2F%3E&To=%2B15035550101"),
            ("incoming-caller-id-only-number", "CallSid=CA1&From=%2B12125550111&To=%2B15035550199"),
            ("incoming-unknown-number", "CallSid=CA1&From=%2B12125550111&To=%2B15035550177"),
            ("incoming-empty-request", ""),
        ],
    );
}

#[test]
fn a_number_rings_at_the_domain_of_its_environment_whichever_box_is_asked() {
    let mut config = office::config();
    config.numbers[1].environment = "stage".to_owned();
    let body = "From=%2B12125550111&To=%2B15035550101";
    for name in ["prod", "stage"] {
        let config = config.clone().select(name).unwrap();
        let answer = xml(&ask(&config, Endpoint::Incoming, body));
        assert!(answer.contains("<Sip>sip:101@office-stage.sip.twilio.com;secure=true</Sip>"), "{answer}");
        // But it is this box that hears of the end.
        assert!(answer.contains(&format!("action=\"{}/twilio/dialed\"", config.webhook.public_url)), "{answer}");
    }
}

#[test]
fn an_extension_calls_another_at_the_domain_that_it_called_from() {
    let config = office::config();
    for (domain, dialled) in [
        ("office-stage.sip.twilio.com", "office-stage.sip.twilio.com"),
        ("Office-Stage.sip.us1.twilio.com", "office-stage.sip.twilio.com"),
        ("office.sip.ashburn.twilio.com", "office.sip.twilio.com"),
        // Not ours: where this box registers.
        ("other.sip.twilio.com", "office.sip.twilio.com"),
        (".sip.", "office.sip.twilio.com"),
        ("", "office.sip.twilio.com"),
    ] {
        let body = format!("{FROM_101}&SipDomain={domain}&To=sip%3A102%40{domain}");
        let answer = xml(&ask(&config, Endpoint::Outgoing, &body));
        assert!(answer.contains(&format!("<Sip>sip:102@{dialled};secure=true")), "{domain}: {answer}");
    }
    let stage = explain(&config.select("stage").unwrap(), "101", "sip:102@host");
    assert!(stage.document.to_xml().contains("sip:box-office@office-stage.sip.twilio.com"));
}

#[test]
fn our_urls_carry_the_credentials_for_twilio_and_for_nobody_else() {
    let mut config = office::config();
    config.webhook.protect = Protection::Credentials;
    let answer = ask(&config, Endpoint::Incoming, "From=%2B12125550111&To=%2B15035550101");
    let action = format!("action=\"https://twilio:{}@gw.example.net/twilio/dialed\"", office::PASSWORD);
    assert!(xml(&answer).contains(&action), "{}", xml(&answer));
    assert!(!format!("{answer:?} {}", answer.event.event()).contains(office::PASSWORD));
    let explained = explain(&config, "101", "5035551212").document.to_xml();
    assert!(explained.contains("action=\"https://***@gw.example.net/twilio/dialed\""), "{explained}");
}

#[test]
fn a_usage_trigger_that_fires_is_told_however_its_fields_are_spelled() {
    let documented =
        "UsageTriggerSid=UT1&Recurring=daily&UsageCategory=totalprice&TriggerValue=12.50&CurrentValue=12.75";
    let other =
        "usage_trigger_sid=UT1&recurring=daily&usage_category=totalprice&trigger_value=12.50&current_value=12.75";
    for body in [documented, other] {
        let answer = ask(&office::config(), Endpoint::Usage, body);
        assert_eq!(answer.document, None);
        let line = answer.event.event().to_string();
        assert!(line.contains("account.spend") && line.contains("UT1"), "{line}");
        assert!(line.contains("totalprice has reached 12.75, the limit is 12.50 (daily)"), "{line}");
    }
    let empty = ask(&office::config(), Endpoint::Usage, "").event.event().to_string();
    assert!(empty.contains("? has reached ?, the limit is ? (?)"), "{empty}");
}

#[test]
fn while_spending_is_stopped_twilio_dials_no_number_but_for_help() {
    let config = office::config();
    let base = &told(&config, &office::secrets(), &config.webhook.public_url);
    let spending = &Spending::Stopped("totalprice has reached 12.75".to_owned());
    let ask = |endpoint, body: &str| {
        let form = Form::decode(body.as_bytes()).unwrap();
        let request =
            WebhookRequest { endpoint, base, form, carrier: None, call_back: &|_| None, forward: &|_| None, spending };
        xml(&answer(&config, &request))
    };
    let outgoing = |to: &str| {
        ask(
            Endpoint::Outgoing,
            &format!("From=sip%3A101%40office.sip.twilio.com&To=sip%3A{to}%40office.sip.twilio.com"),
        )
    };
    for number in ["5035551212", "011525555536266", "8005551212"] {
        assert!(outgoing(number).contains("<Reject"), "{number}: {}", outgoing(number));
    }
    assert!(outgoing("911").contains("<Number>911</Number>"), "{}", outgoing("911"));
    assert!(outgoing("102").contains("<Sip>"), "{}", outgoing("102"));
    let incoming = ask(Endpoint::Incoming, "From=%2B15035551212&To=%2B15035550100");
    assert!(incoming.contains("<Sip>"), "{incoming}");
}

#[test]
fn a_trunk_without_srtp_asks_for_none() {
    let mut config = office::config();
    config.trunk.secure = Secure::Off;
    let answer = ask(&config, Endpoint::Incoming, "From=%2B12125550111&To=%2B15035550101");
    assert!(xml(&answer).contains("<Sip>sip:101@office.sip.twilio.com</Sip>"));
}

/// The addresses that a call to a number rings.
fn rung(config: &Config, number: &str, carrier: Option<&str>) -> Vec<String> {
    let form = Form::of([("From", "+12125550111"), ("To", number)]);
    sip_nouns(&xml(&ask_by(config, Endpoint::Incoming, form, carrier)))
}

fn sip_nouns(xml: &str) -> Vec<String> {
    let nouns = xml.split("<Sip>").skip(1);
    nouns.map(|rest| rest.split_once("</Sip>").unwrap().0.replace("&amp;", "&")).collect()
}

#[test]
fn a_number_of_several_extensions_is_one_noun_that_your_box_forks() {
    let mut config = office::config();
    for count in [2, 3, 20, 100] {
        config.numbers[0].ring = (100..100 + count).map(|name| name.to_string()).collect();
        let group = "sip:box-office@office.sip.twilio.com;secure=true?X-Gateway-Target=%2B15035550100";
        assert_eq!(rung(&config, "+15035550100", Some("box-office")), [group], "{count}");
        // The SIP domain does not know the box yet.
        let by_own = "sip:100@office.sip.twilio.com;secure=true?X-Gateway-Target=%2B15035550100";
        assert_eq!(rung(&config, "+15035550100", None), [by_own], "{count}");
    }
}

#[test]
fn one_extension_is_named_by_the_noun_unless_it_carries_the_call_itself() {
    let config = office::config();
    let by_box = "sip:box-office@office.sip.twilio.com;secure=true?X-Gateway-Target=101";
    assert_eq!(rung(&config, "+15035550101", Some("box-office")), [by_box]);
    assert_eq!(rung(&config, "+15035550101", Some("101")), ["sip:101@office.sip.twilio.com;secure=true"]);
    assert_eq!(rung(&config, "+15035550101", None), ["sip:101@office.sip.twilio.com;secure=true"]);
    for (to, target) in [("102", "102"), ("+15035550100", "%2B15035550100"), ("5035550100", "%2B15035550100")] {
        let to = format!("sip:{to}@office.sip.twilio.com");
        let form = Form::of([("From", "sip:101@office.sip.twilio.com"), ("To", &to)]);
        let rung = sip_nouns(&xml(&ask_by(&config, Endpoint::Outgoing, form, Some("box-office"))));
        assert_eq!(rung, [by_box.replace("=101", &format!("={target}"))], "{to}");
    }
}

#[test]
fn the_user_of_this_box_is_none_at_the_domain_of_another() {
    let mut config = office::config();
    config.numbers[0].environment = "stage".to_owned();
    let by_own = "sip:101@office-stage.sip.twilio.com;secure=true?X-Gateway-Target=%2B15035550100";
    assert_eq!(rung(&config, "+15035550100", Some("box-office")), [by_own]);
}

#[test]
fn an_account_with_the_switch_on_rings_up_to_ten_extensions_itself() {
    let mut config = office::config();
    config.twilio.enhanced_programmable_sip_features = true;
    for (count, nouns) in [(1, 1), (2, 2), (MAX_NOUNS, MAX_NOUNS), (MAX_NOUNS + 1, 1), (100, 1)] {
        config.numbers[0].ring = (100..100 + count).map(|name| name.to_string()).collect();
        let rung = rung(&config, "+15035550100", Some("box-office"));
        assert_eq!(rung.len(), nouns, "{rung:?}");
        let is_box = rung[0].starts_with("sip:box-office@") && rung[0].contains("?X-Gateway-Target=");
        assert_eq!(is_box, nouns == 1, "{rung:?}");
    }
}

#[test]
fn a_call_back_goes_by_the_box_to_the_phone_s_extension() {
    let config = office::config();
    let base = &told(&config, &office::secrets(), &config.webhook.public_url);
    let phone = Phone {
        number: "+15035550100".to_owned(),
        extension: "102".into(),
        is_own: true,
        flow: None,
        address: "192.168.1.66".parse().unwrap(),
        contact: gateway_core::sip::uri::sip(Some("x"), "192.168.1.66", None),
        until: gateway_core::time::Instant::ZERO,
    };
    let call_back = &|_: &str| Some(phone.clone());
    for (carrier, uri) in [
        (
            Some("box-office"),
            "sip:box-office@office.sip.twilio.com;secure=true?X-Gateway-Target=102&X-Gateway-Call-Back=1",
        ),
        (Some("102"), "sip:102@office.sip.twilio.com;secure=true?X-Gateway-Call-Back=1"),
        (None, "sip:102@office.sip.twilio.com;secure=true?X-Gateway-Call-Back=1"),
    ] {
        let form = Form::of([("From", "+15035559111"), ("To", "+15035550100")]);
        let (endpoint, spending) = (Endpoint::Incoming, &Spending::Open);
        let request = WebhookRequest { endpoint, base, form, carrier, call_back, forward: &|_| None, spending };
        assert_eq!(sip_nouns(&xml(&answer(&config, &request))), [uri]);
    }
}

#[test]
fn a_dial_has_ended() {
    golden(
        Endpoint::Dialed,
        &[
            ("dialed-completed", "CallStatus=in-progress&DialCallStatus=completed&DialSipResponseCode=200"),
            ("dialed-busy-before-answer", "CallStatus=ringing&DialCallStatus=busy"),
            ("dialed-busy-after-answer", "CallStatus=in-progress&DialCallStatus=busy"),
            ("dialed-no-answer-before-answer", "CallStatus=ringing&DialCallStatus=no-answer"),
            ("dialed-no-answer-after-answer", "CallStatus=in-progress&DialCallStatus=no-answer"),
            ("dialed-failed", "CallStatus=ringing&DialCallStatus=failed&DialSipResponseCode=404"),
            ("dialed-canceled", "CallStatus=completed&DialCallStatus=canceled"),
            ("dialed-unknown-status", "CallStatus=ringing&DialCallStatus=vanished"),
            ("dialed-empty-request", ""),
        ],
    );
}

#[test]
fn the_sip_code_says_more_than_the_status_unless_they_talked() {
    for (status, code, wanted) in [
        ("failed", "486", Outcome::Busy),
        ("failed", "600", Outcome::Busy),
        ("failed", "603", Outcome::Busy),
        ("failed", "480", Outcome::NoAnswer),
        ("busy", "408", Outcome::NoAnswer),
        ("no-answer", "487", Outcome::NoAnswer),
        ("no-answer", "503", Outcome::Failed),
        ("vanished", "200", Outcome::Completed),
        ("completed", "486", Outcome::Completed),
        ("answered", "", Outcome::Completed),
        ("busy", "", Outcome::Busy),
        ("no-answer", "65536", Outcome::NoAnswer),
        ("canceled", "487", Outcome::Canceled),
        ("", "", Outcome::Failed),
    ] {
        let body = format!("DialCallStatus={status}&DialSipResponseCode={code}");
        let answer = ask(&office::config(), Endpoint::Dialed, &body);
        let WebhookEvent::Dialed { outcome, .. } = answer.event else { panic!("{answer:?}") };
        assert_eq!(outcome, wanted, "{body}");
    }
}

#[test]
fn a_status_callback_gets_no_document() {
    let answer = ask(&office::config(), Endpoint::Status, "CallSid=CA1&CallStatus=completed");
    assert_eq!(answer.document, None);
    assert_eq!(answer.event, WebhookEvent::Status { call_sid: "CA1".into(), status: "completed".into() });
}

#[test]
fn an_event_is_one_printable_line_of_bounded_length() {
    let body = format!(
        "CallSid=%0a%1b[31m{0}&CallStatus=a%0db&From=%0a{0}&To=%00&UsageCategory=%0a{0}&CurrentValue={0}",
        "x".repeat(5000)
    );
    let all = [
        Endpoint::Outgoing,
        Endpoint::Incoming,
        Endpoint::Dialed,
        Endpoint::CalledBack,
        Endpoint::Status,
        Endpoint::Usage,
    ];
    for endpoint in all {
        let line = ask(&office::config(), endpoint, &body).event.event().to_string();
        assert!(line.len() < 400 && !line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn the_dialplan_explains_a_call_offline() {
    let config = office::config();
    let outside = explain(&config, "101", "5035551212");
    assert!(matches!(outside.route, Route::Outside { .. }));
    assert!(outside.document.to_xml().contains("<Number>+15035551212</Number>"));
    assert_eq!(outside.lines[0], "5035551212 is +15035551212, outside; the called party sees +15035550101");
    let emergency = explain(&config, "101", "933");
    assert!(emergency.lines[1].contains("+15035550101"), "{:?}", emergency.lines);
    let unknown = explain(&config, "105", "5035551212");
    assert!(unknown.document.to_xml().contains("<Reject/>"));
    assert!(unknown.lines[0].ends_with("it has 101, 102, 103, desk-one"), "{:?}", unknown.lines);
    for odd in ["", "#", "*21#", "a@b;c?d", "sip:102@host", "é"] {
        explain(&config, "101", odd);
    }
    let other = explain(&config, "101", "sip:102@host").document.to_xml();
    assert!(other.contains("sip:box-office@office.sip.twilio.com;secure=true?X-Gateway-Target=102<"), "{other}");
}

#[test]
fn the_emergency_service_s_call_back_rings_the_phone_that_called_and_then_all_others() {
    let config = office::config();
    let phone = |number: &str| Phone {
        number: number.to_owned(),
        extension: "102".into(),
        is_own: false,
        flow: None,
        address: "192.168.1.66".parse().unwrap(),
        contact: gateway_core::sip::uri::sip(Some("x"), "192.168.1.66", None),
        until: gateway_core::time::Instant::ZERO,
    };
    let base = &told(&config, &office::secrets(), &config.webhook.public_url);
    let ask = |to: &str, shown: &str| {
        let body = format!("CallSid=CA1&From=%2B15035559111&To={to}");
        let form = Form::decode(body.as_bytes()).unwrap();
        let call_back = &|number: &str| (number == shown).then(|| phone(shown));
        let (endpoint, carrier, spending) = (Endpoint::Incoming, None, &Spending::Open);
        xml(&answer(
            &config,
            &WebhookRequest { endpoint, base, form, carrier, call_back, forward: &|_| None, spending },
        ))
    };
    let first = ask("%2B15035550100", "+15035550100");
    let own = "<Sip>sip:102@office.sip.twilio.com;secure=true?X-Gateway-Call-Back=1</Sip></Dial></Response>";
    assert!(first.contains(own) && first.contains("/twilio/called-back"), "that phone alone: {first}");
    assert!(!first.contains("timeLimit"), "no rule ends it: {first}");
    let nobody = ask("%2B15035550199", "+15035550199");
    assert!(nobody.contains("X-Gateway-Call-Back=1"), "a number that rings nobody: {nobody}");
    let then = |to: &str, status: &str| {
        let body = format!("CallSid=CA1&From=%2B15035559111&CallStatus=in-progress&To={to}&DialCallStatus={status}");
        xml(&ask_form(&config, Endpoint::CalledBack, Form::decode(body.as_bytes()).unwrap()))
    };
    for status in ["no-answer", "busy", "failed"] {
        let all = then("%2B15035550100", status);
        assert!(all.contains("X-Gateway-Target=%2B15035550100") && all.contains("/twilio/dialed"), "{all}");
        assert!(!then("%2B15035550199", status).contains("<Dial"), "it rings nobody else");
    }
    assert!(then("%2B15035550100", "completed").contains("<Hangup"), "they talked");
    let elsewhere = ask("%2B15035550100", "+15035550101");
    assert!(!elsewhere.contains("X-Gateway-Call-Back"), "another number: {elsewhere}");
}

/// The answer to the end of a `<Dial>` of a call that 102 forwards to `number`.
fn forwarded(endpoint: Endpoint, number: &str, body: &str) -> String {
    let config = office::config();
    let base = &told(&config, &office::secrets(), &config.webhook.public_url);
    let forward = &|call_sid: &str| {
        (call_sid == "CA1").then(|| Forward {
            call_sid: call_sid.to_owned(),
            by: "102".to_owned(),
            number: number.to_owned(),
            from: "+12125550111".to_owned(),
            at: gateway_core::time::Instant::ZERO,
        })
    };
    let form = Form::decode(body.as_bytes()).unwrap();
    xml(&answer(
        &config,
        &WebhookRequest {
            endpoint,
            base,
            form,
            carrier: None,
            call_back: &|_| None,
            forward,
            spending: &Spending::Open,
        },
    ))
}

#[test]
fn a_call_that_a_phone_forwards_goes_on_with_the_number_of_its_caller() {
    let goes_on = |from: &str| {
        let body =
            format!("CallSid=CA1&CallStatus=ringing&DialCallStatus=no-answer&DialSipResponseCode=480&From={from}");
        forwarded(Endpoint::Dialed, "+15035551212", &body)
    };
    let number = "<Number>+15035551212</Number>";
    let with_number = goes_on("%2B12125550111");
    assert!(with_number.contains(number) && with_number.contains(r#"callerId="+12125550111""#), "{with_number}");
    assert!(with_number.contains("/twilio/forwarded") && with_number.contains("timeLimit"), "{with_number}");
    for withheld in ["anonymous", "", "%2B266696687", "101", "911"] {
        let dial = goes_on(withheld);
        assert!(dial.contains(number) && !dial.contains("callerId"), "Twilio passes on that it is withheld: {dial}");
    }
    // A call from the SIP domain shows the forwarder's number: another one is refused there.
    let from_sip = goes_on("sip%3A101%40office.sip.twilio.com");
    assert!(from_sip.contains(number) && from_sip.contains(r#"callerId="+15035550100""#), "{from_sip}");
}

#[test]
fn a_forwarded_call_ends_where_it_was_taken_or_may_not_go() {
    let busy = "CallSid=CA1&CallStatus=ringing&From=%2B12125550111&DialCallStatus=busy";
    for number in ["911", "112", "+442071838751", "+19005551212", "101", "nonsense"] {
        let dial = forwarded(Endpoint::Dialed, number, busy);
        assert!(dial.contains("Reject"), "{number}: {dial}");
    }
    for status in ["completed", "answered", "canceled"] {
        let body = format!("CallSid=CA1&From=%2B12125550111&DialCallStatus={status}");
        assert!(forwarded(Endpoint::Dialed, "+15035551212", &body).contains("Hangup"), "{status}");
    }
    assert!(
        forwarded(Endpoint::Dialed, "+15035551212", &busy.replace("CA1", "CA2")).contains("Reject"),
        "another call"
    );
    assert!(forwarded(Endpoint::Forwarded, "+15035551212", busy).contains("Reject"), "it is not forwarded twice");
}

#[test]
fn the_box_hears_which_call_rings_it_where_it_answers_for_the_end_of_it() {
    let rings =
        |config: &Config| xml(&ask(config, Endpoint::Incoming, "CallSid=CA1&From=%2B12125550111&To=%2B15035550101"));
    let mut config = office::config();
    assert!(rings(&config).contains("X-Gateway-Parent=CA1</Sip>"), "{}", rings(&config));
    let forged = xml(&ask(&config, Endpoint::Incoming, "CallSid=CA1%3F%26x&From=%2B12125550111&To=%2B15035550101"));
    assert!(!forged.contains("X-Gateway-Parent"), "{forged}");
    config.numbers[1].environment = "stage".to_owned();
    assert!(!rings(&config).contains("X-Gateway-Parent"), "another box rings: {}", rings(&config));
}

#[test]
fn a_caller_who_is_not_to_be_seen_shows_the_number_that_says_least() {
    let config = office::config();
    let shown = |extension: &str, more: &str| {
        let body = format!("CallSid=CA1&From=sip%3A{extension}%40office.sip.twilio.com&{more}");
        let document = xml(&ask(&config, Endpoint::Outgoing, &body));
        document.split("callerId=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned)
    };
    let to = "To=sip%3A5035551212%40office.sip.twilio.com";
    assert_eq!(shown("101", to).as_deref(), Some("+15035550101"));
    for more in [
        format!("{to}&SipHeader_X-Gateway-Privacy=id"),
        "To=sip%3A*675035551212%40office.sip.twilio.com".to_owned(),
        "To=sip%3A%2331%235035551212%40office.sip.twilio.com".to_owned(),
    ] {
        assert_eq!(shown("101", &more).as_deref(), Some("+15035550199"), "the one that rings nobody: {more}");
    }
    let help = "To=sip%3A*67911%40office.sip.twilio.com&SipHeader_X-Gateway-Privacy=id";
    assert_eq!(shown("101", help).as_deref(), Some("+15035550101"), "the emergency service sees the right number");
    // With one number there is nothing else to show.
    let mut one = office::config();
    one.numbers.retain(|number| number.number == "+15035550101");
    let body = format!("CallSid=CA1&From=sip%3A101%40office.sip.twilio.com&{to}&SipHeader_X-Gateway-Privacy=id");
    assert!(xml(&ask(&one, Endpoint::Outgoing, &body)).contains("+15035550101"));
}
