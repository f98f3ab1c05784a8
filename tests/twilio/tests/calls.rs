//! Calls that the REST API makes, and the status that it shows of them.

mod common;

use common::{Client, DOMAIN, LIMIT, NUMBER, PASSWORD, configure, hooks, rest, start};
use serde_json::Value;
use twilio_simulator::journal::Event;
use twilio_simulator::pstn::Party;
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::Twilio;

const PARTY: &str = "+12065550123";

async fn make(twilio: &Twilio, fields: &[(&str, &str)]) -> String {
    let (status, call) = rest(twilio, "POST", "Calls.json", fields).await;
    assert_eq!((status, call["status"].as_str()), (201, Some("queued")), "{call}");
    call["sid"].as_str().unwrap().to_owned()
}

/// The call's record once it is over.
async fn over(twilio: &Twilio, sid: &str) -> Value {
    let ended = |event: &Event| matches!(event, Event::CallEnded { call, .. } if call == sid);
    twilio.journal.wait(0, LIMIT, |e| ended(&e.event).then_some(())).await.expect("the call ends");
    rest(twilio, "GET", &format!("Calls/{sid}.json"), &[]).await.1
}

/// Waits until the call has that status.
async fn becomes(twilio: &Twilio, sid: &str, wanted: &str) {
    let is = |event: &Event| matches!(event, Event::CallStatus { call, status } if call == sid && status == wanted);
    twilio.journal.wait(0, LIMIT, |e| is(&e.event).then_some(())).await.expect(wanted);
    let call = rest(twilio, "GET", &format!("Calls/{sid}.json"), &[]).await.1;
    assert_eq!(call["status"], wanted);
}

#[tokio::test]
async fn a_call_to_a_party_runs_its_document_when_it_answers() {
    let twilio = start(Switches::default()).await;
    let (hook, seen) = hooks(&[("/status", String::new())]).await;
    twilio.pstn().connect(PARTY, Party { answer_after_ms: 20, ..Party::default() });
    let twiml = "<Response><Say>hi</Say></Response>";
    let url = format!("{hook}/status");
    let fields = [
        ("To", PARTY),
        ("From", NUMBER),
        ("Twiml", twiml),
        ("StatusCallback", &url),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
    ];
    let sid = make(&twilio, &fields).await;
    let call = over(&twilio, &sid).await;
    assert_eq!((call["status"].as_str(), call["duration"].as_str()), (Some("completed"), Some("0")), "{call}");
    let told =
        |event: &Event| matches!(event, Event::Webhook { params, .. } if params.iter().any(|(_, v)| v == "completed"));
    twilio.journal.wait(0, LIMIT, |e| told(&e.event).then_some(())).await.expect("the last callback");
    let states: Vec<String> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(_, _, form)| form.iter().find(|(n, _)| n == "CallStatus").unwrap().1.clone())
        .collect();
    assert_eq!(states, ["ringing", "in-progress", "completed"]);
    let (_, list) = rest(&twilio, "GET", "Calls.json?Status=completed", &[]).await;
    assert_eq!(list["calls"][0]["sid"], sid.as_str());
}

#[tokio::test]
async fn busy_parties_and_unknown_numbers_are_told_apart() {
    let twilio = start(Switches::default()).await;
    twilio.pstn().connect(PARTY, Party { busy: true, ..Party::default() });
    for (to, expected) in [(PARTY, "busy"), ("+12065550999", "failed")] {
        let sid = make(&twilio, &[("To", to), ("From", NUMBER), ("Twiml", "<Response/>")]).await;
        assert_eq!(over(&twilio, &sid).await["status"], expected);
    }
}

