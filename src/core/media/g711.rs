//! The two laws of G.711, to samples of 16 bits and back, and one to the other by the tables of the Recommendation.

/// Which companding law octets follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// PCMU.
    Mu,
    /// PCMA.
    A,
}

impl Law {
    /// The law of a static RTP payload type (RFC 3551 section 6).
    pub fn of_payload_type(payload_type: u8) -> Option<Law> {
        match payload_type {
            0 => Some(Law::Mu),
            8 => Some(Law::A),
            _ => None,
        }
    }

    /// The static RTP payload type of the law.
    pub fn payload_type(self) -> u8 {
        match self {
            Law::Mu => 0,
            Law::A => 8,
        }
    }

    /// The octet of silence.
    pub const fn silence(self) -> u8 {
        self.encode(0)
    }

    /// A sample of 16 bits as an octet.
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => encode_mu(sample),
            Law::A => encode_a(sample),
        }
    }

    /// An octet as a sample of 16 bits.
    pub const fn decode(self, octet: u8) -> i16 {
        match self {
            Law::Mu => decode_mu(octet),
            Law::A => decode_a(octet),
        }
    }

    /// An octet of this law in another one, by table.
    pub fn convert(self, octet: u8, to: Law) -> u8 {
        self.table(to).map_or(octet, |table| table[octet as usize])
    }

    /// Converts octets of this law in place.
    pub fn convert_all(self, octets: &mut [u8], to: Law) {
        if let Some(table) = self.table(to) {
            for octet in octets {
                *octet = table[*octet as usize];
            }
        }
    }

    fn table(self, to: Law) -> Option<&'static [u8; 256]> {
        match (self, to) {
            (Law::Mu, Law::A) => Some(&MU_TO_A),
            (Law::A, Law::Mu) => Some(&A_TO_MU),
            (Law::Mu, Law::Mu) | (Law::A, Law::A) => None,
        }
    }
}

static MU_TO_A: [u8; 256] = octets(&MU_VALUES_IN_A, 0x7f, 1, 0x55);
static A_TO_MU: [u8; 256] = octets(&A_VALUES_IN_MU, 0x55, 0, 0x7f);

/// Table 3 of G.711: for each µ-law value by its number from 0 the A-law value by its number from 1. The levels of the
/// two laws differ (3.17 and 3.14 dBm0 at the most), so this is not what a way over linear samples gives.
#[rustfmt::skip]
const MU_VALUES_IN_A: [u8; 128] = [
    1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8,
    9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    25, 27, 29, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    46, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96,
    97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128,
];

/// Table 4 of G.711: the other way.
#[rustfmt::skip]
const A_VALUES_IN_MU: [u8; 128] = [
    1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, 28, 29, 30, 31, 32, 32, 33, 33, 34, 34, 35, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 48, 49, 49,
    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 64,
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 79,
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
];

/// A table of octets from one of numbers: an octet is a sign bit (set: positive) and a number, the bits of which are
/// inverted as `mask_in` says; what comes out is inverted by `mask_out`, and its numbers begin at `first_out`.
const fn octets(numbers: &[u8; 128], mask_in: u8, first_out: u8, mask_out: u8) -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < table.len() {
        let number = (octet as u8 ^ mask_in) & 0x7f;
        let sign = octet as u8 & 0x80;
        table[octet] = sign | ((numbers[number as usize] - first_out) ^ mask_out);
        octet += 1;
    }
    table
}

/// What µ-law adds, so that every segment begins at a power of two; and the largest value that it can hold.
const BIAS: i32 = 0x84;
const CLIP: i32 = 32_635;

const fn encode_mu(sample: i16) -> u8 {
    let sample = sample as i32;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let size = if sample < 0 { -sample } else { sample };
    let size = if size > CLIP { CLIP } else { size } + BIAS;
    // 132 <= size < 2^15: the segment is 0 to 7.
    let segment = 24 - size.leading_zeros();
    let step = (size >> (segment + 3)) & 0x0f;
    !(sign | (segment as u8) << 4 | step as u8)
}

const fn decode_mu(octet: u8) -> i16 {
    let octet = !octet;
    let size = (((octet & 0x0f) as i32) << 3) + BIAS;
    let size = (size << ((octet & 0x70) >> 4)) - BIAS;
    (if octet & 0x80 == 0 { size } else { -size }) as i16
}

const fn encode_a(sample: i16) -> u8 {
    let sample = (sample >> 3) as i32;
    let (mask, size) = if sample < 0 { (0x55, -sample - 1) } else { (0xd5, sample) };
    // size < 2^12: the segment is 0 to 7.
    let segment = if size < 32 { 0 } else { 27 - size.leading_zeros() };
    let step = if segment < 2 { size >> 1 } else { size >> segment } & 0x0f;
    ((segment as u8) << 4 | step as u8) ^ mask
}

