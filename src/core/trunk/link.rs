//! The network under the trunk: interfaces, addresses and routes come and go.
//!
//! TCP notices nothing of it for minutes: packets from an address that this box no longer has are not even sent. What
//! counts is where the kernel would begin the way to the SIP domain, and whether the flow still begins there:
//!
//! | what changed | what follows |
//! |---|---|
//! | the flow's address is gone | another flow at once |
//! | the way begins at another address | another flow at once (the old path would leave by the wrong line) |
//! | there is no way | nothing: a cable that is plugged in again finds TCP where it was |
//! | there is a way again | a ping that must be answered soon; without a flow, the next try at once |
//!
//! Behind another router's NAT this box keeps its address when the public one changes; then the flow dies and the
//! keepalive tells. [`PublicAddress`] says what happened.

use std::net::{IpAddr, SocketAddr};

use rsip::Response;

use super::{Again, State, Trunk};
use crate::context::{Context, Output};
use crate::event::{Code, Event, Level};
use crate::sip::header;

/// How this machine stands in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// The local address that the kernel would use towards [`Trunk::remote`]; `None`: no route.
    pub towards: Option<IpAddr>,
}

impl Trunk {
    /// The server whose path matters: of the flow, or the one that was up or tried last.
    pub fn remote(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Up(up) => Some(up.flow.remote),
            State::Connecting { address, .. } => Some(*address),
            _ => self.proven.iter().flatten().next().copied(),
        }
    }

    /// The network changed, or is looked at for the first time.
    pub fn handle_link(&mut self, context: &mut Context<'_>, link: &Link) {
        let before = self.path.replace(link.towards);
        let changed = before.is_some_and(|before| before != link.towards);
        self.standby_link(context, link, changed);
        if let State::Up(up) = &mut self.state {
            let own = up.flow.local.ip();
            if !link.addresses.contains(&own) {
                return self.move_away(context, &format!("this box no longer has the address {own}"));
            }
            match link.towards {
                // Only once for each change: where several ways are equal the kernel may choose differently each time.
                Some(from) if from != own && changed => {
                    let reason = format!("the way to it begins at {from} now, no longer at {own}");
                    self.move_away(context, &reason);
                }
                Some(_) if changed => up.keepalive.hurry(context.now),
                _ => {}
            }
        } else if changed && link.towards.is_some() && !self.stopping {
            // What was asked or tried by the old way needs no waiting for.
            self.backoff.reset();
            self.first = 0;
            self.state = State::Waiting { until: context.now };
        }
    }

    fn move_away(&mut self, context: &mut Context<'_>, reason: &str) {
        let State::Up(up) = &self.state else { return };
        let flow = up.flow;
        context.outputs.push_back(Output::Close { flow });
        self.lose(context, reason, Again::AtOnce);
        context.transactions.flow_down(context.now, flow);
    }
}

/// Where the SIP domain sees us: `received` and `rport` in the Via of its answers (RFC 3261 section 18.2.1, RFC 3581).
#[derive(Debug, Default)]
pub(super) struct PublicAddress(Option<IpAddr>);

impl PublicAddress {
    /// Looks at an answer; says when the address is another one than before, or than the config believes.
    pub fn on_response(&mut self, context: &mut Context<'_>, response: &Response) {
        let via = header::via(&response.headers).ok();
        let Some(seen) = via.and_then(|via| via.params.value("received")?.parse::<IpAddr>().ok()) else { return };
        if self.0 == Some(seen) {
            return;
        }
        let before = self.0.replace(seen);
        let configured = context.config.media.public_address.filter(|configured| *configured != seen);
        let (level, text) = match (configured, before) {
            (Some(configured), _) => {
                let way = "correct or remove media.public_address in gateway.toml, or callers may not hear anything";
                (Level::Warning, format!("we are seen as {seen}, not as {configured}; {way}"))
            }
            (None, Some(before)) => (Level::Notice, format!("we are seen as {seen} now, before as {before}")),
            (None, None) => return,
        };
        context.event(Event::new(Code::TrunkAddress, context.config.trunk.domain.as_str(), text).at(level));
    }
}
