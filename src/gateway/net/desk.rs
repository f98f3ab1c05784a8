//! What the control socket is asked, and who answers.

use std::rc::Rc;

use super::control::Ask;
use super::drift::Drift;
use super::picture::Picture;
use super::recorder::Recorder;
use super::reload::Reloader;

/// Those who know the answers.
#[derive(Clone)]
pub struct Desk {
    pub reloader: Rc<Reloader>,
    pub drift: Rc<Drift>,
    pub picture: Rc<Picture>,
    pub recorder: Recorder,
}

impl Desk {
    /// The answer, as JSON or as lines.
    pub async fn answer(self, ask: Ask) -> String {
        match ask {
            Ask::Status => {}
            Ask::Reload => return self.reloader.reload(),
            Ask::Drift => self.drift.look(&self.reloader.drift_wanted().environment).await,
            Ask::History => return self.recorder.lines(),
            Ask::Metrics => return self.picture.metrics(),
        }
        serde_json::to_string(&self.picture.status()).unwrap_or_else(|error| error.to_string())
    }
}
