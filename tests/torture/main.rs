//! What `sip::wire` and the typed header readers do with the messages of RFC 4475, with everything that rsip's own
//! parser gets wrong, with messages as real phones and Twilio send them, and with noise.

mod noise;
mod phones;
mod rfc4475;
mod rsip_defects;

use gateway_core::sip::header::{self, HeaderError, NameAddr, Via};
use gateway_core::sip::wire::{Datagram, ReadError, read_datagram, write_request, write_response};
use rsip::{Headers, Request, Response, SipMessage};

fn read(bytes: &[u8]) -> Result<SipMessage, ReadError> {
    match read_datagram(bytes)? {
        Datagram::Message(message) => Ok(message),
        Datagram::Keepalive => panic!("a keepalive, not a message"),
    }
}

#[track_caller]
fn request(bytes: impl AsRef<[u8]>) -> Request {
    match read(bytes.as_ref()) {
        Ok(SipMessage::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn response(bytes: impl AsRef<[u8]>) -> Response {
    match read(bytes.as_ref()) {
        Ok(SipMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

fn write(message: &SipMessage) -> Vec<u8> {
    match message {
        SipMessage::Request(request) => write_request(request),
        SipMessage::Response(response) => write_response(response),
    }
}

fn headers(message: &SipMessage) -> &Headers {
    match message {
        SipMessage::Request(request) => &request.headers,
        SipMessage::Response(response) => &response.headers,
    }
}

/// The first typed reader that refuses a header of the message.
fn typed(headers: &Headers) -> Result<(), HeaderError> {
    header::values(headers, "Via").try_for_each(|v| Via::parse(v).map(drop))?;
    for name in ["From", "To", "Route", "Record-Route"] {
        let named = |_| HeaderError(name);
        header::values(headers, name).try_for_each(|v| NameAddr::parse(v).map(drop).map_err(named))?;
    }
    header::contacts(headers)?;
    header::cseq(headers)?;
    for number in [header::max_forwards, header::expires, header::min_expires, header::min_se, header::retry_after] {
        number(headers)?;
    }
    header::values(headers, "Content-Length")
        .try_for_each(|v| v.parse::<u32>().map(drop).map_err(|_| HeaderError("Content-Length")))?;
    header::session_expires(headers)?;
    header::rack(headers)?;
    header::date(headers)?;
    Ok(())
}

/// A request in the LAN's common form; `lines` are appended to its headers.
fn invite(lines: &str) -> String {
    format!(
        "INVITE sip:102@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport\r\n\
         From: <sip:101@192.0.2.1>;tag=1\r\nTo: <sip:102@192.0.2.1>\r\nCall-ID: c@192.0.2.7\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\n{lines}\r\n"
    )
}
