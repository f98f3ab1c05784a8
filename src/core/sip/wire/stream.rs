//! Framing on TCP and TLS (RFC 3261 section 18.3, RFC 5626 section 3.5.1).

use super::head::{Head, head_length};
use super::read::{body_length, message};
use super::reply::refuse;
use super::{Fault, Frame, MAX_BODY, MAX_HEAD, ReadError};
use crate::sip::header;

/// What [`StreamReader`] holds at most: one message that is still growing, and one read of the same size behind it.
const MAX_HELD: usize = 2 * (MAX_HEAD + MAX_BODY);

/// What a connection keeps for its next message beside what it holds, in octets: most requests.
const SPARE: usize = 1024;

/// Cuts a byte stream into messages by Content-Length.
///
/// Call [`next`](Self::next) until it gives `None` after each [`push`](Self::push): then at most [`MAX_HEAD`] +
/// [`MAX_BODY`] octets are left over.
#[derive(Debug, Default)]
pub struct StreamReader {
    held: Vec<u8>,
    /// Octets of `held` that were given out.
    taken: usize,
    /// How far behind `taken` no end of a head was found.
    searched: usize,
    /// Length of the head that stands at `taken`, and of its message, once known.
    framed: Option<(usize, usize)>,
    /// More was pushed than can be held.
    overrun: bool,
}

impl StreamReader {
    /// Appends what came in. What would go beyond the bound is dropped, and [`next`](Self::next) ends the stream then.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = MAX_HELD - self.held.len();
        self.overrun |= bytes.len() > room;
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Octets of memory that the message that is not whole yet holds; 0 when there is none.
    pub fn unfinished(&self) -> usize {
        if self.taken == self.held.len() { 0 } else { self.held.capacity() }
    }

    /// The next whole frame; `Ok(None)` when more octets are needed; an error when the stream can not be
    /// resynchronised (no or contradictory Content-Length, head too long) and must be closed, after the error's reply.
    #[expect(clippy::should_implement_trait, reason = "not an Iterator: an error ends it, `None` does not")]
    pub fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        if self.framed.is_none()
            && let Some(keepalive) = self.keepalive()
        {
            return Ok(Some(keepalive));
        }
        let framed = match self.framed {
            // Scanned again: only a message that came in pieces costs that.
            Some((head_end, end)) => Some((Head::scan(&self.held[self.taken..][..head_end]), head_end, end)),
            None => frame(&self.held[self.taken..], &mut self.searched)?,
        };
        let Some((head, head_end, end)) = framed else {
            return self.starved();
        };
        let Some(body) = self.held[self.taken..].get(head_end..end) else {
            self.framed = Some((head_end, end));
            return self.starved();
        };
        let frame = message(head, Ok(body)).map_or_else(Frame::Bad, Frame::Message);
        self.take(end);
        Ok(Some(frame))
    }

    /// Nothing whole is left: wait for more, unless what came did not fit.
    fn starved(&mut self) -> Result<Option<Frame>, ReadError> {
        self.held.drain(..self.taken);
        self.taken = 0;
        // A long message must not cost its octets for as long as the connection lives.
        if self.held.capacity() > 2 * self.held.len() + SPARE {
            self.held.shrink_to(self.held.len());
        }
        if self.overrun { Err(ReadError { fault: Fault::TooLarge, reply: None }) } else { Ok(None) }
    }

    fn take(&mut self, octets: usize) {
        self.taken += octets;
        self.searched = 0;
        self.framed = None;
    }

    /// CRLFs before a message. A lone CRLF at the end of what came is a pong at once: whoever waits for it must not wait
    /// for the next message too. A ping is written as one piece and arrives as one.
    fn keepalive(&mut self) -> Option<Frame> {
        loop {
            match &self.held[self.taken..] {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.take(4);
                    return Some(Frame::Ping);
                }
                [b'\r', b'\n', b'\r'] => return None,
                [b'\r', b'\n', ..] => {
                    self.take(2);
                    return Some(Frame::Pong);
                }
                [b'\r'] => return None,
                [b'\r' | b'\n' | 0, ..] => self.take(1),
                _ => return None,
            }
        }
    }
}

