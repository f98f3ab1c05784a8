//! One SNTP question and its answer, as octets (RFC 5905 section 7.3; what a client checks: RFC 4330 section 5).
//!
//! ```text
//!  0          1        2     3          4           8                16         24        32       40
//! ┌──┬──┬────┬────────┬─────┬──────────┬───────────┬────────────────┬──────────┬─────────┬────────┬─────────┐
//! │LI│VN│mode│stratum │poll │precision │root delay │root dispersion │reference │ref. time│ origin │ receive │ transmit
//! └──┴──┴────┴────────┴─────┴──────────┴───────────┴────────────────┴──────────┴─────────┴────────┴─────────┘
//! ```

use gateway_core::time::WallClock;

/// Without extension fields, which nobody is asked for.
pub const LENGTH: usize = 48;

/// LI 0, version 4, mode 3 (client).
const CLIENT: u8 = 0x23;
const MODE_SERVER: u8 = 4;
/// LI 3: the server's clock is not synchronized.
const UNSYNCHRONIZED: u8 = 3;
/// From this stratum on a server is unsynchronized (RFC 5905 figure 11).
const MAX_STRATUM: u8 = 16;
/// MAXDISP of RFC 5905, in its 16.16 seconds. Windows servers come with 10 s and more, and for certificates that is
/// good enough.
const MAX_DISPERSION: u32 = 16 << 16;

/// Seconds from 1900, where era 0 of NTP begins, to 1970.
const EPOCH: u64 = 2_208_988_800;
/// Length of an era. Era 1 begins on 2036-02-07 06:28:16.
const ERA: u64 = 1 << 32;

/// Why an answer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an answer to our question: wait on for that.
    #[error("what came is no answer to the question")]
    Stranger,
    /// Kiss-o'-death (RFC 5905 section 7.4): do not ask this server again.
    #[error("it does not want to be asked ({0})")]
    Kiss(String),
    #[error("its own clock is not set")]
    Unsynchronized,
}

/// The question. What would be our time in it is a number that nobody can guess: a server gives it back unseen, and
/// ours would tell the world how wrong we are.
pub fn question(nonce: u64) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    octets[0] = CLIENT;
    octets[40..].copy_from_slice(&nonce.to_be_bytes());
    octets
}

/// The time in the answer to the question with this number.
pub fn answer(octets: &[u8], nonce: u64) -> Result<WallClock, Refusal> {
    // Extension fields and a MAC may follow.
    let Some((octets, _)) = octets.split_first_chunk::<LENGTH>() else { return Err(Refusal::Stranger) };
    let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    let (leap, version, mode) = (octets[0] >> 6, octets[0] >> 3 & 7, octets[0] & 7);
    let origin = u64::from(word(24)) << 32 | u64::from(word(28));
    if mode != MODE_SERVER || !(3..=4).contains(&version) || origin != nonce {
        return Err(Refusal::Stranger);
    }
    let stratum = octets[1];
    if stratum == 0 {
        let code = octets[12..16].iter().filter(|octet| octet.is_ascii_alphanumeric());
        return Err(Refusal::Kiss(code.map(|octet| char::from(*octet)).collect()));
    }
    let is_set = leap != UNSYNCHRONIZED && stratum < MAX_STRATUM && (word(40), word(44)) != (0, 0);
    // RFC 4330 section 5: the delay may be negative; half of it counts.
    let distance = (word(4).cast_signed().unsigned_abs() / 2).saturating_add(word(8));
    if !is_set || distance >= MAX_DISPERSION {
        return Err(Refusal::Unsynchronized);
    }
    Ok(wall(word(40)))
}

