//! What happened, in order, for assertions and for people.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use crate::media::endpoint::Counters;
use crate::media::meter::Heard;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A TLS connection came up.
    FlowUp { flow: u64, source: String, sni: Option<String> },
    /// A TLS connection went away, or never came up.
    FlowDown { flow: u64, cause: String },
    /// A SIP message came (`arrow` `<-`) or left (`->`); bodies with keys are not kept.
    Sip { flow: u64, arrow: &'static str, line: String, call_id: String },
    /// A contact was bound.
    Registered { aor: String, contact: String, expires: u32, flow: u64 },
    /// A contact was taken away.
    Unregistered { aor: String, contact: String },
    /// A request was refused, with Twilio's error code.
    Refused { what: String, code: u16, error: String },
    /// A call came to the domain or to a number.
    CallStarted { call: String, from: String, to: String, direction: &'static str },
    /// A call that the REST API made has another status.
    CallStatus { call: String, status: String },
    /// A call is over.
    CallEnded { call: String, cause: String, counters: Option<Counters> },
    /// A webhook was asked.
    Webhook { url: String, call: String, status: u16, millis: u64, params: Vec<(String, String)> },
    /// A webhook gave no usable answer.
    WebhookFailed { url: String, call: String, error: u32, text: String },
    /// A leg to a registered contact or a PSTN party was started by a Dial.
    Dialled { call: String, target: String, caller_id: String },
    /// What became of a Dial.
    DialEnded { call: String, status: String, sip_code: Option<u16> },
    /// A PSTN party rings.
    PstnRinging { call: String, number: String, caller_id: String },
    /// A PSTN party answered.
    PstnAnswered { call: String, number: String },
    /// A PSTN party's side of a call is over.
    PstnEnded { call: String, number: String, cause: String, heard: Heard },
    /// A call to an emergency number left without a webhook.
    Emergency { call: String, number: String, caller_id: String, from_user: String },
    /// A warning or error that Twilio's debugger would show, with its code.
    Alert { code: u32, text: String },
    /// Somebody broke a rule that the simulator enforces; `rule` names the source.
    Violation { rule: String, text: String },
}

/// An event with its moment.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Milliseconds since the simulator started.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The events that are kept; older ones are dropped by halves, violations never.
const MAX_ENTRIES: usize = 200_000;

/// The record of a run.
pub struct Journal {
    start: Instant,
    entries: Mutex<Vec<Entry>>,
    length: watch::Sender<usize>,
    echo: bool,
}

impl Journal {
    /// An empty journal; with `echo` every entry is also written to stderr.
    pub fn new(echo: bool) -> Self {
        Self { start: Instant::now(), entries: Mutex::default(), length: watch::Sender::new(0), echo }
    }

    /// Milliseconds since the start, on the clock of the entries.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Writes an event down.
    pub fn write(&self, event: Event) {
        let at_ms = self.now_ms();
        if self.echo {
            eprintln!("{at_ms:>7} {event:?}");
        }
        let mut entries = self.entries.lock().expect("no holder of this lock panics");
        if entries.len() >= MAX_ENTRIES {
            let half = entries.len() / 2;
            let kept: Vec<Entry> = entries
                .drain(..)
                .enumerate()
                .filter(|(i, e)| *i >= half || matches!(e.event, Event::Violation { .. }))
                .map(|(_, e)| e)
                .collect();
            *entries = kept;
        }
        entries.push(Entry { at_ms, event });
        drop(entries);
        self.length.send_modify(|n| *n += 1);
    }

    /// Writes a broken rule down.
    pub fn violation(&self, rule: &str, text: impl Into<String>) {
        self.write(Event::Violation { rule: rule.to_owned(), text: text.into() });
    }

    /// Writes a debugger alert down.
    pub fn alert(&self, code: u32, text: impl Into<String>) {
        self.write(Event::Alert { code, text: text.into() });
    }

    /// All entries from the `from`th on.
    pub fn entries(&self, from: usize) -> Vec<Entry> {
        let entries = self.entries.lock().expect("no holder of this lock panics");
        entries.get(from..).unwrap_or(&[]).to_vec()
    }

    /// How many entries there are; a mark for `wait` and `entries`.
    pub fn mark(&self) -> usize {
        self.entries.lock().expect("no holder of this lock panics").len()
    }

    /// The broken rules, as text.
    pub fn violations(&self) -> Vec<String> {
        let entries = self.entries(0).into_iter();
        let texts = entries.filter_map(|entry| match entry.event {
            Event::Violation { rule, text } => Some(format!("{text} [{rule}]")),
            _ => None,
        });
        texts.collect()
    }

    /// Waits until `pick` finds something at or after `from`, at most `limit`.
    pub async fn wait<T>(&self, from: usize, limit: Duration, pick: impl Fn(&Entry) -> Option<T>) -> Option<T> {
        let mut changes = self.length.subscribe();
        let search = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = self.entries(from).iter().find_map(&pick) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(limit, search).await.ok()
    }
}
