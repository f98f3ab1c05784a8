//! TwiML and webhooks, driven by PSTN callers.

mod common;

use std::sync::Arc;

use common::*;
use twilio_simulator::journal::Event;
use twilio_simulator::pstn::{self, Outcome, Party};
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::Twilio;
use twilio_simulator::webhook::signature::sign;

const CALLER: &str = "+15035550199";

async fn call(twilio: &Arc<Twilio>, hang_up_after_ms: u64) -> Outcome {
    let party = Party { hang_up_after_ms: Some(hang_up_after_ms), ..Party::default() };
    pstn::call(twilio.clone(), CALLER.to_owned(), NUMBER.to_owned(), party, LIMIT).await
}

fn field(seen: &Seen, path: &str, name: &str) -> Option<String> {
    let seen = seen.lock().unwrap();
    let (_, _, form) = seen.iter().find(|(p, _, _)| p == path)?;
    form.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
}

fn alerts(twilio: &Twilio) -> Vec<u32> {
    let entries = twilio.journal.entries(0).into_iter();
    entries.filter_map(|e| if let Event::Alert { code, .. } = e.event { Some(code) } else { None }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_far_end_is_told_to_the_action() {
    let twilio = start(Switches::default()).await;
    let dial =
        "<Response><Dial answerOnBridge=\"true\" action=\"after?x=1\"><Number>+15035551212</Number></Dial></Response>";
    let (base, seen) =
        hooks(&[("/in", dial.to_owned()), ("/after?x=1", "<Response><Reject reason='busy'/></Response>".to_owned())])
            .await;
    configure(&twilio, true, &base).await;
    twilio.pstn().connect("+15035551212", Party { busy: true, ..Party::default() });
    let outcome = call(&twilio, 1000).await;
    assert_eq!((outcome.answered, outcome.cause.as_str()), (false, "busy"));
    assert_eq!(field(&seen, "/after?x=1", "DialCallStatus").as_deref(), Some("busy"));
    assert_eq!(field(&seen, "/after?x=1", "DialBridged").as_deref(), Some("false"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_webhook_is_followed_by_the_fallback_with_the_error() {
    let twilio = start(Switches::default()).await;
    let (base, seen) = hooks(&[("/fallback", "<Response><Hangup/></Response>".to_owned())]).await;
    configure(&twilio, true, &base).await;
    let (_, apps) = rest(&twilio, "GET", "Applications.json", &[]).await;
    let path = format!("Applications/{}.json", apps["applications"][0]["sid"].as_str().unwrap());
    rest(&twilio, "POST", &path, &[("VoiceFallbackUrl", &format!("{base}/fallback"))]).await;
    let outcome = call(&twilio, 5000).await;
    assert!(outcome.answered, "Hangup as the first verb answers");
    assert_eq!(field(&seen, "/fallback", "ErrorCode").as_deref(), Some("11200"));
    assert_eq!(field(&seen, "/fallback", "ErrorUrl"), Some(format!("{base}/in")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_id_that_is_not_ours_fails_the_dial() {
    let twilio = start(Switches::default()).await;
    let dial = "<Response><Dial callerId='+15559999999' action='/after'>+15035551212</Dial></Response>";
    let (base, seen) = hooks(&[("/in", dial.to_owned()), ("/after", "<Response/>".to_owned())]).await;
    configure(&twilio, true, &base).await;
    twilio.pstn().connect("+15035551212", Party::default());
    call(&twilio, 5000).await;
    assert_eq!(field(&seen, "/after", "DialCallStatus").as_deref(), Some("failed"));
    assert!(alerts(&twilio).contains(&13214));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_user_and_a_number_of_nobody_fail() {
    for (noun, alert) in [
        (format!("<Sip>sip:102@{DOMAIN};secure=true</Sip>"), 32009),
        ("<Number>+15035550000</Number>".to_owned(), 13224),
    ] {
        let twilio = start(Switches::default()).await;
        let redirect = "<Response><Redirect>/next</Redirect></Response>".to_owned();
        let dial = format!("<Response><Dial answerOnBridge='true' action='/after'>{noun}</Dial></Response>");
        let (base, seen) = hooks(&[("/in", redirect), ("/next", dial), ("/after", "<Response/>".to_owned())]).await;
        configure(&twilio, true, &base).await;
        let outcome = call(&twilio, 5000).await;
        assert!(!outcome.answered);
        assert_eq!(field(&seen, "/after", "DialCallStatus").as_deref(), Some("failed"));
        assert!(alerts(&twilio).contains(&alert), "{:?}", alerts(&twilio));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_an_own_number_comes_back_in_and_is_heard_through() {
    let twilio = start(Switches::default()).await;
    let second = "+15035550102";
    twilio.store().seed_number(second);
    let dial = format!("<Response><Dial answerOnBridge='true'>{second}</Dial></Response>");
    let (base, _) =
        hooks(&[("/in", dial), ("/second", "<Response><Dial>+15035551212</Dial></Response>".to_owned())]).await;
    configure(&twilio, true, &base).await;
    let sid = twilio.store().number(second).unwrap().sid;
    let path = format!("IncomingPhoneNumbers/{sid}.json");
    assert_eq!(rest(&twilio, "POST", &path, &[("VoiceUrl", &format!("{base}/second"))]).await.0, 200);
    twilio.pstn().connect("+15035551212", Party { tone_hz: 1500.0, answer_after_ms: 50, ..Party::default() });
    let outcome = call(&twilio, 2000).await;
    assert!(outcome.answered && outcome.heard.is_tone(1500.0), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_on_command_hits_just_so_many_requests() {
    let twilio = start(Switches { retry_after: true, ..Switches::default() }).await;
    let fault = serde_json::from_str("{\"status\":429,\"code\":20429,\"count\":2,\"after\":1}").unwrap();
    twilio.store().faults.push(fault);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(rest(&twilio, "GET", "Balance.json", &[]).await.0);
    }
    assert_eq!(statuses, [200, 429, 429, 200]);
    assert_eq!(twilio.store().counts(0), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_a_url_are_shown_to_its_server_and_not_signed() {
    let twilio = start(Switches::default()).await;
    let (base, seen) = hooks(&[("/in", "<Response><Redirect>/next</Redirect></Response>".to_owned())]).await;
    configure(&twilio, true, &base.replace("://", "://twilio:Sesame1@")).await;
    call(&twilio, 5000).await;
    let seen = seen.lock().unwrap();
    // A relative address is found from the URL as it was set, credentials included.
    assert_eq!(seen.iter().map(|(path, _, _)| path.as_str()).collect::<Vec<_>>(), ["/in", "/next"]);
    for (path, headers, form) in seen.iter() {
        assert_eq!(headers.get("authorization").map(String::as_str), Some("Basic dHdpbGlvOlNlc2FtZTE="), "{path}");
        let signature = sign(&twilio.account.token, &format!("{base}{path}"), form);
        assert_eq!(headers.get("x-twilio-signature"), Some(&signature), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_account_rings_one_sip_noun_of_a_dial_in_each_variant() {
    let sip = |user: &str| format!("<Sip>sip:{user}@{DOMAIN}</Sip>");
    let number = "<Number>+15035551212</Number>".to_owned();
    let two = format!("{}{}", sip("101"), sip("102"));
    let mixed = format!("{}{number}", sip("101"));
    let numbers = format!("{number}<Number>+15035551213</Number>");
    let off = Switches::default();
    let fails = Switches { second_sip_fails: true, ..off.clone() };
    let beside = Switches { sip_beside_number: true, ..off.clone() };
    let on = Switches { enhanced_sip: true, ..off.clone() };
    for (switches, nouns, rung) in [
        (&off, &two, 1),
        (&off, &mixed, 1),
        (&off, &numbers, 2),
        (&fails, &two, 0),
        (&fails, &mixed, 0),
        (&fails, &numbers, 2),
        (&beside, &mixed, 2),
        (&beside, &two, 1),
        (&on, &two, 2),
        (&on, &mixed, 2),
    ] {
        let twilio = start(switches.clone()).await;
        let dial = format!("<Response><Dial answerOnBridge=\"true\" callerId=\"{NUMBER}\">{nouns}</Dial></Response>");
        let (base, _) = hooks(&[("/in", dial)]).await;
        configure(&twilio, true, &base).await;
        call(&twilio, 300).await;
        let entries = twilio.journal.entries(0).into_iter();
        let dialled = entries.filter(|entry| matches!(entry.event, Event::Dialled { .. })).count();
        assert_eq!(dialled, rung, "{nouns} {switches:?}");
        assert_eq!(alerts(&twilio).contains(&13215), rung < nouns.matches("</").count(), "{nouns}");
    }
}