const fn decode_a(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let step = ((octet & 0x0f) as i32) << 4;
    let size = match (octet & 0x70) >> 4 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    (if octet & 0x80 == 0 { -size } else { size }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_laws_are_those_of_g711() {
        // Value, µ-law, A-law: silence, the loudest both ways, and small ones.
        for (sample, mu, a) in [
            (0, 0xff, 0xd5),
            (-1, 0x7f, 0x55),
            (32_767, 0x80, 0xaa),
            (-32_768, 0x00, 0x2a),
            (1000, 0xce, 0xfa),
            (-1000, 0x4e, 0x7a),
        ] {
            assert_eq!((Law::Mu.encode(sample), Law::A.encode(sample)), (mu, a), "{sample}");
        }
        assert_eq!((Law::Mu.silence(), Law::A.silence()), (0xff, 0xd5));
    }

    #[test]
    fn an_octet_survives_its_own_law_and_nearly_the_other() {
        for octet in 0..=255 {
            for law in [Law::Mu, Law::A] {
                let sample = law.decode(octet);
                let again = law.decode(law.encode(sample));
                assert_eq!(sample, again, "{law:?} {octet:#x}");
                let other = if law == Law::Mu { Law::A } else { Law::Mu };
                let converted = i32::from(other.decode(law.convert(octet, other)));
                // Half a step of the coarser law at that loudness.
                let step = (i32::from(sample).abs() / 16).max(16);
                assert!((converted - i32::from(sample)).abs() <= step, "{law:?} {octet:#x}: {sample} {converted}");
            }
        }
        assert_eq!(Law::Mu.convert(7, Law::Mu), 7);
    }

    /// The value of each number of a law, in units in which its loudest stands at its own level.
    #[expect(clippy::approx_constant, reason = "3.14 dBm0 is the level of G.711 section 7, and no circle")]
    fn values(law: Law) -> Vec<f64> {
        let (mask, loudest, level) = match law {
            Law::Mu => (0xff, 4.0 * 8159.0, 3.17),
            Law::A => (0xd5, 8.0 * 4096.0, 3.14),
        };
        (0..128).map(|number| f64::from(law.decode(number ^ mask)) / loudest * 10_f64.powf(level / 20.0)).collect()
    }

    #[test]
    fn the_tables_are_the_nearest_values_at_equal_levels_but_for_the_two_that_g711_names() {
        let (mu, a) = (values(Law::Mu), values(Law::A));
        // Of two that are as near the lower one.
        let nearest = |value: f64, among: &[f64]| {
            (0..128).min_by(|x, y| (among[*x] - value).abs().total_cmp(&(among[*y] - value).abs())).unwrap() as u8
        };
        for number in 0..128_u8 {
            for sign in [0, 0x80] {
                let octet = |number: u8, mask: u8| sign | (number ^ mask) & 0x7f;
                // Note 3 to the tables: µ 80 is A 81 (counted from 1) and A 80 is µ 79, for the sake of the way back.
                let in_a = if number == 80 { 80 } else { nearest(mu[number as usize], &a) };
                assert_eq!(Law::Mu.convert(octet(number, 0x7f), Law::A), octet(in_a, 0x55), "µ {number}");
                let in_mu = if number == 79 { 79 } else { nearest(a[number as usize], &mu) };
                assert_eq!(Law::A.convert(octet(number, 0x55), Law::Mu), octet(in_mu, 0x7f), "A {number}");
            }
        }
    }

    #[test]
    fn a_way_there_and_back_changes_no_bit_but_the_last_and_only_of_few_values() {
        let changed = |from: Law, to: Law, mask: u8| -> Vec<u8> {
            let mut changed = Vec::new();
            for octet in 0..=255_u8 {
                let back = to.convert(from.convert(octet, to), from);
                assert!((back ^ octet) & 0xfe == 0, "{from:?} {octet:#x} {back:#x}");
                if back != octet && octet & 0x80 != 0 {
                    changed.push(octet ^ mask);
                }
            }
            changed.sort_unstable();
            changed
        };
        assert_eq!(changed(Law::Mu, Law::A, 0xff), [0, 2, 4, 6, 8, 10, 12, 14]);
        // G.711 counts them from 1.
        assert_eq!(changed(Law::A, Law::Mu, 0xd5), [26, 28, 30, 32, 45, 47, 63, 80].map(|number| number - 1));
    }

    #[test]
    fn many_octets_are_converted_as_each_alone() {
        for (from, to) in [(Law::Mu, Law::A), (Law::A, Law::Mu), (Law::A, Law::A)] {
            let mut octets: Vec<u8> = (0..=255).collect();
            from.convert_all(&mut octets, to);
            assert!((0..=255).zip(&octets).all(|(octet, converted)| *converted == from.convert(octet, to)));
            assert_eq!(Law::of_payload_type(to.payload_type()), Some(to));
        }
    }

    #[test]
    fn only_the_static_payload_types_have_a_law() {
        assert_eq!([0, 8, 3, 96].map(Law::of_payload_type), [Some(Law::Mu), Some(Law::A), None, None]);
    }
}
