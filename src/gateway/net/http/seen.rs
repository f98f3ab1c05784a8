//! Which signed requests came before. Pure.
//!
//! A request is fresh when its signature was not seen before: the signature covers the URL with the CallSid and all other
//! fields, so that nobody but Twilio can make another one. The idempotency token is no part of it, for no signature covers
//! a header. Twilio repeats a request when its answer is late; that one is answered like the first. So is one that a
//! stranger captured; but neither is new proof that Twilio is at the other end.

use std::collections::HashMap;
use std::mem;

/// Most requests that are remembered: those of a thousand calls at least, in some 200 kB. One that comes again is
/// remembered as if it were new, so that a replay that goes on is not forgotten.
pub const MAX_SEEN: usize = 8192;

/// So often a request may come again before it is nobody's late answer any more: Twilio repeats it a few times at most.
pub const USUAL_REPEATS: u8 = 4;

/// What stands for a request: the octets of its signature, or of a digest.
pub type Mark = [u8; 20];

/// The marks of requests with how often they came, in two generations: when the younger is full, it takes the place of the
/// older.
#[derive(Debug, Default)]
pub struct Seen {
    young: HashMap<Mark, u8>,
    old: HashMap<Mark, u8>,
}

impl Seen {
    /// How often it came so far.
    pub fn times(&self, mark: &Mark) -> u8 {
        self.young.get(mark).or_else(|| self.old.get(mark)).copied().unwrap_or_default()
    }

    /// Remembers a request that is Twilio's. Whether it is fresh.
    pub fn is_fresh(&mut self, mark: Mark) -> bool {
        let times = self.times(&mark);
        let is_new = self.young.insert(mark, times.saturating_add(1)).is_none();
        if is_new && self.young.len() >= MAX_SEEN / 2 {
            self.old = mem::take(&mut self.young);
        }
        times == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: usize) -> Mark {
        let mut mark = [0; 20];
        mark[..8].copy_from_slice(&number.to_be_bytes());
        mark
    }

    #[test]
    fn a_request_is_fresh_once() {
        let mut seen = Seen::default();
        assert_eq!(seen.times(&mark(1)), 0);
        assert!(seen.is_fresh(mark(1)));
        assert!(!seen.is_fresh(mark(1)) && !seen.is_fresh(mark(1)));
        assert_eq!(seen.times(&mark(1)), 3);
        assert!(seen.is_fresh(mark(2)));
        assert!((0..1000).all(|_| !seen.is_fresh(mark(1))));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_half_is_sure() {
        let mut seen = Seen::default();
        for number in 0..5 * MAX_SEEN {
            assert!(seen.is_fresh(mark(number)));
            assert!(seen.young.len() + seen.old.len() <= MAX_SEEN);
        }
        assert!((5 * MAX_SEEN - MAX_SEEN / 2..5 * MAX_SEEN).all(|number| seen.times(&mark(number)) == 1));
        assert!(seen.times(&mark(0)) == 0);
    }

    #[test]
    fn a_replay_that_goes_on_is_not_forgotten() {
        let mut seen = Seen::default();
        seen.is_fresh(mark(0));
        for number in 1..5 * MAX_SEEN {
            seen.is_fresh(mark(number));
            assert!(number % 1000 != 0 || !seen.is_fresh(mark(0)), "{number}");
        }
    }
}
