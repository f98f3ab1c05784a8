//! `gateway dial 101 5035551212`: the dialplan offline, with reasons.

use super::credentials::shown;
use super::dialplan::{WebhookRequest, answer};
use super::document::Document;
use super::form::Form;
use super::{Endpoint, OUTGOING_PATH};
use crate::config::Config;
use crate::context::Spending;
use crate::route::{Caller, Route, number, route};
use crate::sip::uri;

/// What a call would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the gateway itself does.
    pub route: Route,
    /// What our webhook answers if Twilio asks it about this call.
    pub document: Document,
    /// The same in sentences.
    pub lines: Vec<String>,
}

/// The call of `extension` to `dialled`, by the very code that real calls pass.
pub fn explain(config: &Config, extension: &str, dialled: &str) -> Explanation {
    let route = route(config, Caller::Extension(extension), dialled);
    let domain = &config.trunk.domain;
    let user = number::dialled(dialled).unwrap_or_else(|_| dialled.to_owned());
    let form = Form::of([
        ("From", uri::write(&uri::sip(Some(extension), domain, None))),
        ("To", uri::write(&uri::sip(Some(&user), domain, None))),
        ("SipDomain", domain.clone()),
    ]);
    let base = &shown(config, &config.webhook.public_url);
    let (endpoint, carrier, spending) = (Endpoint::Outgoing, Some(config.site.user.as_str()), &Spending::Open);
    let request = WebhookRequest { endpoint, base, form, carrier, call_back: &|_| None, forward: &|_| None, spending };
    let document = answer(config, &request).document.unwrap_or_default();
    let lines = lines(config, extension, dialled, &route);
    Explanation { route, document, lines }
}

fn lines(config: &Config, extension: &str, dialled: &str, route: &Route) -> Vec<String> {
    let mut lines = Vec::new();
    if config.extension(extension).is_none() {
        let names: Vec<_> = config.extensions.iter().map(|e| e.name.as_str()).collect();
        lines.push(format!("gateway.toml has no extension {extension:?}; it has {}", names.join(", ")));
    }
    match route {
        Route::Emergency { number, caller_id } => {
            lines.push(format!("{dialled} is emergency number {number}: it leaves at once, past every limit"));
            lines.push(match caller_id {
                Some(caller_id) => format!("From carries {caller_id}; Twilio asks no webhook"),
                None => "no number can be shown, and Twilio may refuse: set emergency.caller_id".to_owned(),
            });
        }
        Route::Local { extensions } => {
            lines.push(format!("{dialled} rings {} here, without Twilio", extensions.join(", ")));
        }
        Route::Outside { number, caller_id } => {
            lines.push(format!("{dialled} is {number}, outside; the called party sees {caller_id}"));
            lines.push(format!("Twilio asks {}{OUTGOING_PATH} and is told to dial it", config.webhook.public_url));
        }
        Route::Refuse { code, reason } => lines.push(format!("{dialled} is refused with {code}: {reason}")),
    }
    lines
}
