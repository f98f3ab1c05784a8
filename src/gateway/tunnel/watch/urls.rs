//! The public URL, the one that a tunnel has announced, the one that Twilio has been told, and those that were.
//!
//! The rule: **an announced URL is nothing to anybody until it is proved.** Our own proof proves it, or a request that Twilio
//! signed over it: nobody else has the token. Until then no document names it and Twilio is not told of it.

use std::time::Duration;

use super::Output;
use gateway_core::time::Instant;
use gateway_core::url::is_same;

/// How long a former URL is still good for signatures: Twilio asks the URLs of a call's documents until it ends, and
/// calls are an hour long at most by default.
const FORMER_FOR: Duration = Duration::from_secs(3600);

/// Most former URLs; the oldest goes first.
const MAX_FORMER: usize = 8;

/// Most later URLs of one process; the oldest goes first.
const MAX_LATER: usize = 4;

/// The URLs.
#[derive(Debug)]
pub(super) struct Urls {
    /// What documents name, and what Twilio has or shall have.
    present: String,
    /// What the running tunnel says that it is, until that is proved.
    announced: Option<String>,
    /// What the same process said after that. Only a request of Twilio's proves one of these.
    later: Vec<String>,
    /// What Twilio has.
    written: String,
    former: Vec<(String, Instant)>,
}

impl Urls {
    pub fn new(url: &str) -> Self {
        Urls {
            present: url.to_owned(),
            announced: None,
            later: Vec::new(),
            written: url.to_owned(),
            former: Vec::new(),
        }
    }

    pub fn present(&self) -> &str {
        &self.present
    }

    /// What is to be proved: the announced one, or else the present one.
    pub fn subject(&self) -> &str {
        self.announced.as_deref().unwrap_or(&self.present)
    }

    /// Whether what is to be proved is no announced URL but the present one.
    pub fn is_settled(&self) -> bool {
        self.announced.is_none()
    }

    /// The tunnel says what its URL is. Whether it is to be proved anew.
    pub fn announce(&mut self, url: &str) -> bool {
        let is_news = !is_same(url, self.subject());
        self.later.clear();
        self.announced = (!is_same(url, &self.present)).then(|| url.to_owned());
        is_news
    }

    /// The same process says another one. Whether that is news.
    pub fn announce_later(&mut self, url: &str) -> bool {
        if is_same(url, &self.present) || self.is_unproved(url) {
            return false;
        }
        if self.later.len() == MAX_LATER {
            self.later.remove(0);
        }
        self.later.push(url.to_owned());
        true
    }

    fn is_unproved(&self, url: &str) -> bool {
        self.announced.iter().chain(&self.later).any(|unproved| is_same(unproved, url))
    }

    /// Those that a request of Twilio's would prove.
    pub fn unproved(&self) -> Vec<String> {
        self.announced.iter().chain(&self.later).cloned().collect()
    }

    /// A request of Twilio's came in by this one. Whether it was unproved; it is what is to be proved then.
    pub fn came_in_by(&mut self, url: &str) -> bool {
        let is_unproved = self.is_unproved(url);
        if is_unproved {
            self.later.retain(|later| !is_same(later, url));
            self.announced = Some(url.to_owned());
        }
        is_unproved
    }

    /// What is to be proved has been. The URL that was present before, if that is another one.
    pub fn prove(&mut self, now: Instant) -> Option<String> {
        let url = self.announced.take()?;
        let old = self.present.clone();
        self.change(now, &url).then_some(old)
    }

    /// The present one first.
    pub fn all(&self) -> Vec<String> {
        std::iter::once(&self.present).chain(self.former.iter().map(|(url, _)| url)).cloned().collect()
    }

    /// Whether it is another one.
    pub fn change(&mut self, now: Instant, url: &str) -> bool {
        if url == self.present {
            return false;
        }
        let old = std::mem::replace(&mut self.present, url.to_owned());
        self.former.retain(|(former, _)| former != url && *former != old);
        if self.former.len() == MAX_FORMER
            && let Some(oldest) = self.former.iter().position(|(former, _)| *former != self.written)
        {
            self.former.remove(oldest);
        }
        // Before the first one there was none.
        if !old.is_empty() {
            self.former.push((old, now + FORMER_FOR));
        }
        true
    }

    /// What Twilio has to be told, if anything: never an announced URL.
    pub fn to_write(&self) -> Option<Output> {
        (self.written != self.present)
            .then(|| Output::UrlChanged { old: self.written.clone(), new: self.present.clone() })
    }

    /// Twilio has been told. Whether that is the present one and news.
    pub fn set_written(&mut self, url: &str) -> bool {
        let is_news = self.written != url;
        self.written = url.to_owned();
        is_news && url == self.present
    }

    pub fn next_expiry(&self) -> Option<Instant> {
        self.former.iter().map(|(_, until)| *until).min()
    }

    /// Whether one went. What Twilio still calls never goes.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.former.len();
        self.former.retain_mut(|(url, until)| {
            if *until <= now && *url == self.written {
                *until = now + FORMER_FOR;
            }
            *until > now
        });
        self.former.len() != before
    }
}
