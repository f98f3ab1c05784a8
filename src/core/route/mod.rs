//! Where a handset's call goes. Pure: the configuration and what was dialled, nothing else.
//!
//! Emergency is decided first, before anything can say no.

pub mod number;
pub mod shown;
pub mod target;

use crate::config::{Config, Extension, Number};
use crate::emergency::Wanted;
use crate::sip::dialled::{Dialled, in_context, presentation, without_dial_key};
use number::NumberError;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// An extension that proved itself.
    Extension(&'a str),
    /// A handset that is not registered or gave no credentials: emergency calls only.
    Unknown,
}

/// What is to be done with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight to the trunk, past every limit. `number` as in `[emergency] numbers`; `caller_id` is the E.164 number
    /// that the From must carry (TWILIO.md "Emergency caller"), `None` only when the configuration holds no number at
    /// all.
    Emergency { number: String, caller_id: Option<String> },
    /// To our own handsets, all of these extensions at once.
    Local { extensions: Vec<String> },
    /// To Twilio, which asks our webhook. `number` is E.164 (`+1NNN` for a three-digit service), `caller_id` what the
    /// called party sees.
    Outside { number: String, caller_id: String },
    /// Not to be made; a SIP status and what to tell the caller and the log.
    Refuse { code: u16, reason: String },
}

/// The route of a call from `caller` to a text: a URI, or its user part alone.
pub fn route(config: &Config, caller: Caller<'_>, text: &str) -> Route {
    match Dialled::of_text(text) {
        Ok(dialled) => route_dialled(config, caller, &dialled),
        Err(error) => unusable(error.into()),
    }
}

/// The route of a call from `caller` to what was dialled.
pub fn route_dialled(config: &Config, caller: Caller<'_>, dialled: &Dialled) -> Route {
    let extension = match caller {
        Caller::Extension(name) => config.extension(name),
        Caller::Unknown => None,
    };
    if let Some(wanted) = emergency_number(config, dialled) {
        return emergency(config, extension, &wanted);
    }
    match extension {
        Some(extension) => match dialled {
            Dialled::Local { text, context } if !is_home(config, context) => {
                ordinary(config, extension, &in_context(text, context))
            }
            // An extension has no context; what else is short of one is completed.
            Dialled::Local { text, context } if config.extension(text).is_none() => {
                ordinary(config, extension, &in_context(text, context))
            }
            dialled => {
                let text = dialled.text();
                let text = presentation(&text).1;
                // Behind a telephone number alone: what else ends so is for a menu.
                let number = without_dial_key(text);
                ordinary(config, extension, if number::e164(number).is_ok() { number } else { text })
            }
        },
        None => refuse(403, "the handset is no known extension; it may make emergency calls only"),
    }
}

/// Whether digits in this context are dialled as here: in North America, or in the country of a number of ours.
fn is_home(config: &Config, context: &str) -> bool {
    let ours = |number: &str| number.trim_start_matches('+').starts_with(context);
    context.starts_with('1') || config.numbers.iter().any(|number| ours(&number.number))
}

/// The emergency number that was dialled, if it was one.
pub fn emergency_number(config: &Config, dialled: &Dialled) -> Option<Wanted> {
    config.emergency.numbers.wanted(dialled, |name| config.extension(name).is_some())
}

/// The answer to what cannot have been dialled.
pub fn unusable(error: NumberError) -> Route {
    refuse(error.code(), error)
}

fn refuse(code: u16, reason: impl ToString) -> Route {
    Route::Refuse { code, reason: reason.to_string() }
}

fn emergency(config: &Config, extension: Option<&Extension>, wanted: &Wanted) -> Route {
    match extension {
        // The administrator took the right away from this extension (a phone in a public place).
        Some(extension) if !extension.emergency => {
            refuse(403, format!("extension {} has no right to emergency calls", extension.name))
        }
        _ => {
            let caller_id = emergency_caller_id(config, extension);
            Route::Emergency { number: wanted.number(caller_id), caller_id: caller_id.map(str::to_owned) }
        }
    }
}

