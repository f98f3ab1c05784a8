use super::*;

/// A WAV file of one `fmt ` and one `data` part.
fn wav_file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut format = Vec::new();
    format.extend(tag.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend((rate * u32::from(channels) * u32::from(bits) / 8).to_le_bytes());
    format.extend((channels * bits / 8).to_le_bytes());
    format.extend(bits.to_le_bytes());
    parts(&[(b"fmt ", &format), (b"data", data)])
}

fn parts(list: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, body) in list {
        file.extend(*name);
        file.extend((body.len() as u32).to_le_bytes());
        file.extend(*body);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    file
}

#[test]
fn wav_of_both_laws_and_of_16_bits_and_bare_octets_are_read() {
    let octets: Vec<u8> = (0..=255).collect();
    let linear: Vec<u8> = octets.iter().flat_map(|octet| Law::Mu.decode(*octet).to_le_bytes()).collect();
    let mu = Sound::new(Law::Mu, &octets).unwrap();
    assert_eq!(Sound::read("wav", &wav_file(MU_LAW, 1, 8000, 8, &octets)), Ok(mu.clone()));
    assert_eq!(Sound::read("", &wav_file(MU_LAW, 1, 8000, 8, &octets)), Ok(mu.clone()), "by its content");
    assert_eq!(Sound::read("ulaw", &octets), Ok(mu.clone()));
    let read = Sound::read("wav", &wav_file(PCM, 1, 8000, 16, &linear)).unwrap();
    // Both zeros of the law are one sample.
    let same = read.octets.iter().zip(&octets).all(|(read, octet)| Law::Mu.decode(*read) == Law::Mu.decode(*octet));
    assert!(same && read.octets.len() == 256);
    let a = Sound::new(Law::A, &octets).unwrap();
    assert_eq!(Sound::read("wav", &wav_file(A_LAW, 1, 8000, 8, &octets)), Ok(a.clone()));
    assert_eq!(Sound::read("ALAW", &octets), Ok(a));
    assert_eq!(mu.duration(), Duration::from_millis(40));
}

#[test]
fn parts_that_editors_put_beside_the_sound_do_not_matter() {
    let plain = wav_file(MU_LAW, 1, 8000, 8, b"\x12\x34\x56");
    let format = &plain[20..36];
    let expected = Sound::new(Law::Mu, b"\x12\x34\x56");
    let with = parts(&[(b"LIST", b"odd"), (b"fmt ", format), (b"fact", b"1234"), (b"data", b"\x12\x34\x56")]);
    assert_eq!(Sound::read("wav", &with), expected);
    let mut extensible = format.to_vec();
    extensible[..2].copy_from_slice(&EXTENSIBLE.to_le_bytes());
    extensible.extend([22, 0, 8, 0, 4, 0, 0, 0]);
    extensible.extend(MU_LAW.to_le_bytes());
    extensible.extend([0; 14]);
    assert_eq!(Sound::read("wav", &parts(&[(b"fmt ", &extensible), (b"data", b"\x12\x34\x56")])), expected);
    // From a pipe: a length that nobody knew.
    let mut endless = plain.clone();
    endless.truncate(47);
    endless[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Sound::read("wav", &endless), expected);
}

#[test]
fn what_cannot_be_played_says_why() {
    let format = |file: &[u8]| Sound::read("wav", file).map_err(|error| error.to_string());
    let needs = "not 8000 Hz, one channel, µ-law, A-law or PCM of 16 bits";
    for (file, what) in [
        (wav_file(PCM, 2, 44_100, 16, b"1234"), "PCM, 44100 Hz, 16 bits, channels: 2"),
        (wav_file(PCM, 1, 8000, 8, b"1234"), "PCM, 8000 Hz, 8 bits, channels: 1"),
        (wav_file(85, 1, 8000, 0, b"1234"), "format 85, 8000 Hz, 0 bits, channels: 1"),
    ] {
        assert_eq!(format(&file), Err(format!("is {what}, {needs}")));
    }
    assert_eq!(Sound::read("wav", b"ID3\x03"), Err(SoundError::Kind));
    assert_eq!(Sound::read("mp3", b""), Err(SoundError::Kind));
    assert_eq!(Sound::read("ulaw", b""), Err(SoundError::Empty));
    assert_eq!(Sound::read("wav", &wav_file(MU_LAW, 1, 8000, 8, b"")), Err(SoundError::Empty));
    assert_eq!(Sound::read("alaw", &vec![0; 480_001]), Err(SoundError::Long));
    assert!(Sound::read("alaw", &vec![0; 480_000]).is_ok());
    let whole = wav_file(MU_LAW, 1, 8000, 8, b"1234");
    for cut in 12..44 {
        assert_eq!(Sound::read("wav", &whole[..cut]), Err(SoundError::Broken), "{cut}");
    }
    assert_eq!(Sound::read("wav", &parts(&[(b"data", b"1234")])), Err(SoundError::Broken));
}

#[test]
fn a_packet_is_filled_up_with_silence_and_converted_to_the_other_law() {
    let sound = Sound::new(Law::Mu, &[0x12; FRAME + 1]).unwrap();
    let mut out = [0; FRAME];
    assert_eq!(sound.frame(0, Law::Mu, &mut out), Some(()));
    assert_eq!(out, [0x12; FRAME]);
    assert_eq!(sound.frame(1, Law::A, &mut out), Some(()));
    assert_eq!(out[0], Law::Mu.convert(0x12, Law::A));
    assert_eq!(out[1..], [0xd5; FRAME - 1]);
    assert_eq!(sound.frame(2, Law::A, &mut out), None);
    assert_eq!(sound.frame(usize::MAX, Law::A, &mut out), None);
}