/// RFC 4330 section 3: with the first bit set the seconds are of 1968–2036, without it of 2036–2104.
fn wall(seconds: u32) -> WallClock {
    let era = if seconds >> 31 == 1 { 0 } else { ERA };
    WallClock((era + u64::from(seconds)).saturating_sub(EPOCH))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NONCE: u64 = 0x0123_4567_89ab_cdef;

    /// What a right server answers at this time.
    pub(crate) fn served(question: &[u8], time: WallClock) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets[0] = 0x24;
        octets[1] = 2;
        octets[8..12].copy_from_slice(&0x0000_0800_u32.to_be_bytes());
        octets[12..16].copy_from_slice(&[192, 0, 2, 1]);
        octets[24..32].copy_from_slice(&question[40..48]);
        let seconds = ((time.0 + EPOCH) % ERA) as u32;
        for at in [16, 32, 40] {
            octets[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
        }
        octets
    }

    fn right(time: u64) -> [u8; LENGTH] {
        served(&question(NONCE), WallClock(time))
    }

    #[test]
    fn the_question_is_a_client_request_of_version_four_with_nothing_but_the_nonce() {
        let octets = question(NONCE);
        assert_eq!(octets[0], 0b00_100_011);
        assert_eq!(octets[40..], NONCE.to_be_bytes());
        assert!(octets[1..40].iter().all(|octet| *octet == 0));
    }

    #[test]
    fn the_answer_of_a_server_as_captured_is_read() {
        // chrony 4.3 as `local stratum 8`, asked with this nonce on 2026-11-22 08:19:01.
        let hex = "240800e800000000000000007f7f0101eead23f3b68989f90123456789abcdefeead23f55c9b3381eead23f55ca1f688";
        let octets: Vec<u8> = (0..LENGTH).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert_eq!(answer(&octets, NONCE), Ok(WallClock(1_795_335_541)));
    }

    #[test]
    fn the_era_that_begins_in_2036_is_read_as_well_as_the_years_after_2038() {
        for time in [
            1_795_332_000, // 2026
            2_085_978_495, // 2036-02-07 06:28:15, the last second of era 0
            2_085_978_497, // two seconds later
            2_147_483_648, // 2038-01-19 03:14:08, past 32 bits
            2_209_000_000, // 2040
            4_102_444_800, // 2100
        ] {
            assert_eq!(answer(&right(time), NONCE), Ok(WallClock(time)));
        }
    }

    #[test]
    fn what_others_send_is_no_answer() {
        let good = right(1_795_332_000);
        let mut other = good;
        other[31] ^= 1;
        assert_eq!(answer(&other, NONCE), Err(Refusal::Stranger));
        for first in [0x23, 0x25, 0x22, 0x0c, 0x3c, 0x00] {
            let mut wrong = good;
            wrong[0] = first;
            assert_eq!(answer(&wrong, NONCE), Err(Refusal::Stranger), "{first:02x}");
        }
        for length in 0..LENGTH {
            assert_eq!(answer(&good[..length], NONCE), Err(Refusal::Stranger));
        }
        let with_mac: Vec<u8> = good.into_iter().chain([7; 20]).collect();
        assert!(answer(&with_mac, NONCE).is_ok());
    }

    #[test]
    fn noise_is_never_a_time() {
        let mut random = gateway_core::random::Random::from_number(5);
        for _ in 0..20_000 {
            let mut octets: [u8; 2 * LENGTH] = random.bytes();
            let length = random.below(octets.len() as u64 + 1) as usize;
            assert_eq!(answer(&octets[..length], NONCE), Err(Refusal::Stranger));
            // The same with the nonce is an answer of some kind, and no panic.
            octets[24..32].copy_from_slice(&NONCE.to_be_bytes());
            let _ = answer(&octets[..length], NONCE);
        }
    }

    #[test]
    fn a_kiss_of_death_counts_only_when_it_answers_us() {
        let mut kiss = right(1_795_332_000);
        (kiss[0], kiss[1]) = (0xe4, 0);
        kiss[12..16].copy_from_slice(b"RATE");
        assert_eq!(answer(&kiss, NONCE), Err(Refusal::Kiss("RATE".to_owned())));
        assert_eq!(answer(&kiss, NONCE ^ 1), Err(Refusal::Stranger));
        // The code is for the log, and not for the terminal to obey.
        kiss[12..16].copy_from_slice(b"\x1b[2J");
        assert_eq!(answer(&kiss, NONCE), Err(Refusal::Kiss("2J".to_owned())));
    }

    #[test]
    fn a_server_whose_own_clock_is_not_set_is_not_believed() {
        let change = |changes: &[(usize, u8)]| {
            let mut octets = right(1_795_332_000);
            for (at, octet) in changes {
                octets[*at] = *octet;
            }
            answer(&octets, NONCE)
        };
        assert!(change(&[]).is_ok());
        assert_eq!(change(&[(0, 0xe4)]), Err(Refusal::Unsynchronized), "LI 3");
        assert_eq!(change(&[(1, 16)]), Err(Refusal::Unsynchronized), "stratum 16");
        assert_eq!(change(&[(9, 16)]), Err(Refusal::Unsynchronized), "root dispersion 16 s");
        assert_eq!(change(&[(5, 40)]), Err(Refusal::Unsynchronized), "root delay 40 s");
        assert_eq!(change(&[(4, 0x80)]), Err(Refusal::Unsynchronized), "root delay without sense");
        let nothing = [(40, 0), (41, 0), (42, 0), (43, 0)];
        assert_eq!(change(&nothing), Err(Refusal::Unsynchronized), "no transmit timestamp");
        assert!(change(&[(9, 12)]).is_ok(), "12 s of dispersion");
    }
}