#[tokio::test]
async fn a_live_call_is_completed_and_a_ringing_one_canceled() {
    let twilio = start(Switches::default()).await;
    twilio.pstn().connect(PARTY, Party { no_answer: true, ..Party::default() });
    let long = "<Response><Pause length=\"60\"/></Response>";
    let sid = make(&twilio, &[("To", PARTY), ("From", NUMBER), ("Twiml", long)]).await;
    let ringing = |event: &Event| matches!(event, Event::PstnRinging { call, .. } if *call == sid);
    twilio.journal.wait(0, LIMIT, |e| ringing(&e.event).then_some(())).await.expect("it rings");
    let path = format!("Calls/{sid}.json");
    assert_eq!(rest(&twilio, "POST", &path, &[("Status", "canceled")]).await.0, 200);
    assert_eq!(over(&twilio, &sid).await["status"], "canceled");
    let (code, body) = rest(&twilio, "POST", &path, &[("Status", "completed")]).await;
    assert_eq!((code, body["code"].as_u64()), (400, Some(21220)));

    twilio.pstn().connect(PARTY, Party { answer_after_ms: 10, ..Party::default() });
    let sid = make(&twilio, &[("To", PARTY), ("From", NUMBER), ("Twiml", long)]).await;
    let path = format!("Calls/{sid}.json");
    becomes(&twilio, &sid, "in-progress").await;
    assert_eq!(rest(&twilio, "POST", &path, &[("Status", "canceled")]).await.0, 400);
    assert_eq!(rest(&twilio, "POST", &path, &[("Twiml", "<Response><Hangup/></Response>")]).await.0, 200);
    assert_eq!(over(&twilio, &sid).await["status"], "completed");
}

#[tokio::test]
async fn a_registered_contact_rings_and_an_unregistered_one_fails_with_32009() {
    let twilio = start(Switches::default()).await;
    let (hook, _) = hooks(&[]).await;
    configure(&twilio, false, &hook).await;
    let to = format!("sip:101@{DOMAIN}");
    let fields = [("To", to.as_str()), ("From", "desk"), ("Twiml", "<Response/>")];
    let sid = make(&twilio, &fields).await;
    assert_eq!(over(&twilio, &sid).await["status"], "failed");
    let alerts = twilio.journal.entries(0).into_iter().filter(|e| matches!(e.event, Event::Alert { code: 32009, .. }));
    assert_eq!(alerts.count(), 1);

    let mut client = Client::connect(&twilio, "101").await;
    assert_eq!(client.register(3600, PASSWORD).await.code(), 200);
    let sid = make(&twilio, &fields).await;
    let invite = client.next().await.expect("an INVITE");
    assert_eq!(invite.method(), "INVITE");
    assert_eq!(invite.get("X-Twilio-CallSid"), Some(sid.as_str()));
    let tagged =
        |code, reason| twilio_simulator::sip::message::Message::response(&invite, code, reason).with_to_tag("callee");
    client.send(&tagged(180, "Ringing")).await;
    becomes(&twilio, &sid, "ringing").await;
    client.send(&tagged(486, "Busy Here")).await;
    assert_eq!(client.next().await.expect("an ACK").method(), "ACK");
    assert_eq!(over(&twilio, &sid).await["status"], "busy");
}

#[tokio::test]
async fn an_order_for_a_call_that_cannot_be_has_its_code() {
    let twilio = start(Switches::default()).await;
    let long = "x".repeat(4001);
    let cases: [(&[(&str, &str)], u64); 6] = [
        (&[("From", NUMBER), ("Twiml", "<Response/>")], 21201),
        (&[("To", PARTY), ("Twiml", "<Response/>")], 21213),
        (&[("To", PARTY), ("From", NUMBER)], 21205),
        (&[("To", "12"), ("From", NUMBER), ("Twiml", "<Response/>")], 21211),
        (&[("To", PARTY), ("From", PARTY), ("Twiml", "<Response/>")], 21210),
        (&[("To", PARTY), ("From", NUMBER), ("Twiml", &long)], 32018),
    ];
    for (fields, code) in cases {
        let (status, body) = rest(&twilio, "POST", "Calls.json", fields).await;
        assert_eq!((status, body["code"].as_u64()), (400, Some(code)), "{fields:?}");
    }
}
