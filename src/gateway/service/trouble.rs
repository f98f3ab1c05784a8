//! What does not work now and stops nothing else: told in the log when it begins, and in `gateway status` until it is over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::net::recorder::Recorder;
use gateway_core::event::{Code, Event};

/// Between two tries to open what another program holds.
const RETRY: Duration = Duration::from_secs(2);

/// All troubles, by what they are about; all clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Rc<RefCell<BTreeMap<&'static str, String>>>);

impl Troubles {
    /// From now on, this is wrong with it. Whether that is news.
    pub fn set(&self, what: &'static str, text: String) -> bool {
        let mut troubles = self.0.borrow_mut();
        let is_news = troubles.get(what) != Some(&text);
        troubles.insert(what, text);
        is_news
    }

    /// It is right again. Whether it was not.
    pub fn clear(&self, what: &str) -> bool {
        self.0.borrow_mut().remove(what).is_some()
    }

    /// All that is wrong with it now; none: it is right.
    pub fn set_all(&self, what: &'static str, texts: &[String]) {
        match texts.is_empty() {
            true => drop(self.clear(what)),
            false => drop(self.set(what, texts.join("; "))),
        }
    }

    /// For `gateway status`.
    pub fn list(&self) -> Vec<String> {
        self.0.borrow().values().cloned().collect()
    }
}

/// Something that is opened while the rest of the service runs.
pub(super) struct Opening {
    pub troubles: Troubles,
    pub recorder: Recorder,
    /// How it is called: a key of the config, as a rule.
    pub what: &'static str,
    /// Of the event that tells of a failure.
    pub code: Code,
    pub subject: String,
    /// What a failure breaks, and what does not stop for it.
    pub breaks: &'static str,
}

impl Opening {
    /// Tries until it succeeds. The log names each kind of failure once in a row.
    pub async fn opened<T>(
        &self,
        mut open: impl AsyncFnMut() -> io::Result<T>,
        helps: impl Fn(&io::Error) -> Option<&'static str>,
    ) -> T {
        loop {
            let error = match open().await {
                Ok(opened) => {
                    self.troubles.clear(self.what);
                    return opened;
                }
                Err(error) => error,
            };
            let helps = helps(&error).map(|helps| format!("; {helps}")).unwrap_or_default();
            let text = format!(
                "{} {} cannot be opened: {}; {}; it is tried again every {} s{helps}",
                self.what,
                self.subject,
                error.kind(),
                self.breaks,
                RETRY.as_secs()
            );
            if self.troubles.set(self.what, text.clone()) {
                self.recorder.record(&Event::new(self.code, &self.subject, text));
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_news_once_and_gone_when_it_is_over() {
        let troubles = Troubles::default();
        assert!(troubles.set("webhook.listen", "taken".to_owned()));
        assert!(!troubles.clone().set("webhook.listen", "taken".to_owned()));
        assert!(troubles.set("metrics.listen", "taken".to_owned()));
        assert!(troubles.set("webhook.listen", "denied".to_owned()), "another reason is news");
        assert_eq!(troubles.list(), ["taken", "denied"]);
        assert!(troubles.clear("webhook.listen") && !troubles.clear("webhook.listen"));
        assert_eq!(troubles.list(), ["taken"]);
    }
}
