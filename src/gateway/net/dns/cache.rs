//! Answers kept: for their TTL, and beyond it for when no server answers (RFC 8767).

use std::time::Duration;

use gateway_core::dns::{DnsAnswer, DnsQuestion};
use gateway_core::time::Instant;

/// Answers kept at a time; the oldest one goes.
const MAX_ANSWERS: usize = 32;
/// An answer holds this long at least: one connection to Twilio asks the same question once.
const MIN_TTL: Duration = Duration::from_secs(5);
/// And at most.
const MAX_TTL: Duration = Duration::from_secs(3600);
/// How long an answer can stand in for servers that are silent (RFC 8767 section 4: one to three days).
const MAX_STALE: Duration = Duration::from_secs(3 * 86_400);
/// How long a stale answer is given out before the servers are asked again (section 5).
const STALE_TTL: Duration = Duration::from_secs(30);

/// What is known of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    Fresh(DnsAnswer),
    /// Past its time: better than none.
    Stale(DnsAnswer),
    Nothing,
}

/// Answers by question, in memory only.
#[derive(Debug, Default)]
pub struct Cache(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    question: DnsQuestion,
    answer: DnsAnswer,
    fresh_until: Instant,
    stale_until: Instant,
}

impl Cache {
    /// What is known at `now`.
    pub fn get(&self, question: &DnsQuestion, now: Instant) -> Known {
        match self.0.iter().find(|entry| entry.question == *question) {
            Some(entry) if now < entry.fresh_until => Known::Fresh(entry.answer.clone()),
            Some(entry) if now < entry.stale_until => Known::Stale(entry.answer.clone()),
            _ => Known::Nothing,
        }
    }

    /// Keeps what a server answered. That there is nothing is kept for silent servers only: it is asked again each time.
    pub fn put(&mut self, question: DnsQuestion, answer: DnsAnswer, ttl: Duration, now: Instant) {
        self.0.retain(|entry| entry.question != question);
        if self.0.len() >= MAX_ANSWERS {
            self.0.remove(0);
        }
        let holds = if answer.is_empty() { Duration::ZERO } else { ttl.clamp(MIN_TTL, MAX_TTL) };
        let (fresh_until, stale_until) = (now + holds, now + holds + MAX_STALE);
        self.0.push(Entry { question, answer, fresh_until, stale_until });
    }

    /// No server answered: what is known holds a little longer.
    pub fn stretch(&mut self, question: &DnsQuestion, now: Instant) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.question == *question) {
            entry.fresh_until = now + STALE_TTL;
        }
    }

    /// Other servers may know other things: all is to be asked again.
    pub fn doubt(&mut self, now: Instant) {
        for entry in &mut self.0 {
            entry.fresh_until = entry.fresh_until.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn question(name: &str) -> DnsQuestion {
        DnsQuestion::Address(name.into())
    }

    fn answer(last: u8) -> DnsAnswer {
        DnsAnswer::Address(vec![[192, 0, 2, last].into()])
    }

    fn at(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn an_answer_holds_for_its_ttl_within_bounds() {
        let mut cache = Cache::default();
        for (ttl, holds) in [(0, 5), (60, 60), (86_400, 3600)] {
            cache.put(question("a"), answer(1), Duration::from_secs(ttl), at(10));
            assert_eq!(cache.get(&question("a"), at(10 + holds - 1)), Known::Fresh(answer(1)), "{ttl}");
            assert_eq!(cache.get(&question("a"), at(10 + holds)), Known::Stale(answer(1)), "{ttl}");
        }
        assert_eq!(cache.get(&question("b"), at(10)), Known::Nothing);
        assert_eq!(cache.get(&DnsQuestion::Srv("a".into()), at(10)), Known::Nothing);
    }

    #[test]
    fn an_answer_is_forgotten_after_three_days_of_silence() {
        let mut cache = Cache::default();
        cache.put(question("a"), answer(1), HOUR, at(0));
        let end = 3600 + 3 * 86_400;
        assert_eq!(cache.get(&question("a"), at(end - 1)), Known::Stale(answer(1)));
        assert_eq!(cache.get(&question("a"), at(end)), Known::Nothing);
    }

    #[test]
    fn silent_servers_are_left_alone_for_half_a_minute() {
        let mut cache = Cache::default();
        cache.put(question("a"), answer(1), HOUR, at(0));
        cache.stretch(&question("a"), at(4000));
        assert_eq!(cache.get(&question("a"), at(4029)), Known::Fresh(answer(1)));
        assert_eq!(cache.get(&question("a"), at(4030)), Known::Stale(answer(1)));
    }

    #[test]
    fn that_there_is_nothing_is_asked_again_and_stands_in_for_silent_servers() {
        let mut cache = Cache::default();
        cache.put(DnsQuestion::Naptr("a".into()), DnsAnswer::Naptr(vec![]), HOUR, at(0));
        assert_eq!(cache.get(&DnsQuestion::Naptr("a".into()), at(0)), Known::Stale(DnsAnswer::Naptr(vec![])));
    }

    #[test]
    fn with_other_servers_everything_is_asked_again() {
        let mut cache = Cache::default();
        cache.put(question("a"), answer(1), HOUR, at(0));
        cache.doubt(at(60));
        assert_eq!(cache.get(&question("a"), at(60)), Known::Stale(answer(1)));
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_answer_goes() {
        let mut cache = Cache::default();
        for n in 0..1000 {
            cache.put(question(&n.to_string()), answer(1), HOUR, at(0));
        }
        assert_eq!(cache.0.len(), MAX_ANSWERS);
        assert_eq!(cache.get(&question("967"), at(0)), Known::Nothing);
        assert_eq!(cache.get(&question("968"), at(0)), Known::Fresh(answer(1)));
    }
}
