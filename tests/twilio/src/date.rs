//! Dates as Twilio writes them: RFC 2822 in the 2010 API (TWILIO.md "API requests"), ISO 8601 in the newer ones; UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff_core::Timestamp;
use jiff_core::civil::{Date, DateTime};
use jiff_core::tz::Offset;

/// From Sunday on.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The present moment in RFC 2822 form.
pub fn now() -> String {
    rfc2822(present())
}

/// Today, `2015-07-20`.
pub fn day() -> String {
    iso_day(utc(present()).date())
}

/// `seconds` since 1970 in RFC 2822 form, such as `Mon, 20 Jul 2015 17:27:10 +0000`.
pub fn rfc2822(seconds: u64) -> String {
    let at = utc(seconds);
    let date = at.date();
    // The calendar counts weekdays from 0 and months from 1: the indices are below the lengths of the tables.
    let weekday = DAYS[date.weekday().to_sunday_zero_offset() as usize];
    let month = MONTHS[date.month() as usize - 1];
    format!("{weekday}, {:02} {month} {} {} +0000", date.day(), date.year(), clock(at))
}

/// The present moment as the newer APIs write it: ISO 8601, UTC, such as `2018-11-10T20:00:00Z`.
pub fn now_iso() -> String {
    iso(present())
}

/// `seconds` since 1970 in ISO 8601 form.
pub fn iso(seconds: u64) -> String {
    let at = utc(seconds);
    format!("{}T{}Z", iso_day(at.date()), clock(at))
}

fn present() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A time after the year 9999 counts as its end.
fn utc(seconds: u64) -> DateTime {
    let seconds = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    seconds.unwrap_or(Timestamp::MAX).to_datetime(Offset::UTC)
}

fn iso_day(date: Date) -> String {
    format!("{}-{:02}-{:02}", date.year(), date.month(), date.day())
}

fn clock(at: DateTime) -> String {
    let time = at.time();
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_the_form_of_the_openapi_example() {
        assert_eq!(rfc2822(1_437_413_230), "Mon, 20 Jul 2015 17:27:10 +0000");
        assert_eq!(rfc2822(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(iso(1_541_880_000), "2018-11-10T20:00:00Z");
    }
}
