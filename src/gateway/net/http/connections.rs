//! The connections of the webhook endpoint, and which of them goes when there are too many.
//!
//! The rule: the one goes whose last fresh request of Twilio's is the longest ago; before it those that never had one, the
//! oldest first. What came before ([`super::seen`]) is no fresh request, so that a captured one buys its sender nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::AbortHandle;

use gateway_core::time::Instant;

/// When the last fresh request of Twilio's came on a connection.
#[derive(Clone, Debug, Default)]
pub struct Freshness(Arc<AtomicU64>);

impl Freshness {
    /// One came now.
    pub fn touch(&self, now: Instant) {
        // 0 is for never.
        self.0.store(now.since(Instant::ZERO).as_micros().max(1) as u64, Ordering::Relaxed);
    }

    /// Whether there was one at all.
    pub fn is_twilio(&self) -> bool {
        self.last() > 0
    }

    fn last(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Open {
    task: AbortHandle,
    freshness: Freshness,
}

/// Those that are open, the oldest first.
#[derive(Debug, Default)]
pub struct Connections(VecDeque<Open>);

impl Connections {
    /// How many are open.
    pub fn len(&mut self) -> usize {
        self.0.retain(|open| !open.task.is_finished());
        self.0.len()
    }

    /// One more.
    pub fn add(&mut self, task: AbortHandle, freshness: Freshness) {
        self.0.push_back(Open { task, freshness });
    }

    /// Closes the one that has to go first.
    pub fn close_one(&mut self) {
        let ages = self.0.iter().map(|open| open.freshness.last());
        let first = ages.enumerate().min_by_key(|(_, last)| *last).map(|(at, _)| at);
        if let Some(open) = first.and_then(|at| self.0.remove(at)) {
            open.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections with their last fresh requests; those that go first, one after the other.
    async fn order(last: &[Option<u64>]) -> Vec<usize> {
        let mut connections = Connections::default();
        let mut tasks = Vec::new();
        for last in last {
            let (task, freshness) = (tokio::spawn(std::future::pending::<()>()), Freshness::default());
            if let Some(second) = last {
                freshness.touch(Instant::from_secs(*second));
            }
            connections.add(task.abort_handle(), freshness);
            tasks.push(task);
        }
        let mut gone = Vec::new();
        for left in (0..last.len()).rev() {
            connections.close_one();
            assert_eq!(connections.len(), left);
            let newly = loop {
                match (0..last.len()).find(|at| tasks[*at].is_finished() && !gone.contains(at)) {
                    Some(at) => break at,
                    None => tokio::task::yield_now().await,
                }
            };
            gone.push(newly);
        }
        gone
    }

    #[tokio::test]
    async fn strangers_go_first_by_age_and_then_who_was_fresh_the_longest_ago() {
        assert_eq!(order(&[None, None, None]).await, [0, 1, 2]);
        assert_eq!(order(&[Some(5), None, Some(0), None]).await, [1, 3, 2, 0]);
        assert_eq!(order(&[Some(9), Some(3), Some(7)]).await, [1, 2, 0]);
        assert_eq!(order(&[]).await, Vec::<usize>::new());
    }
}
