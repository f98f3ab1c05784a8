//! Messages out of a TCP or TLS stream (RFC 3261 18.3): Content-Length decides where one ends.

use super::message::{Message, find};

/// The longest head and the longest body that are read.
const MAX_HEAD: usize = 16 * 1024;
const MAX_BODY: usize = 64 * 1024;

/// What comes out of a stream.
#[derive(Debug)]
pub enum Frame {
    /// A message.
    Message(Message),
    /// CRLFCRLF between messages, the keep-alive of RFC 5626 3.5.1.
    Ping,
    /// A single CRLF, the answer to a keep-alive.
    Pong,
    /// Bytes that cannot be framed; the connection is of no more use.
    Broken(String),
}

/// Collects bytes until they make a frame.
#[derive(Default)]
pub struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    /// Takes bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn poll(&mut self) -> Option<Frame> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.drain(..4);
            return Some(Frame::Ping);
        }
        if self.buffer.starts_with(b"\r\n") && self.buffer.get(2).is_some_and(|b| *b != b'\r') {
            self.buffer.drain(..2);
            return Some(Frame::Pong);
        }
        if self.buffer == b"\r\n" {
            // It may be the first half of a ping, so it waits for more.
            return None;
        }
        let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
            return (self.buffer.len() > MAX_HEAD).then(|| Frame::Broken("head too long".to_owned()));
        };
        let head = match Message::parse(&self.buffer[..end + 4]) {
            Ok(head) => head,
            Err(error) => return Some(Frame::Broken(error.to_string())),
        };
        let length = match head.get("Content-Length").map(|v| v.parse::<usize>()) {
            Some(Ok(length)) if length <= MAX_BODY => length,
            Some(_) => return Some(Frame::Broken("Content-Length out of range".to_owned())),
            None => return Some(Frame::Broken(format!("{} without Content-Length", head.summary()))),
        };
        let total = end + 4 + length;
        if self.buffer.len() < total {
            return None;
        }
        let bytes: Vec<u8> = self.buffer.drain(..total).collect();
        Some(match Message::parse(&bytes) {
            Ok(message) => Frame::Message(message),
            Err(error) => Frame::Broken(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_and_a_ping_come_out_of_one_read() {
        let mut framer = Framer::default();
        framer.push(b"\r\n\r\nBYE sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nxy");
        framer.push(b"ACK sip:a SIP/2.0\r\nl: 0\r\n");
        assert!(matches!(framer.poll(), Some(Frame::Ping)));
        assert!(matches!(framer.poll(), Some(Frame::Message(m)) if m.body == b"xy"));
        assert!(framer.poll().is_none());
        framer.push(b"\r\n");
        assert!(matches!(framer.poll(), Some(Frame::Message(m)) if m.method() == "ACK"));
    }

    #[test]
    fn a_message_without_content_length_breaks_the_stream() {
        let mut framer = Framer::default();
        framer.push(b"BYE sip:a SIP/2.0\r\nCSeq: 1 BYE\r\n\r\n");
        assert!(matches!(framer.poll(), Some(Frame::Broken(_))));
    }
}
