//! Tells what the simulator sees, one line per event that matters to a reader.

use std::sync::Arc;
use std::time::Duration;

use twilio_simulator::journal::{Entry, Event};
use twilio_simulator::twilio::Twilio;

/// Prints events until the task is aborted.
pub async fn narrate(twilio: Arc<Twilio>) {
    let mut next = 0;
    loop {
        // `wait` returns as soon as there is an entry to tell, so the pause is only a bound.
        let _ = twilio.journal.wait(next, Duration::from_secs(3600), |_| Some(())).await;
        for entry in twilio.journal.entries(next) {
            next += 1;
            if let Some(line) = line(&entry) {
                println!("   {:>7.3} s  {line}", entry.at_ms as f64 / 1000.0);
            }
        }
    }
}

fn line(entry: &Entry) -> Option<String> {
    Some(match &entry.event {
        Event::FlowUp { flow, source, sni } => {
            format!("twilio  TLS connection {flow} from {source}, SNI {}", sni.as_deref().unwrap_or("none"))
        }
        Event::FlowDown { flow, cause } => format!("twilio  TLS connection {flow} is gone: {cause}"),
        Event::Sip { arrow, line, .. } => format!("trunk   {arrow} {line}"),
        Event::Registered { aor, expires, flow, .. } => {
            format!("twilio  {aor} registered for {expires} s on connection {flow}")
        }
        Event::Unregistered { aor, .. } => format!("twilio  {aor} unregistered"),
        Event::Refused { what, code, error } => format!("twilio  refused {what}: {code}, {error}"),
        Event::CallStarted { from, to, .. } => format!("twilio  call from {from} to {to}"),
        Event::CallStatus { status, .. } => format!("twilio  the API's call is {status}"),
        Event::CallEnded { cause, .. } => format!("twilio  leg ended: {cause}"),
        Event::Webhook { url, status, millis, .. } => format!("webhook POST {url} -> {status} in {millis} ms"),
        Event::WebhookFailed { url, error, text, .. } => format!("webhook {url} FAILED: {error} {text}"),
        Event::Dialled { target, caller_id, .. } => format!("twilio  dials {target} as {caller_id}"),
        Event::DialEnded { status, .. } => format!("twilio  Dial ended: {status}"),
        Event::PstnRinging { number, caller_id, .. } => format!("pstn    {number} rings, shows {caller_id}"),
        Event::PstnAnswered { number, .. } => format!("pstn    {number} talks"),
        Event::PstnEnded { number, cause, heard, .. } => {
            format!("pstn    {number} ended ({cause}), heard {:.0} Hz at {:.1} dBm0", heard.hertz, heard.dbm0)
        }
        Event::Emergency { number, caller_id, .. } => {
            format!("twilio  EMERGENCY {number} from {caller_id}, straight to the service")
        }
        Event::Alert { code, text } => format!("alert   {code} {text}"),
        Event::Violation { rule, text } => format!("RULE BROKEN  {text} [{rule}]"),
    })
}
