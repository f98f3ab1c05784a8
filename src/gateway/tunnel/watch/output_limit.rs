//! What the supervised program prints, in our log: so many lines a minute and no more.

use std::time::Duration;

use gateway_core::event::{Code, Event};
use gateway_core::time::Instant;

/// Lines that are passed on in a [`WINDOW`]; a program in trouble can print thousands.
const LINES: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);

/// Counts.
#[derive(Debug, Default)]
pub(super) struct OutputLimit {
    window: Option<Instant>,
    lines: u32,
}

impl OutputLimit {
    /// The events that a line makes: itself, and before it how many were left out.
    pub fn line(&mut self, now: Instant, driver: &str, line: String) -> Vec<Event> {
        let mut events = Vec::new();
        if self.window.is_none_or(|since| now.since(since) >= WINDOW) {
            let left_out = self.lines.saturating_sub(LINES);
            if left_out > 0 {
                let text = format!("{left_out} more lines, not shown");
                events.push(Event::new(Code::TunnelSaid, driver, text));
            }
            (self.window, self.lines) = (Some(now), 0);
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines <= LINES {
            events.push(Event::new(Code::TunnelSaid, driver, line));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_prints_a_thousand_lines_fills_thirty_of_the_log_and_their_number_is_told() {
        let mut said = OutputLimit::default();
        let now = Instant::from_secs(100);
        let shown: usize = (0..1000).map(|_| said.line(now, "command", "x".into()).len()).sum();
        assert_eq!(shown, 30);
        let later = said.line(now + WINDOW, "command", "y".into());
        assert_eq!(later[0].text, "970 more lines, not shown");
        assert_eq!(later[1].text, "y");
    }
}
