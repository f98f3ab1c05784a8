//! The Date header (RFC 3261 section 20.17): old phones set their clock by that of the 200 to REGISTER.

use crate::time::WallClock;
use crate::time::calendar::{DAYS, MONTHS};

/// `Sat, 13 Nov 2010 23:29:00 GMT`, or nothing as long as our own clock is plainly wrong.
pub(super) fn date(wall: WallClock) -> Option<String> {
    if wall < WallClock::RELEASED {
        return None;
    }
    let (year, month, day) = wall.date()?;
    let (days, second) = (wall.0 / 86_400, wall.0 % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // 1970-01-01 was a Thursday; the indices are below 7 and 12, the lengths of the tables.
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
    Some(format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_the_rfc_does() {
        assert_eq!(date(WallClock(1_798_761_599)).as_deref(), Some("Thu, 31 Dec 2026 23:59:59 GMT"));
        assert_eq!(date(WallClock(1_798_761_600)).as_deref(), Some("Fri, 01 Jan 2027 00:00:00 GMT"));
        assert_eq!(date(WallClock(1_835_438_400)).as_deref(), Some("Tue, 29 Feb 2028 12:00:00 GMT"));
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_passed_on() {
        assert_eq!(date(WallClock(0)), None);
        assert_eq!(date(WallClock(u64::MAX)), None);
    }
}
