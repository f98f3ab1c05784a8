//! Everything that `TWILIO.md` calls uncertain (or leaves to the far end) and that a first call touches.
//!
//! The defaults are what the document prefers; a client must pass with each switch either way.

use serde::{Deserialize, Serialize};

/// How the simulator behaves where Twilio's behaviour is not known for certain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Answer to a wrong password: 407 again, or 403 with `X-Twilio-Error: 32202` (TWILIO.md "Wrong password").
    pub wrong_password_code: u16,
    /// How many requests a nonce serves before it is stale (0 = for ever); the new challenge is a 407 without `stale`
    /// unless `say_stale` (TWILIO.md "Challenge").
    pub nonce_uses: u32,
    /// Add `stale=true` to the challenge that replaces a used-up nonce (TWILIO.md "Challenge").
    pub say_stale: bool,
    /// Expires granted when the REGISTER names none (TWILIO.md "Registration").
    pub default_expires: u32,
    /// Below the minimum: refuse with 423 (the official page) or raise it to 600 silently (TWILIO.md "Registration").
    pub min_expires_is_423: bool,
    /// Answer CRLFCRLF with CRLF (TWILIO.md "Keepalive").
    pub crlf_pong: bool,
    /// Refuse a TLS client that sends no SNI (TWILIO.md "TLS").
    pub require_sni: bool,
    /// SIP code when SRTP does not match the `secure` flag: 488 or 403 (TWILIO.md "SRTP").
    pub srtp_refusal_code: u16,
    /// Offer SRTP to a registered contact of a secure domain even without `;secure=true` (TWILIO.md "SRTP").
    pub srtp_to_registered: bool,
    /// Send 183 with SDP and the far end's sound before the answer (TWILIO.md "Early media").
    pub early_media: bool,
    /// Send the old `SipUsername` field in SIP webhooks (TWILIO.md "Webhook of a call from an extension").
    pub sip_username: bool,
    /// `SipDomain` is the global name even when an edge host was dialled
    /// (TWILIO.md "Webhook of a call from an extension").
    pub sip_domain_normalised: bool,
    /// `To` of the webhook names the global host even when an edge host was dialled
    /// (TWILIO.md "Webhook of a call from an extension").
    pub to_host_normalised: bool,
    /// Refuse an INVITE whose From user is not the digest user (TWILIO.md "Call from an extension").
    pub invite_from_enforced: bool,
    /// `Supported: timer` and `Min-SE: 120` in INVITEs to extensions (TWILIO.md "Session timers").
    pub session_timer: bool,
    /// `Session-Expires` in INVITEs to extensions, in seconds; 0 = none (TWILIO.md "Session timers").
    pub session_expires: u32,
    /// Leave `CallToken` and `StirVerstat` out of the signature (TWILIO.md "Signature").
    pub sign_without_call_token: bool,
    /// Send `ApplicationSid` for calls that an app handles (TWILIO.md "Webhook of a call to a number").
    pub application_sid: bool,
    /// Code of a duplicate username in one list: 21240 or 21243 (TWILIO.md "Duplicates").
    pub duplicate_credential_code: u32,
    /// 911/933 on a domain without `EmergencyCallingEnabled`: ask the webhook, or bypass it all the same
    /// (TWILIO.md "Emergency numbers").
    pub emergency_needs_flag: bool,
    /// SIP code of a call to a domain without a working voice URL (TWILIO.md "Call from an extension").
    pub no_voice_url_code: u16,
    /// `DialSipResponseCode` of a call to a user without a binding; 0 = field absent (TWILIO.md "Dial action").
    pub unregistered_code: u16,
    /// `DialCallStatus` of a 603 is `busy` (else `failed`) (TWILIO.md "Dial action").
    pub decline_is_busy: bool,
    /// Ask the Dial action also when the caller hung up first (TWILIO.md "Dial action").
    pub action_after_caller_hangup: bool,
    /// HTTP status of a second Service of the same UniqueName: 409 (with 20409), or 400 (with 20001)
    /// (TWILIO.md "API errors").
    pub duplicate_service_status: u16,
    /// "Enhanced Programmable SIP Features" is on in the console: several `<Sip>` nouns and several contacts of a user ring
    /// at once, up to ten (TWILIO.md "Dial").
    pub enhanced_sip: bool,
    /// Without it, a `<Dial>` with a second `<Sip>` fails; else the second one is left out (TWILIO.md "Dial").
    pub second_sip_fails: bool,
    /// Without it, a `<Number>` may stand beside one `<Sip>`; else it counts as a second `<Sip>` does (TWILIO.md "Dial").
    pub sip_beside_number: bool,
    /// How often a build is read before it is finished; Twilio takes seconds, here reads are the clock
    /// (TWILIO.md "Builds and deployments").
    pub build_reads: u32,
    /// Send `Retry-After: 1` with a 429 (TWILIO.md "API rate limits").
    pub retry_after: bool,
    /// Re-INVITE (refresh, same media) this many milliseconds after the answer; 0 = never
    /// (TWILIO.md "Requests within a call").
    pub reinvite_after_ms: u64,
    /// The re-INVITE puts the far end on hold (`a=sendonly`) and takes it back 300 ms later
    /// (TWILIO.md "Requests within a call").
    pub reinvite_is_hold: bool,
    /// SIP code for a re-INVITE that comes by another connection than its dialog began on; 0 = it is taken
    /// (TWILIO.md "Requests within a call").
    pub moved_dialog_code: u16,
    /// How long Twilio waits for the ACK of a 200 (TWILIO.md "Call from an extension").
    pub ack_timeout_ms: u64,
    /// How many reads of a number still see its emergency address pending (TWILIO.md "Emergency addresses").
    pub registration_reads: u32,
    /// `emergency_address_sid` keeps the old address until it is unregistered (TWILIO.md "Emergency addresses").
    pub cleared_address_lingers: bool,
    /// Order of the pair in `auth_type`: `IP_ACL,CREDENTIAL_LIST` or the other way round (TWILIO.md "Domain settings").
    pub auth_type_acl_first: bool,
    /// A domain that still has mappings can be deleted (TWILIO.md "Domain settings").
    pub delete_mapped_domain: bool,
    /// Addresses in one IP access control list (TWILIO.md "IP access lists").
    pub max_ip_addresses: usize,
    /// Capabilities of available numbers are `SMS` and `MMS` instead of the specification's `sms`
    /// (TWILIO.md "Numbers for sale").
    pub mixed_case_capabilities: bool,
}

