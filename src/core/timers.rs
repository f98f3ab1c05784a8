//! Deadlines by name: at most one per key, the soonest first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::time::Instant;

/// Named deadlines. Setting one again moves it; the order of firing is by time, then by key, so that the same inputs
/// always fire in the same order.
#[derive(Debug)]
pub struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    /// None set.
    pub fn new() -> Self {
        Timers { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key, at) {
            self.by_time.remove(&(old, key));
        }
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`.
    pub fn cancel(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Forgets the deadlines of all keys in a range.
    pub fn cancel_all(&mut self, keys: RangeInclusive<K>) {
        while let Some((&key, _)) = self.by_key.range(keys.clone()).next() {
            self.cancel(key);
        }
    }

    /// When `key` will fire.
    pub fn get(&self, key: K) -> Option<Instant> {
        self.by_key.get(&key).copied()
    }

    /// The soonest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one deadline that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.remove(&(at, key));
        self.by_key.remove(&key);
        Some(key)
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Timers::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_set_twice_fires_once_at_the_later_setting() {
        let mut timers = Timers::new();
        timers.set('a', Instant::from_secs(1));
        timers.set('a', Instant::from_secs(3));
        timers.set('b', Instant::from_secs(2));
        assert_eq!(timers.pop_due(Instant::from_secs(2)), Some('b'));
        assert_eq!(timers.pop_due(Instant::from_secs(2)), None);
        assert_eq!(timers.pop_due(Instant::from_secs(3)), Some('a'));
        assert!(timers.is_empty());
    }

    #[test]
    fn what_is_cancelled_does_not_fire_and_its_neighbors_do() {
        let mut timers = Timers::new();
        for key in [(1, 'b'), (2, 'a'), (2, 'b'), (3, 'a')] {
            timers.set(key, Instant::from_secs(1));
        }
        timers.cancel_all((2, 'a')..=(2, 'b'));
        assert_eq!(timers.pop_due(Instant::from_secs(1)), Some((1, 'b')));
        assert_eq!(timers.pop_due(Instant::from_secs(1)), Some((3, 'a')));
        assert!(timers.is_empty());
    }
}
