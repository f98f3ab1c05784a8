//! A Twilio to test against, on loopback: REST, a SIP domain over TLS 1.2, a PSTN, TwiML and signed webhooks.
//!
//! It is built from `TWILIO.md` and shares no code with the product, because it is there to check it. A rule that it
//! enforces names the heading it comes from; what the document calls uncertain is a field of [`switches::Switches`].
//! Rules that a client breaks are [`journal::Event::Violation`]s; a test passes only when there are none.
//!
//! ```text
//! rest/      the 2010 API: store, routes, paging, errors, faults, a recording, one file per resource family
//! rest/v1/   the newer APIs: hosted services, dialing permissions, keys, rotation of the auth token
//! sip/       message text, digest, SDP, the TLS edge, registrar, legs in and out, strict checks
//! media/     G.711, tones, a Goertzel meter, RTP and SRTP endpoints (webrtc-srtp)
//! webhook/   the POST, its signature, retries, the fallback URL
//! twiml/     documents and their interpreter: Dial (Number, Sip), Reject, Hangup, Say, Play, Pause, Redirect
//! call.rs    a call as Twilio sees it;   leg.rs  one side of it, whatever is behind
//! pstn.rs    far ends: ring, busy, answer, hang up, send a tone and digits, measure what comes
//! handset/   a scripted LAN phone, UDP or TCP, for the other side of the gateway
//! journal.rs what happened, for assertions;   control.rs  an HTTP API for other programs
//! ```
//!
//! `cargo run -p twilio-simulator --bin twilio-simulator` prints one JSON line with all addresses. `cargo demo` tells
//! the first story of the product with it.
//!
//! Known gaps: no subaccounts, queues, conferences, recordings, notifications, Gather; Dial to foreign SIP servers
//! fails with 13254; IP access lists are kept and shown but nobody is refused by them; no CPS or concurrency limits;
//! hosted services have no functions; restricted keys open nothing.

pub mod call;
pub mod control;
pub mod date;
pub mod form;
pub mod handset;
pub mod journal;
pub mod leg;
pub mod media;
pub mod pstn;
pub mod random;
pub mod rest;
pub mod sip;
pub mod switches;
pub mod tls;
pub mod twilio;
pub mod twiml;
pub mod webhook;
