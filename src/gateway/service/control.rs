//! What the control socket is asked, and who answers.

use std::rc::Rc;

use super::drift::Drift;
use super::reload::Reloader;
use super::spend::Spend;
use super::status::Overview;
use crate::net::control_socket::Ask;
use crate::net::recorder::Recorder;

/// Those who know the answers.
#[derive(Clone)]
pub struct Control {
    pub reloader: Rc<Reloader>,
    pub drift: Rc<Drift>,
    pub overview: Rc<Overview>,
    pub recorder: Recorder,
    pub spend: Rc<Spend>,
}

impl Control {
    /// The answer, as JSON or as lines.
    pub async fn answer(self, ask: Ask) -> String {
        match ask {
            Ask::Status => {}
            Ask::Reload => return self.reloader.reload(),
            Ask::Drift => self.drift.look(&self.reloader.drift_wanted().environment).await,
            Ask::History => return self.recorder.lines(),
            Ask::Metrics => return self.overview.metrics(),
            Ask::Spend => return self.spend.told(),
            Ask::SpendResume => return self.spend.resume(),
        }
        serde_json::to_string(&self.overview.status()).unwrap_or_else(|error| error.to_string())
    }
}
