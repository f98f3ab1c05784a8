//! How long a connection may keep silent.
//!
//! The rule: a head comes within the header time-out, from the connection's start and from its first octet. After an
//! answer only a connection that carried a fresh request of Twilio's stays open, for longer than proxies keep theirs
//! (nginx 60 s, cloudflared 90 s, Cloudflare's edge 900 s). A proxy sends no POST again, so one that meets our close is
//! a 502, and a lost call (RFC 9112 section 9.3.1). Every other answer says `Connection: close`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Whose turn it is on a connection; shared by its stream and what answers its requests.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    state: Arc<Mutex<State>>,
    header_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing of a request has come yet.
    Idle { until: Instant },
    /// A part of a head has come.
    Head { until: Instant },
    /// We answer; a body has a time-out of its own.
    Ours,
    /// The client took too long.
    Late,
}

impl Turn {
    /// Of a new connection.
    pub fn new(header_timeout: Duration) -> Turn {
        let state = State::Idle { until: Instant::now() + header_timeout };
        Turn { state: Arc::new(Mutex::new(state)), header_timeout }
    }

    /// A head is complete.
    pub fn is_ours(&self) {
        *self.state() = State::Ours;
    }

    /// A request was answered: the next one may take so long to begin.
    pub fn is_over(&self, idle_timeout: Duration) {
        *self.state() = State::Idle { until: Instant::now() + idle_timeout };
    }

    /// Whether the connection ended because the client took too long.
    pub fn is_late(&self) -> bool {
        matches!(*self.state(), State::Late)
    }

    fn octets_came(&self) {
        let mut state = self.state();
        if let State::Idle { .. } = *state {
            *state = State::Head { until: Instant::now() + self.header_timeout };
        }
    }

    fn until(&self) -> Option<Instant> {
        match *self.state() {
            State::Idle { until } | State::Head { until } => Some(until),
            State::Ours | State::Late => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that ends when its client takes too long.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    turn: Turn,
    sleep: Pin<Box<Sleep>>,
}

impl<S> Timed<S> {
    pub fn new(stream: S, turn: Turn) -> Timed<S> {
        Timed { stream, turn, sleep: Box::pin(sleep_until(Instant::now())) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let had = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut timed.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > had {
                timed.turn.octets_came();
            }
            return Poll::Ready(read);
        }
        let Some(until) = timed.turn.until() else {
            return Poll::Pending;
        };
        if timed.sleep.deadline() != until {
            timed.sleep.as_mut().reset(until);
        }
        ready!(timed.sleep.as_mut().poll(cx));
        *timed.turn.state() = State::Late;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
