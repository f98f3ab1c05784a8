//! The calendar, in UTC: when a year and its months begin.

/// Years that a date may have: up to four digits; counting the days of more would take as long as a stranger likes.
const YEARS: std::ops::RangeInclusive<u64> = 1970..=9999;

/// Seconds since 1970 of a date and a time in UTC; month and day count from 1, second 60 is a leap second. `None`: there
/// is no such time, or it is not in the years from 1970 to 9999.
pub fn seconds_of(year: u64, month: u64, day: u64, hour: u64, minute: u64, second: u64) -> Option<u64> {
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (years, months) = ((*YEARS.start()..year).map(days_of_year), (1..month).map(|one| days_of_month(year, one)));
    let days = years.sum::<u64>() + months.sum::<u64>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Year, month and day of a day counted from 1970-01-01, which is 0.
pub(super) fn date_of(day: u64) -> (u64, u64, u64) {
    let (mut year, mut month, mut left) = (*YEARS.start(), 1, day);
    while left >= days_of_year(year) {
        left -= days_of_year(year);
        year += 1;
    }
    // December is never left behind: what is left is less than the year.
    while left >= days_of_month(year, month) {
        left -= days_of_month(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_same_there_and_back() {
        for day in 0..366 * 200 {
            let (year, month, of_month) = date_of(day);
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
