//! Where a person has to look.

/// What is at fault, as a rule, when an event of a code comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Nothing is at fault: the usual work.
    Nobody,
    /// The box itself: its disk, clock, ports and memory.
    Box,
    /// What `gateway.toml` says.
    Config,
    /// A phone, or what is written in it.
    Phone,
    /// The local network between phones and box.
    Lan,
    /// The internet connection: the line, DNS, a router or its NAT.
    Line,
    /// Twilio, or what your account there says.
    Twilio,
    /// The tunnel that brings Twilio's requests to the box.
    Tunnel,
    /// Somebody whom neither the config nor Twilio knows.
    Stranger,
    /// Different ones; the text of the event names it.
    Varies,
}

impl Culprit {
    /// How the manual names it.
    pub fn word(self) -> &'static str {
        match self {
            Culprit::Nobody => "nobody",
            Culprit::Box => "your box",
            Culprit::Config => "the config",
            Culprit::Phone => "a phone",
            Culprit::Lan => "the local network",
            Culprit::Line => "the internet line",
            Culprit::Twilio => "Twilio",
            Culprit::Tunnel => "the tunnel",
            Culprit::Stranger => "a stranger",
            Culprit::Varies => "the event's text says",
        }
    }
}
