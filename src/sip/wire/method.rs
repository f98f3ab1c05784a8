//! Methods by name. They are case-sensitive (RFC 3261 section 7.1).

use rsip::Method;

/// The Allow header of everything that we answer. SUBSCRIBE, MESSAGE and PUBLISH are read too; whoever gets them
/// refuses them.
pub const METHODS_ALLOWED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, REFER, NOTIFY, INFO, PRACK, UPDATE";

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
