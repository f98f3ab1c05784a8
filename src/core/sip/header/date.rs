//! Date (RFC 3261 section 20.17): RFC 1123 form, always GMT, with case.

use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;
use rsip::Headers;

use super::untyped::push;
use super::{HeaderError, value};
use crate::time::WallClock;

/// Octets of every date: `Sat, 13 Nov 2010 23:29:00 GMT`. The two older forms that HTTP allows are shorter or longer.
const LENGTH: usize = 29;

/// The Date header as seconds since 1970-01-01 00:00 UTC. A zone other than GMT is malformed (RFC 4475 section 3.1.2.12).
pub fn date(headers: &Headers) -> Result<Option<u64>, HeaderError> {
    value(headers, "Date").map(|text| read(text.trim()).ok_or(HeaderError("Date"))).transpose()
}

fn read(text: &str) -> Option<u64> {
    let date = (text.len() == LENGTH).then(|| httpdate::parse_http_date(text).ok())??;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// A Date header's value; nothing from the year 10000 on.
pub fn write_date(wall: WallClock) -> Option<String> {
    // What has a date is in the years that `HttpDate` can hold.
    wall.date()?;
    let date = UNIX_EPOCH.checked_add(Duration::from_secs(wall.0))?;
    Some(HttpDate::from(date).to_string())
}

/// Writes a Date of [`write_date`].
pub fn push_date(headers: &mut Headers, date: String) {
    push(headers, "Date", date);
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
        assert_eq!(read_date("Fri, 31 Dec 9999 23:59:59 GMT"), Ok(Some(253_402_300_799)));
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
            "Sat, 31 Dec 2016 23:59:60 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "sat, 13 nov 2010 23:29:00 gmt",
            "2010-11-13",
            "",
        ] {
            assert_eq!(read_date(bad), Err(HeaderError("Date")), "{bad}");
        }
    }

    #[test]
    fn a_form_that_http_allows_and_sip_does_not_is_refused() {
        for bad in ["Sunday, 06-Nov-94 08:49:37 GMT", "Wednesday, 09-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert!(httpdate::parse_http_date(bad).is_ok(), "{bad}");
            assert_eq!(read_date(bad), Err(HeaderError("Date")), "{bad}");
        }
    }

    #[test]
    fn garbage_is_no_date() {
        let good = "Sat, 13 Nov 2010 23:29:00 GMT";
        for at in 0..good.len() {
            assert!(read_date(&good[..at]).is_err(), "cut at {at}");
            for octet in (0..=0x7f).map(char::from).chain(['é', '\u{1f4a9}']) {
                let text = format!("{}{octet}{}", &good[..at], &good[at + 1..]);
                // Nothing but another time, where a digit became another digit.
                if let Ok(Some(read)) = read_date(&text) {
                    assert_eq!(write_date(WallClock(read)).as_deref(), Some(text.as_str()));
                }
            }
        }
    }

    #[test]
    fn a_date_is_written_as_the_rfc_does() {
        let write = |seconds| write_date(WallClock(seconds));
        assert_eq!(write(1_798_761_599).as_deref(), Some("Thu, 31 Dec 2026 23:59:59 GMT"));
        assert_eq!(write(1_798_761_600).as_deref(), Some("Fri, 01 Jan 2027 00:00:00 GMT"));
        assert_eq!(write(1_835_438_400).as_deref(), Some("Tue, 29 Feb 2028 12:00:00 GMT"));
        assert_eq!(write(253_402_300_799).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        for seconds in [253_402_300_800, u64::MAX] {
            assert_eq!(write(seconds), None);
        }
    }
}
