//! The relay: what comes in by one leg goes out by its partner. No socket, no clock, no allocation per packet.
//!
//! The driver reads a packet into a buffer, gives it to [`Relay::rtp`] or [`Relay::rtcp`], and sends what the
//! [`Forward`] says; [`Relay::poll_transmit`] makes packets of our own (digits, sounds).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::leg::Leg;
use super::packet::MAX_PACKET;
use super::sound::Sound;
use super::{LegParams, MediaLeg, Notice, Report};
use crate::random::Random;
use crate::time::{Instant, soonest};

/// Legs at one time: two for each of far more calls than an office has. Opening more is refused.
pub const MAX_LEGS: usize = 4096;

/// Where a leg lies in the relay: what the driver keeps beside its sockets. Reused after [`Relay::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A packet to send: `buffer[..len]`, from the socket of the same kind (RTP or RTCP) of this leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub slot: Slot,
    pub to: SocketAddr,
    pub len: usize,
}

/// Why a leg was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("media leg {} is open already", .0.0)]
    Duplicate(MediaLeg),
    #[error("{MAX_LEGS} media legs are open, no more are allowed")]
    TooMany,
}

/// All legs and who is connected to whom.
pub struct Relay {
    legs: Vec<Option<Box<Leg>>>,
    free: Vec<Slot>,
    slots: BTreeMap<MediaLeg, Slot>,
    /// Legs with digits or a sound to send.
    sending: Vec<Slot>,
    /// No leg falls silent before.
    next_silence: Option<Instant>,
    notices: VecDeque<Notice>,
    random: Random,
}

impl Relay {
    /// An empty relay; `random` gives SSRCs and first numbers.
    pub fn new(random: Random) -> Self {
        Relay {
            legs: Vec::new(),
            free: Vec::new(),
            slots: BTreeMap::new(),
            sending: Vec::new(),
            next_silence: None,
            notices: VecDeque::new(),
            random,
        }
    }

    /// A new leg that takes and sends nothing yet.
    pub fn open(&mut self, id: MediaLeg) -> Result<Slot, OpenError> {
        if self.slots.contains_key(&id) {
            return Err(OpenError::Duplicate(id));
        }
        if self.slots.len() >= MAX_LEGS {
            return Err(OpenError::TooMany);
        }
        let leg = Some(Box::new(Leg::new(id, &mut self.random)));
        let slot = match self.free.pop() {
            Some(slot) => {
                self.legs[slot.0 as usize] = leg;
                slot
            }
            None => {
                self.legs.push(leg);
                Slot(self.legs.len() as u32 - 1)
            }
        };
        self.slots.insert(id, slot);
        Ok(slot)
    }

    /// Removes a leg; its partner is connected to nobody then. `None` when there is no such leg.
    pub fn close(&mut self, id: MediaLeg) -> Option<(Slot, Report)> {
        let slot = self.slots.remove(&id)?;
        self.disconnect(slot);
        self.sending.retain(|&sending| sending != slot);
        let leg = self.legs[slot.0 as usize].take()?;
        self.free.push(slot);
        Some((slot, leg.report()))
    }

    /// What negotiation settled. Nothing happens for a leg that is gone.
    pub fn set(&mut self, now: Instant, id: MediaLeg, params: LegParams) {
        let Some(leg) = self.slots.get(&id).and_then(|slot| self.legs[slot.0 as usize].as_mut()) else {
            return;
        };
        leg.set(now, params, &mut self.random);
        self.next_silence = soonest(self.next_silence, leg.silent_at());
    }

    /// Connects two legs with one another and with nobody else. A sound that is under way ends.
    pub fn connect(&mut self, a: MediaLeg, b: MediaLeg) {
        if let (Some(&a), Some(&b)) = (self.slots.get(&a), self.slots.get(&b))
            && a != b
        {
            for (slot, partner) in [(a, b), (b, a)] {
                if self.leg(slot).is_some_and(|leg| leg.partner != Some(partner)) {
                    self.disconnect(slot);
                }
            }
            for (slot, partner) in [(a, b), (b, a)] {
                if let Some(leg) = self.leg_mut(slot) {
                    leg.connect(partner);
                }
            }
        }
    }

    /// Sends a digit out by a leg; false when the leg cannot: gone, no telephone-event agreed, no such digit, or too
    /// many waiting.
    pub fn dtmf(&mut self, id: MediaLeg, digit: char, duration: Duration) -> bool {
        let Some(&slot) = self.slots.get(&id) else { return false };
        let queued = self.leg_mut(slot).is_some_and(|leg| leg.push_digit(digit, duration));
        if queued && !self.sending.contains(&slot) {
            self.sending.push(slot);
        }
        queued
    }

