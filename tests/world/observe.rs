//! What a story may ask of the world: where calls stand, who hears whom, which events were told.

use gateway_core::event::Event;

use crate::agent::{Call, Ended, State};
use crate::world::{CallRef, LAN, World, address};

impl World {
    pub fn call(&self, call: CallRef) -> &Call {
        &self.agents[call.agent].calls[call.call]
    }

    pub fn state(&self, call: CallRef) -> State {
        self.call(call).state
    }

    pub fn ended(&self, call: CallRef) -> Option<Ended> {
        self.call(call).ended
    }

    /// The newest call that an agent got.
    pub fn last_call(&self, agent: usize) -> CallRef {
        let calls = &self.agents[agent].calls;
        let call = calls
            .iter()
            .rposition(|call| !call.outgoing)
            .unwrap_or_else(|| panic!("{} got no call", self.agents[agent].name));
        CallRef { agent, call }
    }

    pub fn calls_of(&self, agent: usize) -> usize {
        self.agents[agent].calls.iter().filter(|call| !call.outgoing).count()
    }

    /// Whether what `from` says reaches `to`: described to each other, sent, taken, and with the right keys.
    pub fn hears(&self, to: CallRef, from: CallRef) -> bool {
        self.deaf_because(to, from).is_none()
    }

    /// Why it does not.
    pub fn deaf_because(&self, to: CallRef, from: CallRef) -> Option<&'static str> {
        let (speaker, listener) = (&self.call(from).media, &self.call(to).media);
        let (Some(into), Some(out)) = (&speaker.theirs, &listener.theirs) else { return Some("no description") };
        if !into.direction.receives() || !speaker.direction.sends() {
            return Some("the speaker may not send");
        }
        if !out.direction.sends() || !listener.direction.receives() {
            return Some("the listener may not receive");
        }
        let (Some(into), Some(out)) = (into.rtp(), out.rtp()) else { return Some("no address") };
        let (Some((_, input)), Some((output_leg, output))) = (self.media.at(into), self.media.at(out)) else {
            return Some("no port open at the described address");
        };
        if ![input, output].iter().all(|port| [address(LAN).ip(), self.wan].contains(&port.local.ip())) {
            return Some("the port is at an address that is gone");
        }
        if input.partner != Some(output_leg) {
            return Some("not connected");
        }
        let (Some(taken), Some(sent)) = (&input.params, &output.params) else { return Some("no parameters") };
        let keys = |params: &gateway_core::media::LegParams| params.srtp.clone();
        match (keys(taken), speaker.secure) {
            (None, false) => {}
            (Some(keys), true) if keys.remote == speaker.key => {}
            _ => return Some("the relay has not the speaker's key"),
        }
        match (keys(sent), listener.secure) {
            (None, false) => {}
            (Some(keys), true) => {
                let described = listener.theirs.as_ref().and_then(|theirs| theirs.crypto.as_ref());
                if !described.is_some_and(|lines| lines.iter().any(|line| line.key == keys.local)) {
                    return Some("the relay's key was not told to the listener");
                }
            }
            _ => return Some("the relay and the listener differ about SRTP"),
        }
        if !taken.receive || !sent.send {
            return Some("the relay does not pass it on");
        }
        // What stands between has rewritten the address.
        let is_rewritten = self.gateways.contains_key(&to.agent);
        let place = |rtp: std::net::SocketAddr| ((!is_rewritten).then_some(rtp.ip()), rtp.port());
        if sent.remote.map(place) != Some(place(listener.rtp)) {
            return Some("the relay sends elsewhere");
        }
        None
    }

    /// Both ways.
    pub fn assert_talk(&self, a: CallRef, b: CallRef) {
        assert_eq!(self.deaf_because(a, b), None, "{a:?} does not hear {b:?}");
        assert_eq!(self.deaf_because(b, a), None, "{b:?} does not hear {a:?}");
    }

    pub fn events_of(&self, code: &str) -> Vec<&Event> {
        self.events.iter().map(|(_, event)| event).filter(|event| event.code.word() == code).collect()
    }

    pub fn saw(&self, code: &str, text: &str) -> bool {
        self.events_of(code).iter().any(|event| event.text.contains(text))
    }
}
