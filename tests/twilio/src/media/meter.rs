//! What arrived: level and frequency by Goertzel, packets and loss by sequence numbers, digits.

use std::collections::VecDeque;

use serde::Serialize;

use super::g711::ulaw_to_linear;
use super::port::{Frame, Sound};
use super::tone::{RATE, dbm0};

/// The longest stretch that is measured: the last second.
const WINDOW: usize = RATE;
/// The shortest stretch that says anything.
const MINIMUM: usize = RATE / 5;

/// A measurement of a received stream.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Heard {
    /// The strongest frequency in hertz; 0 when there was no sound.
    pub hertz: f64,
    /// Its level in dBm0.
    pub dbm0: f64,
    /// Share of the power that is in the tone; below 1 there is noise, a click or a gap.
    pub purity: f64,
    /// Packets of sound that arrived.
    pub packets: u64,
    /// Packets missing between the first and the last sequence number.
    pub lost: u64,
    /// Packets that arrived late or twice.
    pub late: u64,
    /// Digits received as telephone-events.
    pub digits: String,
}

impl Heard {
    /// Is this a tone of `hertz`, within 3 Hz, loud enough and clean?
    pub fn is_tone(&self, hertz: f64) -> bool {
        (self.hertz - hertz).abs() <= 3.0 && self.dbm0 > -30.0 && self.purity > 0.9
    }

    /// Lost packets in per cent of those sent.
    pub fn loss_percent(&self) -> f64 {
        match self.packets + self.lost {
            0 => 0.0,
            sent => 100.0 * self.lost as f64 / sent as f64,
        }
    }
}

/// Collects frames and measures them.
#[derive(Default)]
pub struct Meter {
    samples: VecDeque<i16>,
    packets: u64,
    late: u64,
    first: Option<u64>,
    highest: u64,
    last_seq: u16,
    last_event: Option<(u8, u32)>,
    digits: String,
}

impl Meter {
    /// Takes one frame.
    pub fn take(&mut self, frame: &Frame) {
        match &frame.sound {
            Sound::Pcmu(octets) => {
                self.count(frame.seq);
                self.samples.extend(octets.iter().map(|o| ulaw_to_linear(*o)));
                let over = self.samples.len().saturating_sub(WINDOW);
                self.samples.drain(..over);
            }
            Sound::Digit { digit, timestamp, .. } => {
                self.count(frame.seq);
                // One event is many packets with one timestamp (RFC 4733 2.5.1.1).
                if self.last_event != Some((*digit, *timestamp)) {
                    self.last_event = Some((*digit, *timestamp));
                    self.digits.push(digit_name(*digit));
                }
            }
        }
    }

    fn count(&mut self, seq: u16) {
        self.packets += 1;
        let Some(first) = self.first else {
            self.first = Some(0x1_0000 + u64::from(seq));
            self.highest = 0x1_0000 + u64::from(seq);
            self.last_seq = seq;
            return;
        };
        let step = seq.wrapping_sub(self.highest as u16) as i16;
        if step > 0 {
            self.highest += step as u64;
        } else {
            self.late += 1;
        }
        debug_assert!(self.highest >= first);
    }

    /// The measurement so far.
    pub fn heard(&self) -> Heard {
        let samples: Vec<f64> = self.samples.iter().map(|s| f64::from(*s)).collect();
        let span = self.first.map_or(0, |first| self.highest - first + 1);
        let arrived = self.packets - self.late;
        let mut heard = Heard {
            dbm0: -99.0,
            packets: self.packets,
            lost: span.saturating_sub(arrived),
            late: self.late,
            digits: self.digits.clone(),
            ..Heard::default()
        };
        if samples.len() < MINIMUM {
            return heard;
        }
        let power = samples.iter().map(|s| s * s).sum::<f64>() / samples.len() as f64;
        if power < 1.0 {
            return heard;
        }
        let (hertz, peak) = strongest(&samples);
        heard.hertz = hertz;
        heard.dbm0 = dbm0(peak);
        heard.purity = (peak * peak / 2.0 / power).min(1.0);
        heard
    }
}

fn digit_name(event: u8) -> char {
    "0123456789*#ABCD".chars().nth(usize::from(event)).unwrap_or('?')
}

/// The peak amplitude of one frequency in `samples` (Goertzel).
fn goertzel(samples: &[f64], hertz: f64) -> f64 {
    let omega = std::f64::consts::TAU * hertz / RATE as f64;
    let coefficient = 2.0 * omega.cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        let zero = sample + coefficient * one - two;
        two = one;
        one = zero;
    }
    let power = one * one + two * two - coefficient * one * two;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

/// Searches 200 to 3600 Hz on a short stretch, then refines on the whole.
fn strongest(samples: &[f64]) -> (f64, f64) {
    let short = &samples[samples.len().saturating_sub(MINIMUM)..];
    let coarse = (40..=720).map(|n| f64::from(n) * 5.0);
    let best = coarse.map(|h| (h, goertzel(short, h))).fold((0.0, 0.0), |a, b| if b.1 > a.1 { b } else { a });
    let fine = (-20..=20).map(|n| best.0 + f64::from(n) * 0.5);
    fine.map(|h| (h, goertzel(samples, h))).fold((0.0, 0.0), |a, b| if b.1 > a.1 { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::Tone;

    fn frame(seq: u16, payload: Vec<u8>) -> Frame {
        Frame { seq, sound: Sound::Pcmu(payload) }
    }

    #[test]
    fn a_tone_is_measured_in_frequency_and_level() {
        let (mut tone, mut meter) = (Tone::new(1004.0, -10.0), Meter::default());
        for seq in 0..50u16 {
            meter.take(&frame(seq.wrapping_add(65_530), tone.frame()));
        }
        let heard = meter.heard();
        assert!(heard.is_tone(1004.0), "{heard:?}");
        assert!((heard.dbm0 + 10.0).abs() < 0.3, "{heard:?}");
        assert_eq!((heard.packets, heard.lost, heard.late), (50, 0, 0));
    }

    #[test]
    fn missing_and_double_packets_are_counted() {
        let (mut tone, mut meter) = (Tone::new(440.0, -10.0), Meter::default());
        for seq in [1, 2, 3, 3, 7, 8] {
            meter.take(&frame(seq, tone.frame()));
        }
        let heard = meter.heard();
        assert_eq!((heard.packets, heard.lost, heard.late), (6, 3, 1));
    }

    #[test]
    fn silence_is_no_tone() {
        let mut meter = Meter::default();
        for seq in 0..50 {
            meter.take(&frame(seq, vec![0xff; 160]));
        }
        assert!(!meter.heard().is_tone(440.0));
        assert!(meter.heard().hertz == 0.0);
    }
}
