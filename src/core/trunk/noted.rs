//! What calls show of the trunk and a person must look at: for `gateway status`, until it is over.

use crate::time::Instant;

/// So long after the last plain call the line goes.
const PLAIN_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// Calls that came in without SRTP: how many since the start, and when the last one.
    plain: Option<(u64, Instant)>,
    /// The last call that Twilio refused with an error of its own, unless one went out since.
    refused: Option<(Instant, String)>,
}

impl Noted {
    /// A call came in without SRTP, and was taken.
    pub fn plain(&mut self, now: Instant) {
        let count = self.plain.map_or(0, |(count, _)| count);
        self.plain = Some((count + 1, now));
    }

    /// Twilio refused a call, and said why.
    pub fn refused(&mut self, now: Instant, why: String) {
        self.refused = Some((now, why));
    }

    /// Twilio took a call.
    pub fn taken(&mut self) {
        self.refused = None;
    }

    /// A sentence for each.
    pub fn troubles(&self, now: Instant) -> Vec<String> {
        let ago = |at: Instant| now.since(at).as_secs();
        let plain = self.plain.filter(|(_, last)| now.since(*last) < PLAIN_FOR);
        let plain = plain.map(|(count, last)| {
            format!(
                "Twilio sent the sound of {count} calls without encryption, the last one {} s ago: write ;secure=true \
                 behind the address in each <Sip> of your own TwiML; trunk.secure = \"only\" refuses such calls",
                ago(last)
            )
        });
        let refused = self.refused.as_ref().map(|(at, why)| format!("the last call out, {} s ago: {why}", ago(*at)));
        plain.into_iter().chain(refused).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_until_a_call_is_taken_and_plain_calls_for_a_day() {
        let mut noted = Noted::default();
        let at = Instant::from_secs;
        assert!(noted.troubles(at(0)).is_empty());
        noted.plain(at(1));
        noted.plain(at(2));
        noted.refused(at(3), "Twilio refused it".to_owned());
        let troubles = noted.troubles(at(10));
        assert!(
            troubles[0].contains("2 calls") && troubles[0].contains("8 s ago") && troubles[0].contains(";secure=true")
        );
        assert_eq!(troubles[1], "the last call out, 7 s ago: Twilio refused it");
        noted.taken();
        assert_eq!(noted.troubles(at(10)).len(), 1);
        assert!(noted.troubles(at(2 + 86400)).is_empty());
    }
}
