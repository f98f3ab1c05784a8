//! The calendar, in UTC: when a year and its months begin.

use jiff_core::civil::{Date, UnixEpochDay};

/// Years that a date may have: what is kept and shown has no other.
const YEARS: std::ops::RangeInclusive<u64> = 1970..=9999;

/// Seconds since 1970 of a date and a time in UTC; month and day count from 1, second 60 is a leap second. `None`: there
/// is no such time, or it is not in the years from 1970 to 9999.
pub fn seconds_of(year: u64, month: u64, day: u64, hour: u64, minute: u64, second: u64) -> Option<u64> {
    if !YEARS.contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let days = u64::try_from(date.to_unix_epoch_day().day()).ok()?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Year, month and day of a day counted from 1970-01-01, which is 0; nothing from the year 10000 on.
pub(super) fn date_of(day: u64) -> Option<(u64, u64, u64)> {
    let date = UnixEpochDay::new(day.try_into().ok()?).ok()?.to_date();
    Some((date.year().try_into().ok()?, date.month().try_into().ok()?, date.day().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_same_there_and_back() {
        for day in 0..366 * 200 {
            let (year, month, of_month) = date_of(day).unwrap();
            assert_eq!(seconds_of(year, month, of_month, 0, 0, 0), Some(day * 86_400), "{year}-{month}-{of_month}");
        }
    }

    #[test]
    fn what_is_no_date_has_no_seconds() {
        for (year, month, day) in
            [(1969, 1, 1), (10_000, 1, 1), (2026, 0, 1), (2026, 13, 1), (2026, 4, 31), (2100, 2, 29)]
        {
            assert_eq!(seconds_of(year, month, day, 0, 0, 0), None, "{year}-{month}-{day}");
        }
    }
}
