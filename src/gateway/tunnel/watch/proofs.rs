//! Proofs: our own public URL is fetched with a nonce, and what comes of it says whether Twilio can reach us.
//!
//! The rule: **a proof belongs to the URL that it came by.** What came by a former URL says nothing about the present
//! one, and a request of Twilio's says nothing about one that a tunnel has only announced: Twilio cannot know it.

use std::time::Duration;

use super::phase::{Outstanding, Phase, Trust, Up};
use super::{Output, STEADY, State, Timer, Watch};
use crate::tunnel::{Culprit, Down};
use gateway_core::event::Code;
use gateway_core::time::Instant;

/// A proof without any result counts as failed. A fetch gives up after 15 s, as Twilio does (TWILIO.md "Webhook limits").
pub(super) const PROOF_LIMIT: Duration = Duration::from_secs(17);
/// A proof that took longer is told as slow: callers hear nothing for that long.
pub const SLOW: Duration = Duration::from_secs(5);
/// Between proofs after a failed one; where nothing of ours can be restarted, as often as there were failures, and never
/// rarer than usual.
pub(super) const DOUBTFUL_EVERY: Duration = Duration::from_secs(4);
/// No proof has come through for so long, and so many have failed in a row: a connected driver is a dead one. A front
/// that answers for us in vain does so at once, and has four chances; one that swallows requests takes 15 s for each.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(12);
const DEAD_PROOFS: u32 = 2;
/// A tunnel that is not ours to restart is told as dead after so many.
const TOLD_DEAD_PROOFS: u32 = 4;
/// A tunnel that never was proved gets so long, twice as long after each restart for it, up to the bound: services
/// need time, and a restart that changes the URL begins it anew.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const MAX_PATIENCE: Duration = Duration::from_secs(480);

impl Watch {
    pub(super) fn prove(&mut self, now: Instant) {
        let Phase::Up(up) = &mut self.phase else { return };
        let nonce = self.random.hex(16);
        let url = self.urls.subject().to_owned();
        self.outputs.push_back(Output::Prove { url: url.clone(), nonce: nonce.clone() });
        up.outstanding = Some(Outstanding { nonce, url, sent: now });
        self.timers.set(Timer::ProofLimit, now + PROOF_LIMIT);
    }

    pub(super) fn forget_proof(&mut self) {
        if let Phase::Up(up) = &mut self.phase {
            up.outstanding = None;
        }
        self.timers.cancel(Timer::Prove);
        self.timers.cancel(Timer::ProofLimit);
    }

    pub(super) fn proof(&mut self, now: Instant, nonce: &str, result: Result<(), String>) {
        let Phase::Up(up) = &mut self.phase else { return };
        let Some(Outstanding { url, sent, .. }) = up.outstanding.take_if(|asked| asked.nonce == nonce) else {
            return;
        };
        self.forget_proof();
        if url != self.urls.subject() {
            return self.timers.set(Timer::Prove, now);
        }
        match result {
            Ok(()) => {
                self.figures.proofs += 1;
                let latency = now.since(sent);
                let before = self.figures.latency.replace(latency);
                self.log_slowness(before, latency);
                self.proved(now);
            }
            Err(reason) => self.unproved(now, sent, &reason),
        }
    }

    fn log_slowness(&mut self, before: Option<Duration>, latency: Duration) {
        let is_slow = latency > SLOW;
        self.figures.slow += u64::from(is_slow);
        if is_slow == before.is_some_and(|before| before > SLOW) {
            return;
        }
        let millis = latency.as_millis();
        match is_slow {
            true => {
                let text = format!(
                    "a request took {millis} ms through the tunnel: callers wait that long; look at the line's load"
                );
                self.event(Code::TunnelSlow, self.plan.driver, text);
            }
            false => self.event(Code::TunnelFast, self.plan.driver, format!("a request took {millis} ms again")),
        }
    }

    pub(super) fn request(&mut self, now: Instant, by: &str) {
        if !matches!(self.phase, Phase::Up(_)) {
            return;
        }
        if self.urls.came_in_by(by) {
            self.forget_proof();
            return self.proved(now);
        }
        if !self.urls.is_settled() || by != self.urls.present() {
            return;
        }
        let Phase::Up(up) = &self.phase else { return };
        match up.trust {
            Trust::Unproved(_) | Trust::Doubtful(_) => {
                self.forget_proof();
                self.proved(now);
            }
            // Our own proofs go on: they alone tell how long a request takes.
            Trust::Proved => self.figures.last_proof = Some(now),
        }
    }

    fn proved(&mut self, now: Instant) {
        let was = self.state();
        let Phase::Up(up) = &mut self.phase else { return };
        up.trust = Trust::Proved;
        self.figures.last_proof = Some(now);
        self.lives.never_proved = 0;
        self.adopt(now);
        if was != State::Proved {
            let gone = now.since(self.since).as_secs();
            let again = if was == State::Doubtful { format!("again, after {gone} s") } else { String::new() };
            let latency = self.figures.latency.map_or(0, |latency| latency.as_millis());
            let text = format!("Twilio can reach us {again} (a request takes {latency} ms)").replace("  ", " ");
            let url = self.urls.present().to_owned();
            self.event(Code::TunnelProved, &url, text);
            self.reason = None;
            self.entered(now, was);
        }
        // A first look soon tells a tunnel that lasts from one that flaps.
        let fresh = now.since(self.since) < STEADY;
        let wait = if fresh { self.plan.prove_every.min(STEADY) } else { self.plan.prove_every };
        self.timers.set(Timer::Prove, now + wait);
    }

    fn unproved(&mut self, now: Instant, sent: Instant, reason: &str) {
        let was = self.state();
        let Phase::Up(up) = &mut self.phase else { return };
        let failures = up.trust.fail(sent);
        let Up { began, trust, .. } = *up;
        self.figures.failures += 1;
        let url = self.urls.subject().to_owned();
        self.reason = Some(format!("{url} does not answer through the tunnel: {reason}"));
        if was == State::Proved {
            let text = format!("no answer through the tunnel: {reason}; asked again every few seconds");
            self.event(Code::TunnelDoubtful, &url, text);
            self.entered(now, was);
        }
        let is_dead = failures.count >= DEAD_PROOFS && now.since(failures.since) >= DEAD_AFTER;
        if self.plan.is_restartable && is_dead && now.since(began) >= self.patience(trust) {
            self.lives.never_proved = if trust.came_through() { 0 } else { self.lives.never_proved.saturating_add(1) };
            let failed = failures.count;
            let what = format!("connected but dead: {failed} proofs failed in a row, the last with: {reason}");
            let next = "it is started anew; if that does not help, look at the far end of the tunnel";
            return self.fail(now, Down::new(Culprit::Program, what, next));
        }
        if !self.plan.is_restartable && failures.count == TOLD_DEAD_PROOFS {
            let text = format!("still no answer: {reason}; look at what brings {url} to this box");
            self.event(Code::TunnelDead, &url, text);
        }
        let wait = DOUBTFUL_EVERY.saturating_mul(failures.count.min(100)).min(self.plan.prove_every);
        let wait = if self.plan.is_restartable { wait.min(DOUBTFUL_EVERY) } else { wait };
        self.timers.set(Timer::Prove, now + wait);
    }

    fn patience(&self, trust: Trust) -> Duration {
        match trust.came_through() {
            true => Duration::ZERO,
            false => PATIENCE.saturating_mul(1 << self.lives.never_proved.min(10)).min(MAX_PATIENCE),
        }
    }
}