/// The head at the front when it is there, with its length and that of the whole message. `searched` is how far no end
/// of a head was found.
fn frame<'a>(bytes: &'a [u8], searched: &mut usize) -> Result<Option<(Head<'a>, usize, usize)>, ReadError> {
    let Some(first) = bytes.first().filter(|b| **b != b'\r') else {
        return Ok(None);
    };
    // TLS on a TCP port, say: no start line can come of it.
    if !header::is_token(char::from(*first).encode_utf8(&mut [0; 4])) {
        return Err(ReadError { fault: Fault::NotSip, reply: None });
    }
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let Some(head_end) = head_length(window, *searched) else {
        if bytes.len() > MAX_HEAD {
            return Err(refuse(&Head::scan(window), Fault::TooLarge));
        }
        // The empty line may be cut between its octets.
        *searched = bytes.len().saturating_sub(3);
        return Ok(None);
    };
    let head = Head::scan(&bytes[..head_end]);
    match body_length(&head) {
        Ok(Some(length)) if length <= MAX_BODY => Ok(Some((head, head_end, head_end + length))),
        Ok(Some(_)) => Err(refuse(&head, Fault::BodyTooLarge)),
        // Mandatory on streams (RFC 3261 section 20.14).
        Ok(None) => {
            let not_sip = matches!(head.start, super::head::Start::Other);
            Err(refuse(&head, if not_sip { Fault::NotSip } else { Fault::Missing("Content-Length") }))
        }
        Err(fault) => Err(refuse(&head, fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsip::SipMessage;

    const MESSAGE: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
        To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 5\r\n\r\nhello";

    fn all(reader: &mut StreamReader) -> Vec<Frame> {
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn messages_and_keepalives_are_cut_out_wherever_the_segments_end() {
        let stream = format!("{MESSAGE}\r\n\r\n{MESSAGE}{MESSAGE}");
        let whole = {
            let mut reader = StreamReader::default();
            reader.push(stream.as_bytes());
            all(&mut reader)
        };
        assert!(matches!(whole[..], [Frame::Message(_), Frame::Ping, Frame::Message(_), Frame::Message(_)]));
        for cut in 1..stream.len() {
            let mut reader = StreamReader::default();
            let mut frames = Vec::new();
            for part in [&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]] {
                reader.push(part);
                frames.extend(all(&mut reader));
            }
            frames.retain(|f| matches!(f, Frame::Message(_)));
            assert_eq!(frames.len(), 3, "cut at {cut}");
        }
    }

    #[test]
    fn octet_by_octet_the_message_is_the_same() {
        let mut reader = StreamReader::default();
        let mut frames = Vec::new();
        for octet in MESSAGE.bytes() {
            reader.push(&[octet]);
            frames.extend(all(&mut reader));
        }
        let [Frame::Message(SipMessage::Request(request))] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(request.body, b"hello");
    }

    #[test]
    fn a_single_crlf_is_a_pong_at_once_and_a_double_one_a_ping() {
        let mut reader = StreamReader::default();
        reader.push(b"\r\n");
        assert_eq!(all(&mut reader), [Frame::Pong]);
        reader.push(b"\r\n\r\n");
        assert_eq!(all(&mut reader), [Frame::Ping]);
    }

    #[test]
    fn a_bad_message_with_a_known_end_does_not_end_the_stream() {
        let bad = MESSAGE.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE");
        let mut reader = StreamReader::default();
        reader.push(format!("{bad}{MESSAGE}").as_bytes());
        let frames = all(&mut reader);
        assert!(matches!(&frames[0], Frame::Bad(e) if e.fault == Fault::CSeqMethod && e.reply.is_some()), "{frames:?}");
        assert!(matches!(frames[1], Frame::Message(_)));
    }

    #[test]
    fn a_stream_without_a_usable_content_length_is_given_up() {
        for (line, fault) in [
            ("X: 5", Fault::Missing("Content-Length")),
            ("Content-Length: 5\r\nl: 6", Fault::Repeated("Content-Length")),
            ("Content-Length: -5", Fault::Header("Content-Length".into())),
            ("Content-Length: 99999999999999999999999", Fault::BodyTooLarge),
        ] {
            let mut reader = StreamReader::default();
            reader.push(MESSAGE.replace("Content-Length: 5", line).as_bytes());
            let error = reader.next().unwrap_err();
            assert_eq!(error.fault, fault);
            assert!(error.reply.is_some(), "{line}");
        }
    }

    #[test]
    fn a_head_without_an_end_and_a_flood_are_given_up_within_the_bound() {
        let mut reader = StreamReader::default();
        reader.push(&vec![b'a'; MAX_HEAD]);
        assert_eq!(reader.next(), Ok(None));
        reader.push(b"a");
        assert_eq!(reader.next().unwrap_err().fault, Fault::TooLarge);

        let mut reader = StreamReader::default();
        for _ in 0..10 {
            reader.push(&vec![b'a'; MAX_HELD]);
            assert!(reader.held.len() <= MAX_HELD);
        }
        assert!(reader.next().is_err());
    }
}
