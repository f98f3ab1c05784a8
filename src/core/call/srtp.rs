//! Which profile a handset is offered. SDP has no offer of "SRTP or RTP" that all phones read, so that the rule is: **a
//! handset is called in the profile that it was last known to speak, and asked once more in the other one when it
//! refuses.**
//!
//! | `srtp` of its extension | first | after 488 or 606 |
//! |---|---|---|
//! | `auto` | what its own last offer was, or its last answer; before one, plain RTP | the other of plain and SAVP |
//! | `required` | SAVP, or keys beside RTP/AVP where its own offers are so | the other of these two |
//! | `off` | plain RTP | |
//!
//! What handsets offer themselves is taken as it comes; under `required` one without keys is refused with 488. An
//! emergency call is never asked for keys.

use super::leg::{Leg, Party, Scope, State};
use super::{Core, LegId};
use crate::config::Srtp;
use crate::emergency::Priority;
use crate::sip::sdp::Profile;

/// The first offer to a handset that was last known to speak `spoken`.
fn first(setting: Srtp, spoken: Option<Profile>) -> Profile {
    match (setting, spoken) {
        (Srtp::Off, _) => Profile::Plain,
        (Srtp::Required, Some(Profile::Beside)) => Profile::Beside,
        (Srtp::Required, _) | (Srtp::Auto, Some(Profile::Secure)) => Profile::Secure,
        // With keys beside, plain RTP does as well (RFC 8643).
        (Srtp::Auto, _) => Profile::Plain,
    }
}

/// The offer after one that was refused.
fn second(setting: Srtp, refused: Profile) -> Option<Profile> {
    match (setting, refused) {
        (Srtp::Off, _) => None,
        (Srtp::Auto, Profile::Plain | Profile::Beside) | (Srtp::Required, Profile::Beside | Profile::Plain) => {
            Some(Profile::Secure)
        }
        (Srtp::Auto, Profile::Secure) => Some(Profile::Plain),
        (Srtp::Required, Profile::Secure) => Some(Profile::Beside),
    }
}

/// How a handset's leg is offered its media first; `None` where it is no handset of an extension.
pub(super) fn proposal(core: &Core<'_, '_>, leg: &Leg) -> Option<Profile> {
    let Party::Handset(Some(extension)) = &leg.party else { return None };
    let setting = core.cx.config.extension(extension)?.srtp;
    Some(first(setting, core.registrar.spoken(extension, leg.flow)))
}

impl super::Calls {
    /// Remembers what a handset of an extension speaks: it offered or answered so. An emergency call's phone may not be
    /// the extension that it says.
    pub(super) fn learn_profile(&self, core: &mut Core<'_, '_>, id: LegId, profile: Profile) {
        let Some(leg) = self.legs.get(&id).filter(|leg| leg.priority == Priority::Ordinary) else { return };
        if let Party::Handset(Some(extension)) = &leg.party {
            core.registrar.learn_profile(extension, leg.flow, profile);
        }
    }
}

impl Leg {
    /// A handset has refused our offer: the next one, if there is another profile to try. The description of it.
    pub(super) fn offer_in_other_profile(&mut self, scope: &mut Scope<'_, '_>) -> Option<Vec<u8>> {
        let Party::Handset(Some(extension)) = &self.party else { return None };
        let setting = scope.cx.config.extension(extension)?.srtp;
        let State::Outgoing(outgoing) = &mut self.state else { return None };
        if std::mem::replace(&mut outgoing.offered_again, true) {
            return None;
        }
        let negotiation = self.negotiation.as_mut()?;
        let next = second(setting, negotiation.profile())?;
        let codecs = negotiation.described();
        negotiation.propose(next);
        Some(negotiation.offer(&codecs, self.wish, scope.cx.random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handset_is_offered_what_it_speaks_and_then_the_other() {
        use Profile::{Beside, Plain, Secure};
        for (setting, spoken, offers) in [
            (Srtp::Auto, None, (Plain, Some(Secure))),
            (Srtp::Auto, Some(Plain), (Plain, Some(Secure))),
            (Srtp::Auto, Some(Beside), (Plain, Some(Secure))),
            (Srtp::Auto, Some(Secure), (Secure, Some(Plain))),
            (Srtp::Required, None, (Secure, Some(Beside))),
            (Srtp::Required, Some(Plain), (Secure, Some(Beside))),
            (Srtp::Required, Some(Beside), (Beside, Some(Secure))),
            (Srtp::Off, Some(Secure), (Plain, None)),
        ] {
            let offered = first(setting, spoken);
            assert_eq!((offered, second(setting, offered)), offers, "{setting:?} {spoken:?}");
        }
    }
}
