//! Randomness as the core sees it: a seed, given once. The same seed gives the same bytes.

use std::time::Duration;

use aes::Aes256;
use ctr::cipher::{KeyIvInit, StreamCipher};

use crate::hex::hex;

/// A generator good enough for SRTP keys, tags and nonces: the AES-256-CTR key stream of the seed.
pub struct Random(ctr::Ctr64BE<Aes256>);

impl Random {
    /// `seed` comes from the operating system in the service and from a number in tests.
    pub fn new(seed: [u8; 32]) -> Self {
        Random(ctr::Ctr64BE::<Aes256>::new(&seed.into(), &[0; 16].into()))
    }

    /// Seed for tests.
    pub fn from_number(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Random::new(bytes)
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
        self.0.apply_keystream(out);
    }

    /// Random bytes as an array.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random 32-bit number.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    /// A random 64-bit number.
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below 2^-32 for bounds of 32 bits.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.u64() % bound }
    }

    /// `percent` to 100 % of a duration, so that what waits does not come at once.
    pub fn jittered(&mut self, full: Duration, percent: u32) -> Duration {
        let least = full * percent / 100;
        let spread = u64::try_from((full - least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.below(spread.saturating_add(1)))
    }

    /// `len` random bytes as lower-case hex: tags, branches, Call-IDs, nonces.
    pub fn hex(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        hex(&bytes)
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}
