//! The emergency service calls back: a call that broke off is the first thing that it tries again.
//!
//! Rule: for [`CALL_BACK`] after an emergency call, a call from outside to the number that was shown rings the phone that
//! called, before and past everything else.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use rsip::Uri;

use crate::sip::flow::Flow;
use crate::time::Instant;

/// How long the service may call back (60 minutes).
pub const CALL_BACK: Duration = Duration::from_secs(3600);

/// Phones that are remembered; the oldest call goes first.
pub const MAX_PHONES: usize = 32;

/// A phone that made an emergency call.
#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    /// The number that the service saw, E.164.
    pub number: String,
    /// The extension that the call back is for at the SIP domain: the phone's own, or any.
    pub extension: String,
    /// Whether the phone is known to be one of that extension.
    pub is_own: bool,
    /// Where the call came from; gone with its connection.
    pub flow: Option<Flow>,
    /// The address that it came from.
    pub address: IpAddr,
    /// What the phone calls itself.
    pub contact: Uri,
    pub until: Instant,
}

/// The phones that a call back is for.
#[derive(Debug, Default)]
pub struct CallBacks(VecDeque<Phone>);

impl CallBacks {
    /// A phone made an emergency call. The latest one that showed a number is the one that its call back is for.
    pub fn remember(&mut self, now: Instant, phone: Phone) {
        self.0.retain(|other| other.until > now && other.number != phone.number);
        if self.0.len() >= MAX_PHONES {
            self.0.pop_front();
        }
        self.0.push_back(phone);
    }

    /// The phone that a call from outside to an extension is for. `is_marked`: it carries [`header::CALL_BACK`](crate::sip::header::CALL_BACK); without it only a
    /// phone that is the extension's own is meant.
    pub fn phone(&self, now: Instant, extension: &str, is_marked: Marked) -> Option<&Phone> {
        let meant = |phone: &&Phone| phone.extension == extension && (phone.is_own || is_marked == Marked::Yes);
        self.0.iter().rev().filter(|phone| phone.until > now).find(meant)
    }

    /// The phone that a call from outside to a number (E.164) is for.
    pub fn of_number(&self, now: Instant, number: &str) -> Option<&Phone> {
        self.0.iter().find(|phone| phone.until > now && phone.number == number)
    }

    /// A connection ended: what called by it is reached where it is registered, or by the flow there is `instead` to its
    /// Contact, or not at all.
    pub fn flow_down(&mut self, flow: Flow, mut instead: impl FnMut(&Uri) -> Option<Flow>) {
        for phone in self.0.iter_mut().filter(|phone| phone.flow == Some(flow)) {
            phone.flow = instead(&phone.contact);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether an INVITE carries [`header::CALL_BACK`](crate::sip::header::CALL_BACK).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::flow::Transport;
    use crate::sip::uri;

    fn phone(number: &str, extension: &str, is_own: bool, host: u8, now: Instant) -> Phone {
        let remote = std::net::SocketAddr::from(([192, 168, 1, host], 5060));
        let flow = Flow { transport: Transport::Udp, local: remote, remote, connection: 0 };
        let contact = uri::sip(Some("x"), "192.168.1.9", None);
        Phone {
            number: number.into(),
            extension: extension.into(),
            is_own,
            flow: Some(flow),
            address: remote.ip(),
            contact,
            until: now + CALL_BACK,
        }
    }

    #[test]
    fn a_call_back_is_for_the_phone_that_showed_the_number_last_and_for_an_hour() {
        let mut all = CallBacks::default();
        all.remember(Instant::ZERO, phone("+1", "101", true, 1, Instant::ZERO));
        let later = Instant::ZERO + Duration::from_secs(60);
        all.remember(later, phone("+1", "102", true, 2, later));
        assert_eq!(all.phone(later, "101", Marked::No), None, "another phone has called since with that number");
        assert_eq!(
            all.phone(later, "102", Marked::No).map(|phone| phone.address.to_string()).as_deref(),
            Some("192.168.1.2")
        );
        assert_eq!(all.phone(later + CALL_BACK, "102", Marked::Yes), None);
    }

    #[test]
    fn a_phone_that_is_of_no_extension_is_rung_by_a_marked_call_alone() {
        let mut all = CallBacks::default();
        all.remember(Instant::ZERO, phone("+1", "101", false, 1, Instant::ZERO));
        assert_eq!(all.phone(Instant::ZERO, "101", Marked::No), None);
        assert!(all.phone(Instant::ZERO, "101", Marked::Yes).is_some());
        assert_eq!(all.phone(Instant::ZERO, "102", Marked::Yes), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut all = CallBacks::default();
        for n in 0..1000 {
            all.remember(Instant::ZERO, phone(&format!("+{n}"), "101", true, 1, Instant::ZERO));
        }
        assert_eq!(all.len(), MAX_PHONES);
    }
}