/// Every switch turned away from its default, in groups that can live together: the first story of the product must
/// pass with each group (`cargo demo -- --once --contrary`).
pub const CONTRARY: &[&[&str]] = &[
    &[
        "crlf_pong=false",
        "nonce_uses=1",
        "early_media=true",
        "sip_username=true",
        "application_sid=true",
        "require_sni=true",
        "retry_after=true",
        "ack_timeout_ms=4000",
        "registration_reads=0",
        "enhanced_sip=true",
    ],
    &[
        "wrong_password_code=403",
        "nonce_uses=1",
        "say_stale=true",
        "sip_domain_normalised=false",
        "session_timer=true",
        "session_expires=1800",
        "reinvite_after_ms=800",
        "unregistered_code=480",
        "second_sip_fails=true",
        "sip_beside_number=true",
    ],
    &[
        "reinvite_after_ms=800",
        "reinvite_is_hold=true",
        "srtp_to_registered=true",
        "sign_without_call_token=true",
        "action_after_caller_hangup=true",
        "decline_is_busy=false",
        "moved_dialog_code=481",
    ],
    &[
        "min_expires_is_423=false",
        "invite_from_enforced=true",
        "default_expires=600",
        "to_host_normalised=true",
        "srtp_refusal_code=403",
        "emergency_needs_flag=false",
        "duplicate_credential_code=21243",
        "duplicate_service_status=400",
        "build_reads=0",
        "no_voice_url_code=403",
        "cleared_address_lingers=true",
        "auth_type_acl_first=false",
        "delete_mapped_domain=false",
        "max_ip_addresses=25",
        "mixed_case_capabilities=true",
    ],
];

impl Default for Switches {
    fn default() -> Self {
        Self {
            wrong_password_code: 407,
            nonce_uses: 0,
            say_stale: false,
            default_expires: 3600,
            min_expires_is_423: true,
            crlf_pong: true,
            require_sni: false,
            srtp_refusal_code: 488,
            srtp_to_registered: false,
            early_media: false,
            sip_username: false,
            sip_domain_normalised: true,
            to_host_normalised: false,
            invite_from_enforced: false,
            session_timer: false,
            session_expires: 0,
            sign_without_call_token: false,
            application_sid: false,
            duplicate_credential_code: 21240,
            emergency_needs_flag: true,
            no_voice_url_code: 404,
            unregistered_code: 0,
            decline_is_busy: true,
            action_after_caller_hangup: false,
            duplicate_service_status: 409,
            enhanced_sip: false,
            second_sip_fails: false,
            sip_beside_number: false,
            build_reads: 2,
            retry_after: false,
            reinvite_after_ms: 0,
            reinvite_is_hold: false,
            moved_dialog_code: 0,
            ack_timeout_ms: 32_000,
            registration_reads: 2,
            cleared_address_lingers: false,
            auth_type_acl_first: true,
            delete_mapped_domain: true,
            max_ip_addresses: 100,
            mixed_case_capabilities: false,
        }
    }
}

impl Switches {
    /// Sets one switch from text, as in `crlf_pong=false`; the error names what is wrong.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let (name, value) = assignment.split_once('=').ok_or_else(|| format!("{assignment}: write NAME=VALUE"))?;
        let value = serde_json::from_str(value).map_err(|e| format!("{name}: {e}; write true, false or a number"))?;
        let mut all = serde_json::to_value(&*self).map_err(|e| e.to_string())?;
        all[name] = value;
        *self = serde_json::from_value(all).map_err(|e| format!("{assignment}: {e}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_set_from_text_and_a_wrong_name_is_refused() {
        let mut switches = Switches::default();
        switches.set("crlf_pong=false").unwrap();
        switches.set("wrong_password_code=403").unwrap();
        assert!(!switches.crlf_pong);
        assert_eq!(switches.wrong_password_code, 403);
        assert!(switches.set("no_such_switch=1").is_err());
        assert!(switches.set("crlf_pong=7").is_err());
    }

    #[test]
    fn every_switch_is_turned_in_some_group() {
        let default = serde_json::to_value(Switches::default()).unwrap();
        let mut left: Vec<&String> = default.as_object().unwrap().keys().collect();
        for group in CONTRARY {
            let mut switches = Switches::default();
            group.iter().for_each(|assignment| switches.set(assignment).unwrap());
            let turned = serde_json::to_value(switches).unwrap();
            left.retain(|name| turned[name.as_str()] == default[name.as_str()]);
        }
        assert!(left.is_empty(), "{left:?}");
    }
}
