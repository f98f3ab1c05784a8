//! Who asks to be woken, and when. A box that sleeps wears out nothing: a wake-up has a name, and a test counts an idle hour.

use crate::time::Instant;

/// Why [`Engine::poll_timeout`](crate::engine::Engine::poll_timeout) asks for a wake-up. Of two that are due at the same
/// moment it gives the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A SIP message is repeated or given up, or a finished transaction is forgotten (RFC 3261 section 17).
    Transaction,
    /// A registration of a handset expires.
    Binding,
    /// The search for a way to the SIP domain goes on: the next try, or a look-up or connection that takes too long.
    Search,
    /// A keepalive on the trunk's flow, or the answer to one, is due.
    Keepalive,
    /// An extension registers at the SIP domain: the first time, again, or after a failure.
    Registration,
    /// The standby: its search, or its keepalive.
    Standby,
    /// A call waits for something: an answer, the refresh of a session, an acknowledgment, its own end.
    Call,
    /// A connection of a handset owes a whole message.
    Stream,
}

impl Reason {
    /// All, in their order.
    pub const ALL: [Reason; 8] = [
        Reason::Transaction,
        Reason::Binding,
        Reason::Search,
        Reason::Keepalive,
        Reason::Registration,
        Reason::Standby,
        Reason::Call,
        Reason::Stream,
    ];

    /// As metrics label it; stable.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Transaction => "transaction",
            Reason::Binding => "binding",
            Reason::Search => "search",
            Reason::Keepalive => "keepalive",
            Reason::Registration => "registration",
            Reason::Standby => "standby",
            Reason::Call => "call",
            Reason::Stream => "stream",
        }
    }

    /// A deadline that has this reason.
    pub fn at(self, deadline: Option<Instant>) -> Option<(Instant, Reason)> {
        deadline.map(|at| (at, self))
    }
}

/// How often each reason woke the box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Reason::ALL.len()]);

impl Counts {
    /// One more.
    pub fn add(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// How often it was this one.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_by_itself() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            let mut counts = Counts::default();
            counts.add(reason);
            assert!(Reason::ALL.into_iter().all(|one| counts.of(one) == u64::from(one == reason)));
        }
    }
}
