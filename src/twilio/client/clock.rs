//! TLS stays strict, and the clock may be wrong: a box without a battery begins in 1970 and gets the time from the
//! network some minutes later. Until then no certificate is valid, and the reason is the clock, not Twilio.

use std::time::{Duration, SystemTime};

use rustls::CertificateError;

use crate::time::WallClock;

/// Between looks at a clock that must be wrong.
pub(super) const STEP: Duration = Duration::from_secs(5);

/// How long a clock is waited for, unless the caller says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// The machine's clock, and what is known about its truth.
pub struct Clock {
    pub now: Box<dyn FnMut() -> WallClock>,
    /// A time that has passed for certain.
    pub floor: WallClock,
    /// How long to wait for a clock that shows less.
    pub patience: Duration,
}

impl Clock {
    /// This machine's; `last_run` is when a former run wrote something down
    /// ([`crate::store::Store::last_change`]).
    pub fn system(last_run: Option<WallClock>) -> Clock {
        Clock {
            now: Box::new(|| WallClock::from_system(SystemTime::now())),
            floor: last_run.unwrap_or_default().max(WallClock::RELEASED),
            patience: PATIENCE,
        }
    }

    /// What the clock shows, when that cannot be.
    pub(super) fn wrong(&mut self) -> Option<WallClock> {
        let now = (self.now)();
        (now < self.floor).then_some(now)
    }
}

/// Whether the only thing wrong with the certificate is the time.
pub(super) fn is_about_time(error: &ureq::Error) -> bool {
    let error = match error {
        ureq::Error::Rustls(error) => Some(error),
        // The handshake's errors come as the socket's.
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    let Some(rustls::Error::InvalidCertificate(reason)) = error else { return false };
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(reason, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}
