//! Who calls: as the log knows it, and as the called phones see it.

use super::Core;
use super::setup::Invite;
use crate::route::shown::{ANONYMOUS, Shown, is_withheld, shown};
use crate::sip::dialled::{Dialled, Presentation, presentation};
use crate::sip::header::{self, NameAddr, Privacy};
use crate::sip::uri;

/// The host of a From that is not written as it is: each phone sees the address that it reaches us by.
const HERE: &str = "gateway.invalid";

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Calling {
    /// For the log and the status.
    pub name: String,
    /// From of an INVITE to a phone; its host is ours.
    pub shown: NameAddr,
    /// The caller's leg at Twilio, where our own webhook had the call ring here.
    pub inbound: Option<String>,
}

impl Calling {
    /// A phone of an extension, or one that nobody knows.
    pub fn phone(core: &Core<'_, '_>, extension: Option<&str>, incoming: &Invite) -> Calling {
        let named = extension.map(str::to_owned).or_else(|| user(incoming));
        let name = named.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".into());
        let shown = match is_private(incoming) {
            true => NameAddr::anonymous(),
            false => colleague(core, &name),
        };
        Calling { name, shown, inbound: None }
    }

    /// Somebody outside.
    pub fn outside(core: &Core<'_, '_>, incoming: &Invite) -> Calling {
        let seen = match header::privacy(&incoming.request.headers) {
            Privacy::None => shown(core.cx.config, &user(incoming).unwrap_or_default()),
            Privacy::Asked | Privacy::Critical => Shown::Withheld,
        };
        let inbound = header::inbound(&incoming.request.headers).map(str::to_owned);
        match seen {
            Shown::As(name) => Calling { shown: named(&name), name, inbound },
            Shown::Withheld => Calling { name: ANONYMOUS.to_owned(), shown: NameAddr::anonymous(), inbound },
        }
    }
}

/// Whether a phone asks that the called party does not see who calls: by a code that was dialled, which goes first; by its
/// headers, or by a From that says so.
fn is_private(incoming: &Invite) -> bool {
    let from = header::from(&incoming.request.headers).ok();
    let says_so = |from: &NameAddr| {
        let user = uri::user(&from.uri).filter(|user| !user.is_empty());
        user.is_some_and(|user| is_withheld(&user)) || from.display.as_deref().is_some_and(is_withheld)
    };
    let dialled = Dialled::of_uri(&incoming.request.uri).map(|dialled| dialled.text()).unwrap_or_default();
    match presentation(&dialled).0 {
        Some(asked) => asked == Presentation::Withheld,
        None => header::privacy(&incoming.request.headers) != Privacy::None || from.as_ref().is_some_and(says_so),
    }
}

fn user(incoming: &Invite) -> Option<String> {
    header::from(&incoming.request.headers).ok().and_then(|from| uri::user(&from.uri))
}

/// A number or name as From.
pub(super) fn named(name: &str) -> NameAddr {
    NameAddr::new(uri::sip(Some(name), HERE, None))
}

/// An extension as From, with its name for people.
pub(super) fn colleague(core: &Core<'_, '_>, extension: &str) -> NameAddr {
    let display = core.cx.config.extension(extension).and_then(|caller| caller.display_name.clone());
    NameAddr { display, ..named(extension) }
}
