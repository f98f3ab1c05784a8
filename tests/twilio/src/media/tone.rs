//! A tone of one frequency and level, in PCMU frames of 20 ms.

use super::g711::linear_to_ulaw;

/// Samples per second of G.711.
pub const RATE: usize = 8000;
/// Samples in a packet of 20 ms, Twilio's ptime (TWILIO.md "Codecs").
pub const FRAME: usize = 160;
/// Peak of a sine of +3.17 dBm0, the overload point of mu-law (G.711).
const PEAK_AT_OVERLOAD: f64 = 32_124.0;
const OVERLOAD_DBM0: f64 = 3.17;

/// The peak amplitude of a sine of that level.
pub fn peak(dbm0: f64) -> f64 {
    PEAK_AT_OVERLOAD * 10f64.powf((dbm0 - OVERLOAD_DBM0) / 20.0)
}

/// The level of a sine of that peak amplitude.
pub fn dbm0(peak: f64) -> f64 {
    20.0 * (peak.max(1e-9) / PEAK_AT_OVERLOAD).log10() + OVERLOAD_DBM0
}

/// A sine that goes on from frame to frame.
#[derive(Clone, Debug)]
pub struct Tone {
    hertz: f64,
    peak: f64,
    sample: u64,
}

impl Tone {
    /// A sine of `hertz` at `level` dBm0.
    pub fn new(hertz: f64, level: f64) -> Self {
        Self { hertz, peak: peak(level), sample: 0 }
    }

    /// The next 20 ms as PCMU.
    pub fn frame(&mut self) -> Vec<u8> {
        (0..FRAME)
            .map(|_| {
                let phase = std::f64::consts::TAU * self.hertz * self.sample as f64 / RATE as f64;
                self.sample += 1;
                linear_to_ulaw((self.peak * phase.sin()).round() as i16)
            })
            .collect()
    }
}
