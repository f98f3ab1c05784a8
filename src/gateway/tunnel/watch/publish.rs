//! What a tunnel announces, and when Twilio is told of it.
//!
//! The rules: **the first URL of a process is its URL for life; Twilio is told of a URL that is proved, while its process
//! lives, and no more often than [`WRITES`].**

use std::time::Duration;

use super::phase::Phase;
use super::{Output, Timer, Watch};
use crate::bucket::{Bucket, Rate};
use gateway_core::backoff::Backoff;
use gateway_core::event::{Code, Event, Level};
use gateway_core::time::Instant;

/// Between two tries to have Twilio know the new URL: first and longest.
const WRITE_BASE: Duration = Duration::from_secs(5);
const WRITE_MAX: Duration = Duration::from_secs(300);
/// So often at most Twilio is told of a URL, failed tries included: each is a handful of requests to its REST API.
pub(super) const WRITES: Rate = Rate { burst: 4, per_minute: 1 };

/// How the writing of the URL to Twilio stands.
#[derive(Debug)]
pub(super) struct Writing {
    pub backoff: Backoff,
    bucket: Bucket,
    /// What is being written.
    in_flight: Option<String>,
}

impl Writing {
    pub fn new() -> Self {
        Writing { backoff: Backoff::new(WRITE_BASE, WRITE_MAX), bucket: Bucket::new(WRITES), in_flight: None }
    }
}

impl Watch {
    /// The driver tells its URL; the one that it told first is kept for the life of its process. Whether there is another
    /// one to be proved.
    pub(super) fn announced(&mut self, url: &str, kept: Option<&str>) -> bool {
        if let Some(kept) = kept {
            if kept != url {
                let text = format!("a later URL of the same process is left aside: {url}; it stays {kept}");
                self.log(Event::new(Code::TunnelUrl, self.plan.driver, text).at(Level::Debug));
                if self.urls.announce_later(url) {
                    self.outputs.push_back(Output::Announced(self.urls.unproved()));
                }
            }
            return false;
        }
        if !self.urls.announce(url) {
            return false;
        }
        self.outputs.push_back(Output::Announced(self.urls.unproved()));
        // What waited to be written was the URL of a process that is gone.
        self.writing.backoff.reset();
        self.timers.cancel(Timer::Write);
        if !self.urls.is_settled() {
            let text = format!("the tunnel announces {url}; Twilio is told when it is proved");
            self.log(Event::new(Code::TunnelUrl, self.plan.driver, text).at(Level::Info));
        }
        true
    }

    /// What was to be proved has been: an announced URL becomes the public one, and Twilio is told.
    pub(super) fn adopt(&mut self, now: Instant) {
        if let Some(old) = self.urls.prove(now) {
            self.watch_expiry();
            self.outputs.push_back(Output::Urls(self.urls.all()));
            self.outputs.push_back(Output::Announced(self.urls.unproved()));
            let url = self.urls.present();
            let text = match old.as_str() {
                "" => format!("the public URL is {url}"),
                old => format!("the public URL is {url} now; it was {old}"),
            };
            self.event(Code::TunnelUrl, self.plan.driver, text);
        }
        if self.timers.get(Timer::Write).is_none() {
            self.write(now);
        }
    }

    /// Whether the URL that Twilio calls or shall call has been proved since the driver is up.
    fn is_proved_now(&self) -> bool {
        matches!(&self.phase, Phase::Up(up) if up.trust.came_through()) && self.urls.is_settled()
    }

    /// Has Twilio told what it has to be told, as often as [`WRITES`] allows.
    pub(super) fn write(&mut self, now: Instant) {
        let Some(output) = self.urls.to_write().filter(|_| self.is_proved_now()) else { return };
        if self.writing.in_flight.as_deref() == Some(self.urls.present()) {
            return;
        }
        match self.writing.bucket.take(now) {
            Ok(()) => {
                self.writing.in_flight = Some(self.urls.present().to_owned());
                self.outputs.push_back(output);
            }
            Err(wait) => {
                self.timers.set(Timer::Write, now + wait);
                let (url, seconds) = (self.urls.present().to_owned(), wait.as_secs() + 1);
                let text = format!("the URL has changed too often; Twilio is told in {seconds} s");
                self.event(Code::TunnelUrlWaits, &url, text);
            }
        }
    }

    pub(super) fn watch_expiry(&mut self) {
        match self.urls.next_expiry() {
            Some(at) => self.timers.set(Timer::Former, at),
            None => self.timers.cancel(Timer::Former),
        }
    }

    pub(super) fn written(&mut self, now: Instant, url: &str, result: Result<(), String>) {
        self.writing.in_flight.take_if(|writing| writing == url);
        match result {
            Ok(()) if self.urls.set_written(url) => {
                self.writing.backoff.reset();
                self.event(Code::TunnelUrlWritten, url, "Twilio calls this URL now");
            }
            Err(reason) if url == self.urls.present() && !matches!(self.phase, Phase::Off(_)) => {
                let again = match self.is_proved_now() {
                    true => {
                        let wait = self.writing.backoff.next(&mut self.random);
                        self.timers.set(Timer::Write, now + wait);
                        format!("in {} s", wait.as_secs())
                    }
                    false => "when the tunnel is proved".to_owned(),
                };
                let text =
                    format!("Twilio could not be told ({reason}) and still calls the former URL; tried again {again}");
                self.event(Code::TunnelUrlNotWritten, url, text);
            }
            _ => {}
        }
    }
}
