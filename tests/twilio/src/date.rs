//! Dates as Twilio writes them: RFC 2822 in the 2010 API (twilio.md 10.1), ISO 8601 in the newer ones; UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The present moment in RFC 2822 form.
pub fn now() -> String {
    rfc2822(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}

/// Today, `2015-07-20`.
pub fn day() -> String {
    let (year, month, day) = civil(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// `seconds` since 1970 in RFC 2822 form, such as `Mon, 20 Jul 2015 17:27:10 +0000`.
pub fn rfc2822(seconds: u64) -> String {
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let clock = seconds % 86_400;
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} +0000",
        DAYS[(days % 7) as usize],
        MONTHS[month - 1],
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

/// The present moment as the newer APIs write it: ISO 8601, UTC, such as `2018-11-10T20:00:00Z`.
pub fn now_iso() -> String {
    iso(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}

/// `seconds` since 1970 in ISO 8601 form.
pub fn iso(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let clock = seconds % 86_400;
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", clock / 3600, clock / 60 % 60, clock % 60)
}

/// Year, month and day of a day number since 1970 (Howard Hinnant's `civil_from_days`, dates after 1970 only).
fn civil(days: u64) -> (u64, usize, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month as usize, doy - (153 * mp + 2) / 5 + 1)
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
