//! The running service as a whole: for `gateway status`, for metrics.

use std::rc::Rc;
use std::sync::Arc;

use super::drift::Drift;
use super::persist;
use super::trouble::Troubles;
use super::tunnel::Tunnel;
use crate::metrics::{Snapshot, exposition};
use crate::net::driver::Driver;
use crate::net::lan::Lan;
use crate::net::recorder::Recorder;
use crate::net::{http, metrics};
use crate::store::Store;
use gateway_core::status::Status;

/// Everything that has something to say of itself.
pub struct Overview {
    pub driver: Rc<Driver>,
    pub lan: Rc<Lan>,
    pub drift: Rc<Drift>,
    pub tunnel: Rc<Tunnel>,
    pub webhooks: Arc<http::Shared>,
    pub store: Store,
    pub recorder: Recorder,
    pub troubles: Troubles,
}

impl Overview {
    /// For `gateway status`.
    pub fn status(&self) -> Status {
        let mut status = self.driver.look(|engine, now| engine.status(now));
        status.lan = self.lan.status();
        status.drift = self.drift.status();
        status.clock = self.driver.clock.status();
        // In force, which one that the tunnel has only announced is not.
        status.public_url = self.tunnel.urls().into_iter().next().unwrap_or_default();
        status.tunnel = Some(self.tunnel.status());
        status.store = persist::status(&self.store);
        status.troubles.extend(self.troubles.list());
        status.upgrade = crate::upgrade::on_trial();
        status
    }

    /// For Prometheus.
    pub fn metrics(&self) -> String {
        let (sizes, calls) = self.driver.look(|engine, _| (engine.sizes(), engine.call_counts().clone()));
        exposition(&Snapshot {
            status: self.status(),
            sizes,
            calls,
            webhook: self.webhooks.counts(),
            wake_ups: self.driver.wake_ups(),
            events: self.recorder.levels(),
            history: self.recorder.len(),
            process: metrics::process(),
        })
    }
}
