//! Date (RFC 3261 section 20.17): RFC 1123 form, always GMT.

use rsip::Headers;

use super::{HeaderError, value};
use crate::time::calendar::{DAYS, MONTHS, seconds_of};

/// The Date header as seconds since 1970-01-01 00:00 UTC. A zone other than GMT is malformed (RFC 4475 section 3.1.2.12).
pub fn date(headers: &Headers) -> Result<Option<u64>, HeaderError> {
    value(headers, "Date").map(|text| read(text).ok_or(HeaderError("Date"))).transpose()
}

/// `Sat, 13 Nov 2010 23:29:00 GMT`
fn read(text: &str) -> Option<u64> {
    let (day_name, rest) = text.trim().split_once(',')?;
    let mut words = rest.split_ascii_whitespace();
    let day = digits(words.next()?, 2)?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month_name))? as u64;
    let year = digits(words.next()?, 4)?;
    let mut clock = words.next()?.split(':');
    let (hour, minute, second) = (digits(clock.next()?, 2)?, digits(clock.next()?, 2)?, digits(clock.next()?, 2)?);
    let zone = words.next()?;
    if clock.next().is_some() || words.next().is_some() || !zone.eq_ignore_ascii_case("GMT") {
        return None;
    }
    let days = seconds_of(year, month + 1, day, 0, 0, 0)? / 86_400;
    // The index is below 7, the length of the table.
    if !DAYS[(days % 7) as usize].eq_ignore_ascii_case(day_name.trim()) {
        return None;
    }
    seconds_of(year, month + 1, day, hour, minute, second)
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    fn read_date(text: &str) -> Result<Option<u64>, HeaderError> {
        date(&Headers::from(vec![make("Date", text)]))
    }

    #[test]
    fn a_date_is_seconds_since_1970() {
        assert_eq!(read_date("Thu, 01 Jan 1970 00:00:00 GMT"), Ok(Some(0)));
        assert_eq!(read_date("Sat, 13 Nov 2010 23:29:00 GMT"), Ok(Some(1_289_690_940)));
        assert_eq!(read_date("Thu, 29 Feb 2024 12:00:00 GMT"), Ok(Some(1_709_208_000)));
        assert_eq!(date(&Headers::default()), Ok(None));
    }

    #[test]
    fn a_zone_other_than_gmt_and_a_day_that_is_not_are_refused() {
        for bad in [
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 30 Feb 2010 16:00:00 GMT",
            "Mon, 13 Nov 2010 23:29:00 GMT",
            "Sat, 13 Nov 2010 23:29 GMT",
            "Sat, 13 Nov 2010 24:29:00 GMT",
            "2010-11-13",
            "",
        ] {
            assert_eq!(read_date(bad), Err(HeaderError("Date")), "{bad}");
        }
    }
}
