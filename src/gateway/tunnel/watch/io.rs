//! What the watch is told, and what it wants done.

use crate::tunnel::Report;
use gateway_core::event::Event;

/// What the watch is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin.
    Start,
    /// End; the service stops or the config has another tunnel.
    Stop,
    /// The running driver tells.
    Report(Report),
    /// The driver and all that it had started are gone.
    Stopped,
    /// The proof with this nonce has ended.
    Proof { nonce: String, result: Result<(), String> },
    /// A request of Twilio's came in by this URL: better than any proof of ours, of this URL alone.
    Request { by: String },
    /// [`Output::UrlChanged`] has been carried out, or not.
    UrlWritten { url: String, result: Result<(), String> },
    /// The configured URL is another one from now on; whoever changed it tells Twilio (`gateway apply`).
    Configured(String),
    /// A person wants a try now (a host key was accepted, the line is back).
    Retry,
}

/// What the watch wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start the driver; never before the last one is gone.
    StartDriver,
    /// Stop it, and say [`Input::Stopped`] when it is gone.
    StopDriver,
    /// Fetch the proof with this nonce from the public URL.
    Prove { url: String, nonce: String },
    /// Write the new URL, which is proved, to Twilio and read it back.
    UrlChanged { old: String, new: String },
    /// The public URLs that a signature may be made over from now on, the present one first.
    Urls(Vec<String>),
    /// URLs that the tunnel has announced. A request that Twilio signed over one of them proves it.
    Announced(Vec<String>),
    /// Tell people.
    Event(Event),
}
