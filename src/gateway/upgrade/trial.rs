//! Whether a new binary is healthy: a pure judge of what is seen of it.

use std::time::Duration;

/// How long it must be healthy, all in one life: one that answers and falls over is not.
pub const STEADY: Duration = Duration::from_secs(5);

/// What was healthy before the upgrade, and must be again. What was down before is not the new binary's doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Whether the flow to Twilio was up.
    pub trunk: bool,
    /// How many extensions were registered at Twilio.
    pub registered: usize,
}

/// What is seen of the service at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It does not answer on the control socket: why.
    Silent(String),
    Answers(Seen),
}

/// What a service that answers shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Process id: a life.
    pub pid: u32,
    /// Whether this process is the binary that shall run, and not the former one that is about to stop.
    pub is_new: bool,
    /// The first address at which handsets are not answered.
    pub deaf: Option<String>,
    /// Why the flow to Twilio is not up.
    pub trunk_down: Option<String>,
    /// Extensions that are registered at Twilio.
    pub registered: usize,
}

impl Before {
    /// What a service has.
    pub fn of(look: &Look) -> Before {
        match look {
            Look::Silent(_) => Before::default(),
            Look::Answers(seen) => Before { trunk: seen.trunk_down.is_none(), registered: seen.registered },
        }
    }

    /// What is missing yet; `None` is healthy.
    pub fn missing(&self, look: &Look) -> Option<String> {
        let seen = match look {
            Look::Silent(why) => return Some(why.clone()),
            Look::Answers(seen) => seen,
        };
        if !seen.is_new {
            return Some("the former process has not stopped yet".to_owned());
        }
        if let Some(address) = &seen.deaf {
            return Some(format!("handsets are not answered at {address}"));
        }
        if !self.trunk {
            return None;
        }
        if let Some(reason) = &seen.trunk_down {
            return Some(format!("the trunk was up before and is not: {reason}"));
        }
        match seen.registered >= self.registered {
            true => None,
            false => {
                Some(format!("{} of {} extensions are registered at Twilio again", seen.registered, self.registered))
            }
        }
    }
}

/// What becomes of the new binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Wait,
    Keep,
    /// The old one shall come back: why.
    Return(String),
}

/// Looks at a binary on trial until it is clear what becomes of it.
#[derive(Debug)]
pub struct Judge {
    before: Before,
    within: Duration,
    /// The life that is healthy, and since when.
    healthy: Option<(u32, Duration)>,
    /// What was missing last, for the reason.
    missing: String,
}

impl Judge {
    /// `within`: how long the new binary has to become healthy.
    pub fn new(before: Before, within: Duration) -> Judge {
        Judge { before, within, healthy: None, missing: "it has not been seen".to_owned() }
    }

    /// One look; `elapsed` is the time since the trial, or this boot, began.
    pub fn look(&mut self, elapsed: Duration, look: &Look) -> Verdict {
        match (self.before.missing(look), look) {
            (None, Look::Answers(Seen { pid, .. })) => {
                let since = match self.healthy {
                    Some((life, since)) if life == *pid => since,
                    _ => elapsed,
                };
                self.healthy = Some((*pid, since));
                if elapsed.saturating_sub(since) >= STEADY {
                    return Verdict::Keep;
                }
                self.missing = "it does not stay up".to_owned();
            }
            (missing, _) => {
                self.healthy = None;
                self.missing = missing.unwrap_or_default();
            }
        }
        // One that became healthy in time has the few seconds to prove it.
        let limit = if self.healthy.is_some() { self.within + STEADY } else { self.within };
        match elapsed >= limit {
            true => Verdict::Return(format!("not healthy within {} s: {}", self.within.as_secs(), self.missing)),
            false => Verdict::Wait,
        }
    }

    /// What is missing at the moment, for people who wait.
    pub fn missing(&self) -> &str {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(60);
    const BEFORE: Before = Before { trunk: true, registered: 2 };

    fn seen(pid: u32) -> Seen {
        Seen { pid, is_new: true, deaf: None, trunk_down: None, registered: 2 }
    }

    fn healthy(pid: u32) -> Look {
        Look::Answers(seen(pid))
    }

    /// Looks once a second at what `at` shows; the verdict and when it came.
    fn judged(before: Before, at: impl Fn(u64) -> Look) -> (Verdict, u64) {
        let mut judge = Judge::new(before, WITHIN);
        for second in 0.. {
            match judge.look(Duration::from_secs(second), &at(second)) {
                Verdict::Wait => {}
                verdict => return (verdict, second),
            }
        }
        unreachable!("the loop ends by its verdict")
    }

    fn returned(before: Before, at: impl Fn(u64) -> Look) -> String {
        match judged(before, at) {
            (Verdict::Return(reason), 60) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_that_is_healthy_for_some_seconds_is_kept() {
        assert_eq!(judged(BEFORE, |_| healthy(7)), (Verdict::Keep, 5));
    }

    #[test]
    fn one_that_never_answers_returns_when_its_time_is_over() {
        let reason = returned(BEFORE, |_| Look::Silent("no answer".to_owned()));
        assert_eq!(reason, "not healthy within 60 s: no answer");
    }

    #[test]
    fn one_that_answers_and_falls_over_again_and_again_returns() {
        let (verdict, second) = judged(BEFORE, |second| healthy(u32::try_from(second / 3).unwrap()));
        assert_eq!(verdict, Verdict::Return("not healthy within 60 s: it does not stay up".to_owned()));
        assert_eq!(second, 65);
    }

    #[test]
    fn one_that_is_healthy_in_its_last_second_has_the_time_to_prove_it() {
        let late = |second| if second < 59 { Look::Silent(String::new()) } else { healthy(7) };
        assert_eq!(judged(BEFORE, late), (Verdict::Keep, 64));
    }

    #[test]
    fn the_old_process_that_has_not_stopped_yet_proves_nothing() {
        let reason = returned(BEFORE, |_| Look::Answers(Seen { is_new: false, ..seen(7) }));
        assert!(reason.ends_with("the former process has not stopped yet"), "{reason}");
    }

    #[test]
    fn handsets_that_are_not_answered_are_reason_enough_even_without_a_trunk() {
        let deaf = || Look::Answers(Seen { deaf: Some("192.168.1.1:5060".to_owned()), ..seen(7) });
        for before in [BEFORE, Before::default()] {
            assert!(returned(before, |_| deaf()).ends_with("handsets are not answered at 192.168.1.1:5060"));
        }
    }

    #[test]
    fn a_trunk_that_was_up_must_be_up_and_one_that_was_down_need_not() {
        let down = || Look::Answers(Seen { trunk_down: Some("no DNS".to_owned()), registered: 0, ..seen(7) });
        assert!(returned(BEFORE, |_| down()).ends_with("the trunk was up before and is not: no DNS"));
        assert_eq!(judged(Before { trunk: false, registered: 2 }, |_| down()).0, Verdict::Keep);
    }

    #[test]
    fn as_many_extensions_as_before_must_be_registered_again() {
        let now = |registered| Look::Answers(Seen { registered, ..seen(7) });
        assert!(returned(BEFORE, |_| now(1)).ends_with("1 of 2 extensions are registered at Twilio again"));
        assert_eq!(judged(BEFORE, |_| now(3)).0, Verdict::Keep);
        assert_eq!(judged(Before { trunk: true, registered: 0 }, |_| now(0)).0, Verdict::Keep);
    }

    #[test]
    fn what_was_there_before_is_read_from_a_look() {
        assert_eq!(Before::of(&healthy(1)), BEFORE);
        assert_eq!(Before::of(&Look::Silent(String::new())), Before::default());
    }
}
