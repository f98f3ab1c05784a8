//! Why a call ended, and what each side is told: one table.

/// How a call or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A party hung up.
    Cleared,
    /// The caller gave up before an answer.
    Cancelled,
    /// Another handset answered.
    AnsweredElsewhere,
    /// The called party refused, or the network did, with this SIP status.
    Refused(u16),
    /// Nobody answered in time.
    NoAnswer,
    /// No handset of the extension is registered.
    NotRegistered,
    /// There is no flow to the SIP domain.
    TrunkDown,
    /// Our credentials were refused by the SIP domain.
    TrunkCredentials,
    /// The limit of concurrent calls is reached.
    Limit,
    /// No RTP port was free.
    NoMedia,
    /// The two sides have no codec in common, or their descriptions cannot be used.
    Incompatible,
    /// The far end did not answer, acknowledge or refresh: it is gone.
    Lost,
    /// The call lasted as long as `limits.call_duration` allows.
    Duration,
    /// What the extension may use outside is used up.
    Allowance,
    /// A usage trigger has stopped calls outside.
    Spend,
    /// The service stops.
    Stopping,
    /// The call goes on between two others.
    Transferred,
    /// A phone forwards the call to a number outside, which Twilio calls.
    Forwarded,
}

impl Cause {
    /// The SIP status for a caller that still waits for its final response.
    pub fn status(self) -> u16 {
        match self {
            Cause::Cancelled | Cause::Cleared | Cause::Transferred => 487,
            Cause::AnsweredElsewhere => 487,
            Cause::Refused(code) => relayed(code),
            Cause::NoAnswer | Cause::NotRegistered | Cause::Forwarded => 480,
            Cause::TrunkDown | Cause::TrunkCredentials | Cause::Limit | Cause::NoMedia | Cause::Stopping => 503,
            Cause::Incompatible => 488,
            Cause::Lost => 504,
            Cause::Duration => 480,
            Cause::Allowance | Cause::Spend => 403,
        }
    }

    /// Value of the Reason header (RFC 3326) of a BYE or CANCEL.
    pub fn reason(self) -> String {
        let (cause, text) = match self {
            // RFC 3326 section 2: so that a phone does not show a missed call.
            Cause::AnsweredElsewhere => return "SIP;cause=200;text=\"Call completed elsewhere\"".into(),
            Cause::Cleared | Cause::Transferred => (16, "Normal call clearing"),
            Cause::Cancelled => (16, "Cancelled by the caller"),
            Cause::Refused(code) => (q850(code), crate::sip::status::reason(code)),
            Cause::NoAnswer => (19, "No answer"),
            Cause::NotRegistered => (20, "Not registered"),
            Cause::Forwarded => (19, "Forwarded"),
            Cause::TrunkDown => (38, "No connection to the SIP domain"),
            Cause::TrunkCredentials => (21, "Credentials refused by the SIP domain"),
            Cause::Limit => (42, "Too many calls"),
            Cause::NoMedia => (47, "No media port"),
            Cause::Incompatible => (65, "No common codec"),
            Cause::Lost => (27, "Far end is gone"),
            Cause::Duration => (102, "Longest call duration"),
            Cause::Allowance => (21, "No minutes left"),
            Cause::Spend => (21, "Calls outside are stopped"),
            Cause::Stopping => (41, "Service stops"),
        };
        format!("Q.850;cause={cause};text=\"{text}\"")
    }

