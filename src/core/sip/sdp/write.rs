//! Writes a description.

use std::net::IpAddr;

use super::{Local, Profile, Remote, Stream};

/// An offer, or an answer to `offer` (as many `m=` lines in the same order, others refused with port 0).
pub fn write(local: &Local, offer: Option<&Remote>) -> Vec<u8> {
    match offer {
        None => {
            let mut out = session(local);
            let proto = match local.profile {
                Profile::Plain | Profile::Beside => "RTP/AVP",
                Profile::Secure => "RTP/SAVP",
            };
            audio(&mut out, local, proto);
            out.into_bytes()
        }
        Some(offer) => rewrite(local, &offer.streams, offer.audio),
    }
}

/// A later offer of ours to someone who has described these streams: a session never loses `m=` lines, and each keeps
/// its place and its profile (RFC 3264 section 8). All have port 0, but for the audio stream at `at`.
pub fn rewrite(local: &Local, lines: &[Stream], at: usize) -> Vec<u8> {
    let mut out = session(local);
    for (index, stream) in lines.iter().enumerate() {
        if index == at {
            audio(&mut out, local, &stream.proto);
        } else {
            // A description needs at least one fmt (RFC 8866 section 5.14).
            let fmt = if stream.fmt.is_empty() { "0" } else { &stream.fmt };
            line(&mut out, &format!("m={} 0 {} {fmt}", stream.media, stream.proto));
        }
    }
    out.into_bytes()
}

fn session(local: &Local) -> String {
    format!(
        "v=0\r\no=- {} {} {}\r\ns=-\r\nc={}\r\nt=0 0\r\n",
        local.session_id,
        local.version,
        connection(local.origin),
        connection(local.address)
    )
}

/// Network type, address type and address (RFC 8866 section 5.7).
fn connection(address: IpAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("IN {family} {address}")
}

fn audio(out: &mut String, local: &Local, proto: &str) {
    let payload_types: Vec<String> = local
        .codecs
        .iter()
        .map(|codec| codec.payload_type())
        .chain(local.telephone_event)
        .map(|payload_type| payload_type.to_string())
        .collect();
    line(out, &format!("m=audio {} {proto} {}", local.rtp.port(), payload_types.join(" ")));
    for crypto in &local.crypto {
        line(out, &format!("a=crypto:{}", crypto.to_sdp()));
    }
    for codec in &local.codecs {
        line(out, &format!("a=rtpmap:{} {}/8000", codec.payload_type(), codec.name()));
    }
    if let Some(payload_type) = local.telephone_event {
        line(out, &format!("a=rtpmap:{payload_type} telephone-event/8000"));
        line(out, &format!("a=fmtp:{payload_type} 0-16"));
    }
    if let Some(ptime) = local.ptime {
        line(out, &format!("a=ptime:{ptime}"));
    }
    line(out, &format!("a={}", local.direction.token()));
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\r\n");
}
