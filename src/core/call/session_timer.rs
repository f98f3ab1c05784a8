//! Session timers (RFC 4028): who refreshes, how often, and what the headers say.

use std::time::Duration;

use crate::sip::header::{self, Headers, Refresher, SessionExpires};

/// What we ask for (RFC 4028 section 4 recommends half an hour; Twilio accepts it, TWILIO.md "Session timers").
pub const INTERVAL: u32 = 1800;

/// How often an emergency call asks a SIP domain that agreed on no refreshes whether it is still there.
pub const ASK: Duration = Duration::from_secs(900);

/// The shortest interval that we accept: the RFC's own floor (section 5).
pub const MIN_SE: u32 = 90;

/// An agreement: both ends keep the call alive by refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// Seconds.
    pub interval: u32,
    /// Whether we send the refreshes.
    pub refresher: bool,
}

/// Their interval is shorter than ours may be: 422 with our Min-SE (section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalTooSmall;

impl SessionTimer {
    /// When to refresh, or when to give up on theirs (section 10): half of the interval; the interval less the smaller
    /// of 32 s and a third.
    pub fn deadline(&self) -> Duration {
        let seconds = if self.refresher { self.interval / 2 } else { self.interval - (self.interval / 3).min(32) };
        Duration::from_secs(u64::from(seconds))
    }

    /// The Session-Expires of a message of ours, in a transaction where we are this end.
    fn header(&self, we: Refresher) -> SessionExpires {
        let they = match we {
            Refresher::Uac => Refresher::Uas,
            Refresher::Uas => Refresher::Uac,
        };
        SessionExpires { interval: self.interval, refresher: Some(if self.refresher { we } else { they }) }
    }

    /// Writes the agreement into a re-INVITE of ours (section 7.4), where we are UAC.
    pub fn ask(&self, headers: &mut Headers) {
        header::push_session_expires(headers, self.header(Refresher::Uac));
        header::push_min_se(headers, MIN_SE);
    }

    /// Writes the agreement into our 2xx (section 9): where they refresh, they must know that they do.
    pub fn put(&self, headers: &mut Headers) {
        header::push_session_expires(headers, self.header(Refresher::Uas));
        if !self.refresher {
            header::push_require(headers, "timer");
        }
    }
}

/// As UAS (section 9): from their INVITE or UPDATE. `None` where they ask for nothing: we do not force timers on a
/// handset that knows none.
pub fn as_uas(headers: &Headers) -> Result<Option<SessionTimer>, IntervalTooSmall> {
    let Ok(Some(SessionExpires { interval, refresher })) = header::session_expires(headers) else { return Ok(None) };
    let supported = header::supports(headers, "timer") || header::requires(headers, "timer");
    if interval < MIN_SE {
        // Section 9: only a UAC that knows timers understands 422; for another the interval is raised.
        if supported {
            return Err(IntervalTooSmall);
        }
        return Ok(Some(SessionTimer { interval: MIN_SE, refresher: true }));
    }
    // Table 2: a UAC without support can not refresh; else its wish holds, and without a wish it refreshes itself.
    let refresher = !supported || refresher == Some(Refresher::Uas);
    Ok(Some(SessionTimer { interval, refresher }))
}

/// As UAC (section 7.2): from their 2xx.
pub fn as_uac(headers: &Headers) -> Option<SessionTimer> {
    let agreed = header::session_expires(headers).ok().flatten()?;
    // Without the parameter the UAC is the one that asked, so it is the one that refreshes.
    let refresher = agreed.refresher != Some(Refresher::Uas);
    Some(SessionTimer { interval: agreed.interval.max(MIN_SE), refresher })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Headers {
        list.iter().map(|(name, value)| header::make(name, *value)).collect::<Vec<_>>().into()
    }

    #[test]
    fn a_caller_that_asks_for_too_short_an_interval_is_told_ours() {
        let asked = headers(&[("Session-Expires", "60"), ("Supported", "timer")]);
        assert_eq!(as_uas(&asked), Err(IntervalTooSmall));
    }

    #[test]
    fn a_caller_without_timer_support_is_refreshed_by_us() {
        let asked = headers(&[("Session-Expires", "600")]);
        assert_eq!(as_uas(&asked), Ok(Some(SessionTimer { interval: 600, refresher: true })));
    }

    #[test]
    fn a_caller_that_names_itself_refresher_refreshes() {
        let asked = headers(&[("Session-Expires", "600;refresher=uac"), ("Supported", "timer")]);
        let agreed = as_uas(&asked).unwrap().unwrap();
        assert!(!agreed.refresher);
        assert_eq!(agreed.deadline(), Duration::from_secs(568));
        assert_eq!(agreed.header(Refresher::Uas), SessionExpires { interval: 600, refresher: Some(Refresher::Uac) });
    }

    #[test]
    fn a_2xx_that_names_nobody_leaves_the_refresh_to_us() {
        let agreed = as_uac(&headers(&[("Session-Expires", "1800")])).unwrap();
        assert!(agreed.refresher);
        assert_eq!(agreed.deadline(), Duration::from_secs(900));
    }
}