/// The extension's own number, so that the right address is shown; else the site's; else any number of ours, because
/// Twilio refuses an emergency call whose From is not a number (TWILIO.md "Emergency caller").
fn emergency_caller_id<'a>(config: &'a Config, extension: Option<&'a Extension>) -> Option<&'a str> {
    extension
        .and_then(|e| e.caller_id.as_deref())
        .or(config.emergency.caller_id.as_deref())
        .or_else(|| extension.and_then(|e| number_of(config, e)))
        .or_else(|| config.numbers.first().map(|n| n.number.as_str()))
}

fn ordinary(config: &Config, extension: &Extension, user: &str) -> Route {
    if config.extension(user).is_some() {
        return Route::Local { extensions: vec![user.to_owned()] };
    }
    if user.contains('#') || user.contains('*') || user == "0" {
        return refuse(404, format!("{user:?} is for menus and services, and this gateway has none"));
    }
    // Our own numbers go before the rules: they may be in a country that may not be called.
    let number = number::e164(user);
    let own = match &number {
        Ok(number) => config.number(number),
        Err(_) => config.number(user),
    };
    if let Some(own) = own {
        return match own.ring.is_empty() {
            false => Route::Local { extensions: own.ring.clone() },
            true => refuse(486, format!("no extension has number {}", own.number)),
        };
    }
    let number = number.and_then(|number| number::permit(&config.dialing, &number).map(|()| number));
    match (number, caller_id(config, extension)) {
        (Err(error), _) => refuse(error.code(), error),
        (Ok(number), Some(caller_id)) => Route::Outside { number, caller_id: caller_id.to_owned() },
        (Ok(_), None) => refuse(
            403,
            format!("extension {} has no caller_id, and there is no [[number]] to show instead", extension.name),
        ),
    }
}

/// What a called party outside sees: the extension's `caller_id`; else a number that rings it; else one that rings
/// nobody (kept for just this); else any of ours. Twilio refuses an outside call from a SIP domain
/// without a number of the account (13214, TWILIO.md "Caller ID of a Dial").
pub fn caller_id<'a>(config: &'a Config, extension: &'a Extension) -> Option<&'a str> {
    let unowned = || config.numbers.iter().find(|n| n.ring.is_empty()).or(config.numbers.first());
    extension
        .caller_id
        .as_deref()
        .or_else(|| number_of(config, extension))
        .or_else(|| unowned().map(|n| n.number.as_str()))
}

/// What a called party outside sees of an extension that withholds its number. Twilio shows a number of the account or
/// none of the call ([`caller_id`]), so it is one that says least about who calls: one that rings nobody, else one that
/// does not ring this extension, else one that rings others, too; the extension's own where there is no other.
pub fn withheld_caller_id<'a>(config: &'a Config, extension: &'a Extension) -> Option<&'a str> {
    let own = extension.caller_id.as_deref();
    let tells = |number: &&Number| match &number.ring[..] {
        _ if Some(number.number.as_str()) == own => 4,
        [] => 0,
        ring if !ring.contains(&extension.name) => 1,
        [_, _, ..] => 2,
        [_] => 3,
    };
    let least = config.numbers.iter().min_by_key(tells).map(|number| number.number.as_str());
    least.or_else(|| caller_id(config, extension))
}

/// Whether the configuration knows a number as one of ours: its From may be believed to be an emergency call's.
pub fn is_ours(config: &Config, number: &str) -> bool {
    let caller_ids = config.extensions.iter().filter_map(|e| e.caller_id.as_deref());
    config.number(number).is_some() || caller_ids.chain(config.emergency.caller_id.as_deref()).any(|id| id == number)
}

/// A number that rings the extension.
fn number_of<'a>(config: &'a Config, extension: &Extension) -> Option<&'a str> {
    config.numbers.iter().find(|n| n.ring.contains(&extension.name)).map(|n| n.number.as_str())
}
