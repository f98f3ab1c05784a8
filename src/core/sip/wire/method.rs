//! Methods by name. They are case-sensitive (RFC 3261 section 7.1).

use rsip::Method;

/// What we take part in as a user agent, inside a dialog and outside (RFC 3261 section 20.5). REGISTER is not among it:
/// handsets alone may send one, never the SIP domain, and never in a call. SUBSCRIBE, MESSAGE and PUBLISH are read, and
/// refused.
const ALLOWED: [Method; 10] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Info,
    Method::Notify,
    Method::PRack,
    Method::Refer,
    Method::Update,
];

/// The value of every Allow header of ours.
pub fn allowed() -> String {
    // Room for a longer list than it is: no second allocation.
    let mut list = String::with_capacity(96);
    for method in ALLOWED {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(method_token(method));
    }
    list
}

macro_rules! methods {
    ($($variant:ident = $token:literal,)*) => {
        /// The token of a method.
        pub fn method_token(method: Method) -> &'static str {
            match method {
                $(Method::$variant => $token,)*
            }
        }

        /// The method of a token; `None` where rsip has no name for it.
        pub fn method_of(token: &str) -> Option<Method> {
            match token {
                $($token => Some(Method::$variant),)*
                _ => None,
            }
        }
    };
}

methods! {
    Ack = "ACK",
    Bye = "BYE",
    Cancel = "CANCEL",
    Info = "INFO",
    Invite = "INVITE",
    Message = "MESSAGE",
    Notify = "NOTIFY",
    Options = "OPTIONS",
    PRack = "PRACK",
    Publish = "PUBLISH",
    Refer = "REFER",
    Register = "REGISTER",
    Subscribe = "SUBSCRIBE",
    Update = "UPDATE",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_what_we_handle() {
        assert_eq!(allowed(), "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, PRACK, REFER, UPDATE");
    }
}
