//! What a datagram seems to be, before anything is parsed: a reader that has more than it can serve goes by it.
//!
//! A wrong glance costs a place in a queue, never an answer: the engine reads the datagram anew, and decides by itself.

use crate::config::Config;
use crate::route;
use crate::sip::dialled::Dialled;
use crate::sip::wire::MAX_HEAD;

/// What a datagram seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// An INVITE that begins an emergency call.
    Emergency,
    /// It belongs to something in progress: a response, ACK, CANCEL, or a request with a tag in To.
    InProgress,
    /// Everything else.
    Other,
}

/// The one glance.
pub fn glance(config: &Config, bytes: &[u8]) -> Glance {
    let bytes = bytes.trim_ascii_start();
    let mut lines = bytes[..bytes.len().min(MAX_HEAD)].split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    if matches!(method, b"ACK" | b"CANCEL") || starts_with(method, b"SIP/") || lines.any(is_tagged_to) {
        return Glance::InProgress;
    }
    let uri = match method {
        b"INVITE" => words.next().and_then(|uri| std::str::from_utf8(uri).ok()),
        _ => None,
    };
    let dialled = uri.and_then(|uri| Dialled::of_text(uri).ok());
    match dialled.and_then(|dialled| route::emergency_number(config, &dialled)) {
        Some(_) => Glance::Emergency,
        None => Glance::Other,
    }
}

/// Whether a line is a To header with a tag, in its long form or its short one (RFC 3261 section 7.3.3).
fn is_tagged_to(line: &[u8]) -> bool {
    let is_to = line.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b't'))
        && line.split(|byte| *byte == b':').next().is_some_and(|name| {
            let name = name.trim_ascii_end();
            name.len() == 1 || name.eq_ignore_ascii_case(b"to")
        });
    is_to && line.split(|byte| *byte == b';').skip(1).any(|parameter| starts_with(parameter.trim_ascii(), b"tag"))
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    fn seems(text: &str) -> Glance {
        glance(&OfficeFile::new().config(), text.as_bytes())
    }

    #[test]
    fn an_invite_to_an_emergency_number_is_seen_however_it_is_written() {
        for uri in [
            "sip:911@192.168.1.1",
            "tel:911",
            "sip:9-1-1@x;user=phone",
            "urn:service:sos",
            "sips:%39%31%31@x",
            "sip:+911@x",
        ] {
            let text = format!("INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nTo: <{uri}>\r\n\r\n");
            assert_eq!(seems(&text), Glance::Emergency, "{uri}");
            assert_eq!(seems(&format!("\r\n\r\n{text}")), Glance::Emergency, "{uri}");
        }
        for uri in ["sip:101@192.168.1.1", "sip:5035551212@x", "sip:192.168.1.1", "sip:0911@x"] {
            assert_eq!(seems(&format!("INVITE {uri} SIP/2.0\r\nTo: <{uri}>\r\n\r\n")), Glance::Other, "{uri}");
        }
        assert_eq!(seems("REGISTER sip:911@x SIP/2.0\r\nTo: <sip:911@x>\r\n\r\n"), Glance::Other);
    }

    #[test]
    fn what_belongs_to_something_in_progress_is_seen_by_its_tag_or_its_method() {
        for text in [
            "SIP/2.0 200 OK\r\n\r\n",
            "ACK sip:x@y SIP/2.0\r\n\r\n",
            "CANCEL sip:911@y SIP/2.0\r\nTo: <sip:911@y>\r\n\r\n",
            "BYE sip:x@y SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@y>;tag=2\r\n\r\n",
            "INVITE sip:911@y SIP/2.0\r\nt : <sip:911@y> ; TAG = 2\r\n\r\n",
        ] {
            assert_eq!(seems(text), Glance::InProgress, "{text}");
        }
        assert_eq!(seems("OPTIONS sip:x SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x>\r\n\r\n"), Glance::Other);
    }

    #[test]
    fn octets_that_are_no_message_are_other() {
        for bytes in [&b""[..], b"\r\n\r\n", b"\0\0", b"INVITE", b"INVITE ", b"INVITE \xff\xfe SIP/2.0", b"TO:;tag=x"] {
            assert_eq!(glance(&OfficeFile::new().config(), bytes), Glance::Other, "{bytes:?}");
        }
    }
}
