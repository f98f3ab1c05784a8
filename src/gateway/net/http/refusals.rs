//! Counts refusals by reason, and replays, and says which of them to tell. Pure.

use std::time::Duration;

use super::seen::USUAL_REPEATS;
use gateway_core::time::Instant;
use gateway_core::twiml::refusal::Refusal;

/// A row ends when so long nobody was refused for its reason. Requests of Twilio's do not end it: strangers come in
/// between them, and would be told anew each time.
const CALM: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    total: u64,
    in_a_row: u64,
    last: Instant,
}

impl Row {
    /// Counts one, and gives its place in the row if it is to be told: the 1st, 2nd, 4th, 8th …, so that a flood of
    /// strangers is no flood in the log.
    fn add(&mut self, now: Instant) -> Option<u64> {
        if now.since(self.last) > CALM {
            self.in_a_row = 0;
        }
        self.last = now;
        self.total += 1;
        self.in_a_row += 1;
        self.in_a_row.is_power_of_two().then_some(self.in_a_row)
    }
}

/// One row for each reason, and one for replays.
#[derive(Debug, Default)]
pub struct Refusals {
    rows: [Row; Refusal::ALL.len()],
    replays: Row,
}

impl Refusals {
    /// Counts a refusal; its place in the row, if it is to be told.
    pub fn add(&mut self, now: Instant, reason: Refusal) -> Option<u64> {
        self.rows[reason as usize].add(now)
    }

    /// Counts a request that came before; its place in the row, if it is to be told.
    pub fn add_replay(&mut self, now: Instant) -> Option<u64> {
        self.replays.add(now).filter(|in_a_row| *in_a_row > u64::from(USUAL_REPEATS))
    }

    /// Replays since the start.
    pub fn replayed(&self) -> u64 {
        self.replays.total
    }

    /// The next one for this reason begins a row.
    pub fn end_row(&mut self, reason: Refusal) {
        self.rows[reason as usize].in_a_row = 0;
    }

    /// Since the start, in the order of [`Refusal::ALL`].
    pub fn totals(&self) -> [u64; Refusal::ALL.len()] {
        self.rows.map(|row| row.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_few_are_told_and_all_are_counted() {
        let mut refusals = Refusals::default();
        let told: Vec<u64> = (0..1000).filter_map(|i| refusals.add(Instant::from_secs(i), Refusal::Unsigned)).collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(refusals.totals()[Refusal::Unsigned as usize], 1000);
        assert_eq!(refusals.totals().iter().sum::<u64>(), 1000);
    }

    #[test]
    fn a_few_repetitions_are_usual_and_a_flood_of_them_is_told() {
        let mut refusals = Refusals::default();
        let told: Vec<u64> = (0..100).filter_map(|_| refusals.add_replay(Instant::from_secs(1))).collect();
        assert_eq!(told, [8, 16, 32, 64]);
        assert_eq!((refusals.replayed(), refusals.totals().iter().sum::<u64>()), (100, 0));
    }

    #[test]
    fn a_minute_of_calm_or_an_end_begins_a_new_row_and_each_reason_has_its_own() {
        let mut refusals = Refusals::default();
        let mut add = |second: u64, reason| refusals.add(Instant::from_secs(second), reason);
        let told = [0, 1, 2, 62, 123].map(|second| add(second, Refusal::TooMany));
        assert_eq!(told, [Some(1), Some(2), None, Some(4), Some(1)]);
        assert_eq!(add(123, Refusal::Unauthorized), Some(1));
        refusals.end_row(Refusal::Unauthorized);
        assert_eq!(refusals.add(Instant::from_secs(124), Refusal::Unauthorized), Some(1));
    }
}
