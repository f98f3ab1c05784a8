//! Drift: what at Twilio is not what the config says any more. The running service looks once in a while, reads only,
//! and takes no lock.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::client::logged_pause;
use super::open::{Manner, OpenError, Opening};
use crate::net::clock::Clock as TrustedClock;
use crate::store::{Store, last_good};
use gateway_account::account::{AccountError, Scope};
use gateway_core::event::{Code, Event};
use gateway_core::random::Random;
use gateway_core::time::WallClock;

/// When the first look is, counted from the start: a start is busy, and the tunnel may not be up.
const FIRST: Duration = Duration::from_secs(300);

/// A look later by chance by up to this part of the period, so that many boxes do not ask at once.
const JITTER_PART: u32 = 10;

/// Most sentences of one look that are kept and told.
pub const MAX_SENTENCES: usize = 20;

/// When looks are.
#[derive(Debug)]
pub struct Schedule(Random);

impl Schedule {
    /// The same seed gives the same times.
    pub fn new(random: Random) -> Schedule {
        Schedule(random)
    }

    /// From the start of the service to the first look: some minutes, and less where the period is less.
    pub fn first(&mut self, period: Duration) -> Duration {
        let least = FIRST.min(period);
        least + self.jitter(least)
    }

    /// From one look to the next.
    pub fn next(&mut self, period: Duration) -> Duration {
        period + self.jitter(period / JITTER_PART)
    }

    fn jitter(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.0.below(u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1)))
    }
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub at: WallClock,
    pub environment: String,
    pub found: Result<Differences, String>,
}

/// How the account differs from the config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub count: usize,
    /// What would be changed, and what no change can give; the first [`MAX_SENTENCES`].
    pub sentences: Vec<String>,
}

impl Report {
    /// What the log is told.
    pub fn events(&self) -> Vec<Event> {
        let event = |code, text: String| Event::new(code, self.environment.clone(), text);
        match &self.found {
            Err(reason) => vec![event(Code::AccountDriftFailed, reason.clone())],
            Ok(Differences { count: 0, .. }) => {
                vec![event(Code::AccountDriftNone, "the account is what the config says".to_owned())]
            }
            Ok(Differences { count, sentences }) => {
                let mut events: Vec<Event> = sentences
                    .iter()
                    .map(|one| event(Code::AccountDrift, format!("not as the config says; needed: {one}")))
                    .collect();
                let rest = match count - sentences.len() {
                    0 => "see \"gateway plan\"; \"gateway apply\" mends it".to_owned(),
                    more => format!("and {more} more; see \"gateway plan\"; \"gateway apply\" mends it"),
                };
                events.push(event(Code::AccountDrift, rest));
                events
            }
        }
    }
}

/// Why the account could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Compares what an environment and the account's shared part are with what the config file says, as `gateway plan`
/// does. Blocks for as long as Twilio takes. `tell` hears of waits.
pub fn compare(
    config: &Path,
    environment: &str,
    store: &Store,
    clock: &TrustedClock,
    mut random: Random,
    tell: impl FnMut(&str) + 'static,
) -> Result<Differences, DriftError> {
    // As the file is: what all environments share does not depend on the one that this box runs.
    let config = last_good::in_force(store, config).map_err(OpenError::Config)?;
    let (random_of_client, clock) = (Random::new(random.bytes()), clock.clone());
    let manner = Manner { token: None, random: random_of_client, clock, pause: logged_pause(tell), trace: None };
    let mut opening = Opening::of(config, store, manner)?;
    // An extension without a password is one that the account lacks, too. Nothing is saved.
    opening.mint(&mut random);
    let mut pause = std::thread::sleep;
    let mut account = opening.account(store, &mut pause);
    let plan = account.plan(&Scope::Environment(environment.to_owned()), &BTreeSet::new())?;
    let all = plan.changes.iter().map(ToString::to_string).chain(plan.problems.iter().cloned());
    Ok(Differences { count: plan.changes.len() + plan.problems.len(), sentences: all.take(MAX_SENTENCES).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_once_a_period_and_not_all_at_the_same_second() {
        let day = Duration::from_secs(86_400);
        let mut firsts = BTreeSet::new();
        for seed in 0..50 {
            let mut schedule = Schedule::new(Random::from_number(seed));
            let first = schedule.first(day);
            assert!((FIRST..=FIRST * 2).contains(&first), "{first:?}");
            firsts.insert(first);
            for _ in 0..10 {
                let next = schedule.next(day);
                assert!((day..=day + day / JITTER_PART).contains(&next), "{next:?}");
            }
        }
        assert!(firsts.len() > 40);
    }

    #[test]
    fn a_short_period_makes_the_first_look_early() {
        let minute = Duration::from_secs(60);
        let first = Schedule::new(Random::from_number(1)).first(minute);
        assert!((minute..=minute * 2).contains(&first), "{first:?}");
    }

    fn report(found: Result<Differences, String>) -> Vec<String> {
        let report = Report { at: WallClock(0), environment: "prod".to_owned(), found };
        report.events().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_difference_is_a_warning_and_their_number_has_a_bound() {
        let sentences: Vec<String> = vec!["change one".to_owned()];
        assert_eq!(
            report(Ok(Differences { count: 1, sentences: sentences.clone() })),
            [
                "account.drift prod: not as the config says; needed: change one",
                "account.drift prod: see \"gateway plan\"; \"gateway apply\" mends it",
            ]
        );
        assert!(report(Ok(Differences { count: 31, sentences }))[1].contains(": and 30 more; "));
    }

    #[test]
    fn a_look_without_differences_and_one_that_failed_are_told() {
        assert_eq!(
            report(Ok(Differences::default())),
            ["account.drift-none prod: the account is what the config says"]
        );
        assert_eq!(report(Err("no answer".to_owned())), ["account.drift-failed prod: no answer"]);
    }
}