    /// Sends a sound out by a leg, told by [`Notice::Played`] when it is over. Nothing happens for a leg that is gone.
    pub fn play(&mut self, now: Instant, id: MediaLeg, sound: Sound) {
        let Some(&slot) = self.slots.get(&id) else { return };
        if !self.leg_mut(slot).is_some_and(|leg| leg.play(now, sound)) {
            self.notices.push_back(Notice::Played { leg: id });
        } else if !self.sending.contains(&slot) {
            self.sending.push(slot);
        }
    }

    /// Takes the packet `buffer[..len]` that came from `from` on the RTP socket of a leg. The buffer must be of
    /// [`super::packet::BUFFER`] octets.
    pub fn rtp(
        &mut self,
        now: Instant,
        slot: Slot,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        let leg = self.legs.get_mut(slot.0 as usize)?.as_mut()?;
        let was_silent = leg.is_silent();
        let packet = leg.receive(now, from, buffer, len, &mut self.notices);
        if was_silent && !leg.is_silent() {
            self.next_silence = soonest(self.next_silence, leg.silent_at());
        }
        let (packet, partner) = (packet?, leg.partner?);
        let (to, len) = self.leg_mut(partner)?.relay(now, packet, buffer)?;
        Some(Forward { slot: partner, to, len })
    }

    /// Takes the packet `buffer[..len]` that came from `from` on the RTCP socket of a leg.
    pub fn rtcp(
        &mut self,
        now: Instant,
        slot: Slot,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        let leg = self.legs.get_mut(slot.0 as usize)?.as_mut()?;
        let len = leg.receive_rtcp(now, from, buffer, len)?;
        let partner = leg.partner?;
        let [leg, other] = self.legs.get_disjoint_mut([slot.0 as usize, partner.0 as usize]).ok()?;
        let (to, len) = other.as_mut()?.relay_rtcp(leg.as_ref()?, buffer, len)?;
        Some(Forward { slot: partner, to, len })
    }

    /// When [`Relay::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = self.sending.iter().filter_map(|&slot| self.leg(slot)?.own_due()).min();
        soonest(self.next_silence, own)
    }

    /// Looks for legs that fell silent. [`Relay::poll_transmit`] is to be called after it.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_silence.is_some_and(|due| due <= now) {
            let notices = &mut self.notices;
            let legs = self.legs.iter_mut().flatten();
            self.next_silence = legs.filter_map(|leg| leg.check_silence(now, notices)).min();
        }
    }

    /// A packet of our own that is due, in `buffer[..len]`, to be sent from the RTP socket.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Forward> {
        let mut at = 0;
        while let Some(&slot) = self.sending.get(at) {
            let leg = self.legs[slot.0 as usize].as_mut();
            let notices = &mut self.notices;
            let sent = leg.and_then(|leg| leg.send_digit(now, buffer).or_else(|| leg.send_sound(now, buffer, notices)));
            if self.leg(slot).is_none_or(|leg| leg.own_due().is_none()) {
                self.sending.swap_remove(at);
            } else {
                at += 1;
            }
            if let Some((to, len)) = sent {
                return Some(Forward { slot, to, len });
            }
        }
        None
    }

    /// What the engine is to be told.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The figures of a leg so far.
    pub fn report(&self, id: MediaLeg) -> Option<Report> {
        self.leg(*self.slots.get(&id)?).map(Leg::report)
    }

    /// Where a leg lies.
    pub fn slot(&self, id: MediaLeg) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    /// The open legs.
    pub fn legs(&self) -> impl Iterator<Item = MediaLeg> {
        self.slots.keys().copied()
    }

    fn leg(&self, slot: Slot) -> Option<&Leg> {
        self.legs.get(slot.0 as usize)?.as_deref()
    }

    fn leg_mut(&mut self, slot: Slot) -> Option<&mut Leg> {
        self.legs.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    fn disconnect(&mut self, slot: Slot) {
        let partner = self.leg_mut(slot).and_then(|leg| leg.partner.take());
        if let Some(partner) = partner.and_then(|partner| self.leg_mut(partner)) {
            partner.partner = None;
        }
    }
}

const _: () = assert!(MAX_PACKET + 64 <= super::packet::BUFFER, "tags and a CNAME fit behind the longest packet");

#[cfg(test)]
mod tests;
