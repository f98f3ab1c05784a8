//! TLS stays strict, and the clock may be wrong: a box without a battery begins in 1970 and gets the time from the
//! network some minutes later. Until then no certificate is valid, and the reason is the clock, not Twilio.

use std::time::{Duration, Instant};

use crate::net::clock::Clock as Trusted;
use crate::net::sntp::{self, Sntp};
use crate::net::tls;
use gateway_core::config::Server;
use gateway_core::random::Random;

/// Between looks at a clock that must be wrong.
const STEP: Duration = Duration::from_secs(5);

/// How long the time is waited for, unless the caller says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// What SNTP says may differ so much from a clock that was right, in seconds.
const SAME: u64 = 60;

/// Asks SNTP, unless that would be too soon after the last time. Why nothing came of it, if nothing did.
pub type Ask = Box<dyn FnMut(&Trusted) -> Option<String>>;

/// The time that requests go by, and how to come by it.
pub struct Clock {
    pub trusted: Trusted,
    pub ask: Ask,
    /// Who is asked, for people.
    pub servers: String,
    /// How long to wait for the time.
    pub patience: Duration,
}

impl Clock {
    /// Asks these servers when there is no time.
    pub fn new(trusted: Trusted, servers: &[Server], random: Random) -> Clock {
        Clock { trusted, ask: asking(servers, random), servers: sntp::names(servers), patience: PATIENCE }
    }

    /// After a request that failed for the time: whether there is another one now, so that it should be tried again.
    /// Waits with `pause`, which is told the reason, as long as there is none; `waited` is the sum over one request. The error says what
    /// the clock says, and what came of asking.
    pub(super) fn see_to(
        &mut self,
        pause: &mut dyn FnMut(Duration, &str),
        waited: &mut Duration,
    ) -> Result<bool, String> {
        if let Ok(before) = self.trusted.trusted() {
            // A clock that is years off, but not so far that it cannot be.
            let _ = self.trusted.question() && (self.ask)(&self.trusted).is_none();
            return Ok(self.trusted.wall().0.abs_diff(before.0) > SAME);
        }
        while let Err(doubt) = self.trusted.trusted() {
            let failed = (self.ask)(&self.trusted);
            if self.trusted.trusted().is_ok() {
                break;
            }
            if *waited >= self.patience {
                let asked = failed.map(|failed| format!(" ({failed})")).unwrap_or_default();
                return Err(format!("{doubt}, and TLS needs the time to check Twilio's certificate{asked}"));
            }
            let from = if self.servers.is_empty() { String::new() } else { format!("from {} ", self.servers) };
            let reason = format!(
                "this machine's clock says {doubt}, and TLS needs the time to check Twilio's certificate; waiting for \
                 it {from}or by \"date -s\""
            );
            pause(STEP, &reason);
            *waited += STEP;
        }
        Ok(true)
    }
}

fn asking(servers: &[Server], random: Random) -> Ask {
    let mut sntp = Sntp::new(servers, random);
    let (mut due, mut failed): (Option<Instant>, Option<String>) = (None, None);
    Box::new(move |clock| {
        if sntp.is_empty() || due.is_some_and(|due| due > Instant::now()) {
            return failed.clone();
        }
        // Requests are made on a thread of their own, without a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let asked = runtime.map_err(|error| error.to_string());
        let asked = asked.and_then(|runtime| runtime.block_on(sntp.ask(clock)).map_err(|error| error.to_string()));
        failed = asked.err();
        due = Some(Instant::now() + sntp.pause());
        failed.clone()
    })
}

/// Whether the only thing wrong with the certificate is the time.
pub(super) fn is_about_time(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error) if tls::is_about_time(error))
}
