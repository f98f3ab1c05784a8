//! The Date header (RFC 3261 section 20.17): old phones set their clock by that of the 200 to REGISTER.

use crate::time::WallClock;

/// A clock that shows less was never set (the box did not exist then), and no phone should copy it.
const EARLIEST: u64 = 1_735_689_600;

/// `Sat, 13 Nov 2010 23:29:00 GMT`, or nothing as long as our own clock is plainly wrong.
pub(super) fn date(wall: WallClock) -> Option<String> {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let WallClock(seconds) = wall;
    if !(EARLIEST..253_402_300_800).contains(&seconds) {
        return None;
    }
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut left) = (1970, days);
    while left >= days_in(year) {
        left -= days_in(year);
        year += 1;
    }
    let lengths = [31, days_in(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (weekday, month, day) = (DAYS[(days % 7) as usize], MONTHS[month], left + 1);
    Some(format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT"))
}

fn days_in(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_the_rfc_does() {
        assert_eq!(date(WallClock(1_767_225_599)).as_deref(), Some("Wed, 31 Dec 2025 23:59:59 GMT"));
        assert_eq!(date(WallClock(1_767_225_600)).as_deref(), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
        assert_eq!(date(WallClock(1_835_438_400)).as_deref(), Some("Tue, 29 Feb 2028 12:00:00 GMT"));
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_passed_on() {
        assert_eq!(date(WallClock(0)), None);
        assert_eq!(date(WallClock(u64::MAX)), None);
    }
}