    /// One word, for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Cleared => "cleared",
            Cause::Cancelled => "cancelled",
            Cause::AnsweredElsewhere => "answered-elsewhere",
            Cause::Refused(_) => "refused",
            Cause::NoAnswer => "no-answer",
            Cause::NotRegistered => "not-registered",
            Cause::TrunkDown => "trunk-down",
            Cause::TrunkCredentials => "trunk-credentials",
            Cause::Limit => "limit",
            Cause::NoMedia => "no-media",
            Cause::Incompatible => "incompatible",
            Cause::Lost => "lost",
            Cause::Duration => "duration",
            Cause::Allowance => "allowance",
            Cause::Spend => "spend",
            Cause::Stopping => "stopping",
            Cause::Transferred => "transferred",
            Cause::Forwarded => "forwarded",
        }
    }

    /// For people, in the log.
    pub fn text(self) -> String {
        match self {
            Cause::Cleared => "a party hung up".into(),
            Cause::Cancelled => "the caller gave up".into(),
            Cause::AnsweredElsewhere => "another handset answered".into(),
            Cause::Refused(code) => format!("refused with {code} {}", crate::sip::status::reason(code)),
            Cause::NoAnswer => "nobody answered".into(),
            Cause::NotRegistered => {
                "no handset of this extension is registered; plug one in or check its password".into()
            }
            Cause::TrunkDown => "no connection to the SIP domain; see `gateway status`".into(),
            Cause::TrunkCredentials => "the SIP domain refused our credentials; see `gateway status`".into(),
            Cause::Limit => "limits.calls is reached; raise it or wait".into(),
            Cause::NoMedia => "no RTP port is free; widen media.ports".into(),
            Cause::Incompatible => "no codec in common; enable PCMU or PCMA on the handset".into(),
            Cause::Lost => "the far end does not answer any more".into(),
            Cause::Duration => "limits.call_duration is reached".into(),
            Cause::Allowance => "no minutes are left for calls outside; see `gateway spend`".into(),
            Cause::Spend => "a usage trigger has stopped calls outside; see `gateway spend`".into(),
            Cause::Stopping => "the service stops".into(),
            Cause::Transferred => "transferred".into(),
            Cause::Forwarded => "forwarded to a number outside; Twilio calls it".into(),
        }
    }
}

/// What a caller hears of the callee's final response: statuses that concern only the gateway and that hop are not
/// passed on (RFC 3261 section 16.7 step 6 for 401, 407; RFC 3398 for the others).
fn relayed(code: u16) -> u16 {
    match code {
        // Our registration, our request: not the caller's fault.
        400..=402 | 405..=407 | 413..=423 | 481..=483 | 491 | 493 | 494 => 502,
        408 => 480,
        485 => 404,
        // 6xx would end a search elsewhere that is not ours to end.
        600 => 486,
        604 => 404,
        606 => 488,
        300..=399 => 480,
        code if (400..=699).contains(&code) => code,
        _ => 500,
    }
}

/// SIP status to Q.850 cause (RFC 3398 section 8.2.6.1).
fn q850(code: u16) -> u16 {
    match code {
        400 | 401 | 402 | 403 | 407 | 603 => 21,
        404 | 485 | 604 => 1,
        405 => 63,
        406 | 415 | 488 | 606 => 65,
        408 | 504 => 102,
        410 => 22,
        413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
        480 => 18,
        481 | 500 | 503 => 41,
        482 | 483 => 25,
        484 => 28,
        486 | 600 => 17,
        501 => 79,
        502 => 38,
        _ => 31,
    }
}

/// The better of two final responses when several handsets refuse (RFC 3261 section 16.7 step 6, with what a person
/// understands first: declined, then busy, then the lowest class).
pub fn better(a: u16, b: u16) -> u16 {
    fn rank(code: u16) -> (u8, u16) {
        match code {
            603 | 600 => (0, code),
            486 => (1, code),
            480 | 487 => (3, code),
            408 => (4, code),
            code if (300..500).contains(&code) => (2, code),
            code => (5, code),
        }
    }
    if rank(b) < rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_handset_weighs_more_than_one_that_timed_out() {
        assert_eq!(better(408, 486), 486);
        assert_eq!(better(486, 408), 486);
        assert_eq!(better(486, 603), 603);
    }

    #[test]
    fn our_own_credentials_being_refused_is_not_shown_as_a_challenge_to_the_caller() {
        assert_eq!(Cause::Refused(407).status(), 502);
        assert_eq!(Cause::Refused(486).status(), 486);
        assert_eq!(Cause::Refused(404).status(), 404);
        assert_eq!(Cause::Refused(999).status(), 500);
    }
}
