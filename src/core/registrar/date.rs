//! The Date header (RFC 3261 section 20.17): old phones set their clock by that of the 200 to REGISTER.

use crate::sip::header::write_date;
use crate::time::WallClock;

/// `Sat, 13 Nov 2010 23:29:00 GMT`, or nothing as long as our own clock is plainly wrong.
pub(super) fn date(wall: WallClock) -> Option<String> {
    if wall < WallClock::RELEASED { None } else { write_date(wall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_passed_on() {
        assert_eq!(date(WallClock(1_798_761_599)).as_deref(), Some("Thu, 31 Dec 2026 23:59:59 GMT"));
    }

    #[test]
    fn a_clock_that_was_never_set_is_not_passed_on() {
        assert_eq!(date(WallClock(0)), None);
        assert_eq!(date(WallClock(u64::MAX)), None);
    }
}
