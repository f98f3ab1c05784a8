//! How calls ended, counted since the start: for metrics.

use std::collections::BTreeMap;

use super::Cause;
use crate::media::Report;
use crate::status::CallKind;

/// What calls that ended have in common: 4 kinds, answered or not, and the causes, so a table of 140 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    pub kind: &'static str,
    pub answered: bool,
    /// As [`Cause::word`] says.
    pub cause: &'static str,
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub ended: BTreeMap<Outcome, u64>,
    /// How long the answered ones lasted, together, in seconds.
    pub answered_seconds: u64,
    /// The figures of all legs that ended, added up; without jitter, which has no sum.
    pub media: Report,
}

impl Counts {
    /// A call ended, after so many seconds if it was answered.
    pub(super) fn end(&mut self, kind: CallKind, answered: Option<u64>, cause: Cause) {
        let outcome = Outcome { kind: kind.word(), answered: answered.is_some(), cause: cause.word() };
        *self.ended.entry(outcome).or_default() += 1;
        self.answered_seconds += answered.unwrap_or(0);
    }

    /// A leg's media ended.
    pub(super) fn close(&mut self, report: &Report) {
        let sum = &mut self.media;
        for (sum, more) in [
            (&mut sum.packets_received, report.packets_received),
            (&mut sum.octets_received, report.octets_received),
            (&mut sum.packets_sent, report.packets_sent),
            (&mut sum.octets_sent, report.octets_sent),
            (&mut sum.lost, report.lost),
            (&mut sum.rejected, report.rejected),
            (&mut sum.foreign, report.foreign),
            (&mut sum.dtmf, report.dtmf),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_what_became_of_them_and_refusals_are_one_cause() {
        let mut counts = Counts::default();
        counts.end(CallKind::Outbound, None, Cause::Refused(486));
        counts.end(CallKind::Outbound, None, Cause::Refused(404));
        counts.end(CallKind::Outbound, Some(30), Cause::Cleared);
        counts.end(CallKind::Local, Some(12), Cause::Cleared);
        let told: Vec<_> = counts.ended.iter().map(|(o, n)| (o.kind, o.answered, o.cause, *n)).collect();
        assert_eq!(
            told,
            [("local", true, "cleared", 1), ("outbound", false, "refused", 2), ("outbound", true, "cleared", 1)]
        );
        assert_eq!(counts.answered_seconds, 42);
    }

    #[test]
    fn media_of_legs_is_added_up() {
        let mut counts = Counts::default();
        let leg = Report { packets_received: 10, lost: 2, packets_sent: 9, jitter: 40, ..Report::default() };
        counts.close(&leg);
        counts.close(&leg);
        assert_eq!(counts.media, Report { packets_received: 20, lost: 4, packets_sent: 18, ..Report::default() });
    }
}
