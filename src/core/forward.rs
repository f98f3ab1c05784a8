//! Calls from outside that a phone sends on to a number outside.
//!
//! Rule: the box answers such a call with 480, and Twilio asks the action of its `<Dial>` what comes next: a `<Dial>` of
//! the number. It shows the number of the caller, which Twilio refuses on a call of ours (13214,
//! TWILIO.md "Caller ID of a Dial"). The number is one that the forwarder may call itself. The `<Dial>` that rings us
//! names the caller's leg ([`header::INBOUND`](crate::sip::header::INBOUND)), so that we know where a call belongs, and that our own webhook is
//! alive.
//!
//! A forwarded call that comes back to us from there, and would be forwarded there again, ends.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// How long a call may ring here before Twilio asks: the longest `timeout` of a `<Dial>` (TWILIO.md "Dial"), and a bit.
const KEPT: Duration = Duration::from_secs(660);

/// How long a call can take to come back from the telephone network.
const LOOP: Duration = Duration::from_secs(60);

/// Calls that are remembered; the oldest goes first.
const MAX_FORWARDS: usize = 64;

/// A call that goes on outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The caller's leg at Twilio.
    pub call_sid: String,
    /// The extension that forwards.
    pub by: String,
    /// Where to, E.164.
    pub number: String,
    /// Who called, as the box knows it.
    pub from: String,
    pub at: Instant,
}

/// The calls that go on outside, until they are over.
#[derive(Debug, Default)]
pub struct Forwards(VecDeque<Forward>);

impl Forwards {
    /// A phone has sent a call on.
    pub fn remember(&mut self, now: Instant, forward: Forward) {
        self.0.retain(|other| now.since(other.at) < KEPT && other.call_sid != forward.call_sid);
        if self.0.len() >= MAX_FORWARDS {
            self.0.pop_front();
        }
        self.0.push_back(forward);
    }

    /// Where a call goes on. Nowhere while an earlier one of the same caller is on its way there: this one is it, sent
    /// back to us by that number.
    pub fn of_call(&self, now: Instant, call_sid: &str) -> Option<&Forward> {
        let at = self.0.iter().position(|forward| forward.call_sid == call_sid && now.since(forward.at) < KEPT)?;
        let forward = &self.0[at];
        let is_again = |other: &&Forward| {
            other.number == forward.number && other.from == forward.from && forward.at.since(other.at) < LOOP
        };
        self.0.iter().take(at).find(is_again).is_none().then_some(forward)
    }

    /// A call is over, or its caller talks.
    pub fn over(&mut self, call_sid: &str) {
        self.0.retain(|forward| forward.call_sid != call_sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(call_sid: &str, number: &str, from: &str) -> Forward {
        let text = |text: &str| text.to_owned();
        Forward { call_sid: text(call_sid), by: text("101"), number: text(number), from: text(from), at: Instant::ZERO }
    }

    #[test]
    fn a_call_that_comes_back_from_where_it_was_sent_is_not_sent_there_again() {
        let (mut all, now) = (Forwards::default(), Instant::ZERO);
        all.remember(now, forward("CA1", "+15035551212", "+15035550111"));
        all.remember(now, forward("CA2", "+15035551212", "+15035550111"));
        all.remember(now, forward("CA3", "+15035551212", "+15035550122"));
        assert!(all.of_call(now, "CA1").is_some() && all.of_call(now, "CA3").is_some());
        assert_eq!(all.of_call(now, "CA2"), None, "the same caller on the way to the same number");
        all.over("CA1");
        assert!(all.of_call(now, "CA2").is_some(), "the first one has ended: a person called again");
        assert_eq!(all.of_call(now, "CA1"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_time() {
        let mut all = Forwards::default();
        for n in 0..1000 {
            all.remember(Instant::ZERO, forward(&format!("CA{n}"), "+1", &n.to_string()));
        }
        assert_eq!(all.0.len(), MAX_FORWARDS);
        assert!(all.of_call(Instant::ZERO, "CA999").is_some());
        assert_eq!(all.of_call(Instant::ZERO + KEPT, "CA999"), None);
    }
}
