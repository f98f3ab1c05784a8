//! G.711 in both laws (ITU-T G.711), bit by bit.

/// One mu-law octet as 16-bit linear.
pub fn ulaw_to_linear(octet: u8) -> i16 {
    let octet = !octet;
    let exponent = (octet >> 4) & 7;
    let magnitude = ((i32::from(octet & 0x0f) << 3) + 0x84) << exponent;
    let value = magnitude - 0x84;
    if octet & 0x80 != 0 { -value as i16 } else { value as i16 }
}

/// 16-bit linear as one mu-law octet.
pub fn linear_to_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 0x84;
    let exponent = (magnitude >> 7).ilog2().min(7) as u8;
    let mantissa = ((magnitude >> (exponent + 3)) & 0x0f) as u8;
    !(sign | (exponent << 4) | mantissa)
}

/// One A-law octet as 16-bit linear.
pub fn alaw_to_linear(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let exponent = (octet >> 4) & 7;
    let mantissa = i32::from(octet & 0x0f) << 4;
    let magnitude = match exponent {
        0 => mantissa + 8,
        e => (mantissa + 0x108) << (e - 1),
    };
    if octet & 0x80 != 0 { magnitude as i16 } else { -magnitude as i16 }
}

/// 16-bit linear as one A-law octet.
pub fn linear_to_alaw(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = if sample >= 0 { i32::from(sample) } else { -i32::from(sample) - 1 };
    let octet = if magnitude < 256 {
        (magnitude >> 4) as u8
    } else {
        let exponent = (magnitude >> 7).ilog2() as u8;
        (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0f) as u8
    };
    (octet | sign) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_comes_back_from_linear() {
        for octet in 0..=255u8 {
            assert_eq!(alaw_to_linear(linear_to_alaw(alaw_to_linear(octet))), alaw_to_linear(octet), "A {octet}");
            assert_eq!(ulaw_to_linear(linear_to_ulaw(ulaw_to_linear(octet))), ulaw_to_linear(octet), "mu {octet}");
        }
        assert_eq!(ulaw_to_linear(0x80), 32_124);
        assert_eq!(ulaw_to_linear(0x00), -32_124);
    }
}
