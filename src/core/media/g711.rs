//! The two laws of G.711, to samples of 16 bits and back, and one to the other.

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
        match (self, to) {
            (Law::Mu, Law::A) => MU_TO_A[octet as usize],
            (Law::A, Law::Mu) => A_TO_MU[octet as usize],
            (Law::Mu, Law::Mu) | (Law::A, Law::A) => octet,
        }
    }
}

const MU_TO_A: [u8; 256] = table(Law::Mu, Law::A);
const A_TO_MU: [u8; 256] = table(Law::A, Law::Mu);

const fn table(from: Law, to: Law) -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        table[at] = to.encode(from.decode(at as u8));
        at += 1;
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

    #[test]
    fn only_the_static_payload_types_have_a_law() {
        assert_eq!([0, 8, 3, 96].map(Law::of_payload_type), [Some(Law::Mu), Some(Law::A), None, None]);
    }
}
