//! How long a flow's other end takes to answer, and from when on its silence counts.

use std::collections::VecDeque;
use std::time::Duration;

/// Answers that are remembered. The quickest of them counts: a registrar that is busy takes its time, which says nothing
/// of the line.
const SAMPLES: usize = 8;

/// An INVITE is answered by 100 or 407 at once (TWILIO.md "Call from an extension"), so that so many round trips
/// without any response are silence. A wrong guess costs a second INVITE, of which one is cancelled.
const ROUND_TRIPS: u32 = 3;
/// Not sooner, whatever was measured. A normal line (60 ms) reaches the second edge within 300 ms, with time to spare for a
/// box that is busy.
const SOONEST: Duration = Duration::from_millis(200);
/// Not later, however slow the line is.
const LATEST: Duration = Duration::from_secs(2);
/// On a flow that nothing was measured on yet.
const UNMEASURED: Duration = Duration::from_secs(1);

/// Of one flow.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip {
    samples: VecDeque<Duration>,
}

impl RoundTrip {
    /// A request or a ping was answered after that time.
    pub fn add(&mut self, sample: Duration) {
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// How long an emergency INVITE waits for any response before it also goes out on the other edge.
    pub fn patience(&self) -> Duration {
        match self.samples.iter().min() {
            Some(quickest) => (*quickest * ROUND_TRIPS).clamp(SOONEST, LATEST),
            None => UNMEASURED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[u64]) -> u128 {
        let mut round_trip = RoundTrip::default();
        samples.iter().for_each(|sample| round_trip.add(Duration::from_millis(*sample)));
        round_trip.patience().as_millis()
    }

    #[test]
    fn a_normal_line_reaches_the_second_edge_within_300_ms() {
        for line in [1, 20, 45, 60] {
            assert!(after(&[line]) <= 200, "{line}");
        }
    }

    #[test]
    fn a_slow_line_gets_more_time_and_never_more_than_two_seconds() {
        assert_eq!(after(&[150]), 450);
        assert_eq!(after(&[700]), 2000);
        assert_eq!(after(&[]), 1000);
    }

    #[test]
    fn a_busy_registrar_does_not_make_a_line_slow_and_a_line_that_becomes_slow_is_seen() {
        assert_eq!(after(&[50, 900, 40, 2000]), 200);
        assert_eq!(after(&[[50; 8], [300; 8]].concat()), 900);
    }
}
