use std::net::SocketAddr;

use super::*;
use crate::media::{MasterKey, Suite};

const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

/// Twilio's offer over SRTP (TWILIO.md "Codecs"): `c=` is public, `o=` is not.
fn twilio() -> String {
    format!(
        "v=0\r\no=root 1234 1234 IN IP4 172.18.1.2\r\ns=Twilio Media Gateway\r\nc=IN IP4 168.86.1.2\r\nt=0 0\r\n\
         m=audio 10240 RTP/SAVP 107 0 8 101\r\na=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\na=ptime:20\r\na=maxptime:20\r\na=sendrecv\r\n"
    )
}

/// A plain offer with these lines at the end of the session part and of the media part.
fn plain(session: &str, m: &str, media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\n{session}t=0 0\r\n{m}\r\n{media}")
}

const C: &str = "c=IN IP4 10.0.0.5\r\n";
const M: &str = "m=audio 5004 RTP/AVP 0 8 101";
const EVENT: &str = "a=rtpmap:101 telephone-event/8000\r\n";

#[track_caller]
fn ok(text: &str) -> Remote {
    read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn twilios_offer_is_read() {
    let remote = ok(&twilio());
    assert_eq!(remote.rtp(), Some(address("168.86.1.2:10240")));
    assert_eq!(remote.codecs, [Codec::Pcmu, Codec::Pcma]);
    assert_eq!(remote.telephone_event, Some(101));
    assert_eq!(remote.direction, Direction::SendRecv);
    assert_eq!(remote.ptime, Some(20));
    let crypto = remote.crypto.unwrap();
    assert_eq!((crypto.len(), crypto[0].tag, crypto[0].suite), (1, 1, Suite::AesCm128HmacSha1_80));
}

#[test]
fn codecs_keep_their_order_and_static_types_need_no_rtpmap() {
    assert_eq!(ok(&plain(C, "m=audio 5004 RTP/AVP 8 0", "")).codecs, [Codec::Pcma, Codec::Pcmu]);
    assert_eq!(ok(&plain(C, "m=audio 5004 RTP/AVP 18 0 0", "")).codecs, [Codec::Pcmu]);
    assert_eq!(ok(&plain(C, "m=audio 5004 RTP/AVP 0", "a=rtpmap:0 pcmu/8000/1\r\n")).codecs, [Codec::Pcmu]);
    // A type that they took for something else, or at another rate, is not ours.
    for rtpmap in ["0 G729/8000", "0 PCMU/16000", "0 PCMU/8000/2", "0 PCMU"] {
        let remote = ok(&plain(C, "m=audio 5004 RTP/AVP 0 8", &format!("a=rtpmap:{rtpmap}\r\n")));
        assert_eq!(remote.codecs, [Codec::Pcma], "{rtpmap}");
    }
}

#[test]
fn telephone_event_may_have_any_dynamic_payload_type_at_8000_hz() {
    let remote = ok(&plain(
        C,
        "m=audio 5004 RTP/AVP 0 96 97",
        "a=rtpmap:96 telephone-event/48000\r\na=rtpmap:97 Telephone-Event/8000\r\n",
    ));
    assert_eq!(remote.telephone_event, Some(97));
    assert_eq!(ok(&plain(C, "m=audio 5004 RTP/AVP 0", EVENT)).telephone_event, None, "not in the m= line");
    assert_eq!(ok(&plain(C, M, "")).telephone_event, None, "101 means nothing by itself");
    let high = plain(C, "m=audio 5004 RTP/AVP 0 200", "a=rtpmap:200 telephone-event/8000\r\n");
    assert_eq!(ok(&high).telephone_event, None, "RTP has 7 bits for it");
}

#[test]
fn the_address_is_that_of_the_stream_or_else_that_of_the_session() {
    assert_eq!(ok(&plain(C, M, "")).rtp(), Some(address("10.0.0.5:5004")));
    assert_eq!(ok(&plain(C, M, "c=IN IP4 10.0.0.6/127\r\n")).rtp(), Some(address("10.0.0.6:5004")));
    assert_eq!(ok(&plain("", M, "c=IN IP6 2001:db8::6\r\n")).rtp(), Some(address("[2001:db8::6]:5004")));
}

#[test]
fn an_address_that_cannot_be_used_is_no_fault_and_the_port_still_counts() {
    for session in [
        "",
        "c=IN IP4 phone.local\r\n",
        "c=IN IP4 224.2.1.1/127\r\n",
        "c=IN IP6 ff02::1\r\n",
        "c=IN\r\n",
        "c=IN IP4\r\n",
        "c=ATM NSAP 47\r\n",
        "c=IN IP4 10.0.0.999\r\n",
    ] {
        let remote = ok(&plain(session, M, ""));
        assert_eq!((remote.place, remote.rtp()), (Place::Port(5004), None), "{session}");
        assert_eq!(remote.direction, Direction::SendRecv, "{session}");
    }
    for connection in [C, "c=IN IP4 0.0.0.0\r\n"] {
        assert_eq!(ok(&plain(connection, "m=audio 9 RTP/AVP 0", "")).place, Place::Unknown);
    }
}

#[test]
fn rtcp_has_its_own_port_and_perhaps_its_own_address() {
    for (line, port, own) in [
        ("a=rtcp:53020", 53020, None),
        ("a=rtcp:53020 IN IP4 10.0.0.9", 53020, Some("10.0.0.9")),
        ("a=rtcp:53020 IN IP6 2001:db8::9", 53020, Some("2001:db8::9")),
        ("a=rtcp:53020 IN IP4 0.0.0.0", 53020, None),
        ("a=rtcp:53020 IN IP4 phone.local", 53020, None),
    ] {
        let expected = RtcpPlace { port, address: own.map(|text| text.parse().unwrap()) };
        assert_eq!(ok(&plain(C, M, &format!("{line}\r\n"))).rtcp, Some(expected), "{line}");
    }
    for line in ["a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp:0", "a=rtcp:70000", "a=rtcp", "a=rtcp-mux", "a=rtcp-fb:0 nack"] {
        assert_eq!(ok(&plain(C, M, &format!("{line}\r\n"))).rtcp, None, "{line}");
    }
    let of_another_stream = "a=sendrecv\r\nm=video 6000 RTP/AVP 96\r\na=rtcp:53020\r\n".to_owned();
    assert_eq!(ok(&plain(C, M, &of_another_stream)).rtcp, None);
}

#[test]
fn profiles_with_feedback_are_taken_and_answered_with_their_own_name() {
    let crypto = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{KEY}\r\n");
    let feedback = "a=rtcp-fb:* nack pli\r\na=rtcp-mux\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
                    a=candidate:1 1 UDP 2130706431 10.0.0.5 5004 typ host\r\na=rtcp-rsize\r\n";
    for (proto, lines, local) in [
        ("RTP/AVPF", "", local()),
        ("rtp/avpf", feedback, local()),
        ("RTP/SAVPF", crypto.as_str(), secure()),
        ("RTP/SAVP", crypto.as_str(), secure()),
    ] {
        let remote = ok(&plain(C, &format!("m=audio 5004 {proto} 0"), lines));
        assert_eq!(remote.crypto.is_some(), proto.contains("SAVP"), "{proto}");
        let answer = String::from_utf8(write(&local, Some(&remote))).unwrap();
        assert!(answer.contains(&format!("m=audio 16384 {proto} ")), "{answer}");
        assert!(!["rtcp-fb", "rtcp-mux", "ice", "candidate"].iter().any(|name| answer.contains(name)), "{answer}");
    }
}

#[test]
fn audio_with_port_0_is_no_audio_whatever_stands_beside_it() {
    for other in [
        "",
        "m=image 5010 udptl t38",
        "m=image 0 udptl t38",
        "m=video 6000 RTP/AVP 96",
        "m=text 6002 RTP/AVP 98",
        "m=audio 0 RTP/SAVP 8",
        "m=audio 5004 RTP/AVP 18",
    ] {
        let text = plain(C, &format!("m=audio 0 RTP/AVP 0\r\n{other}"), "");
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), 488, "{other}: {error}");
    }
    let behind = plain(C, "m=audio 0 RTP/AVP 0\r\nm=image 5010 udptl t38\r\nm=audio 5004 RTP/AVP 0", "");
    assert_eq!(ok(&behind).audio, 2);
}

#[test]
fn a_description_that_is_refused_is_salvaged_as_far_as_it_goes() {
    let savp = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{KEY}\r\n");
    let both = [Codec::Pcmu, Codec::Pcma];
    for (what, m, lines, codecs, proto) in [
        ("DTLS", "m=audio 5004 UDP/TLS/RTP/SAVPF 111 8", "a=fingerprint:sha-256 AA\r\n", &[Codec::Pcma][..], "RTP/AVP"),
        ("no key", "m=audio 5004 RTP/SAVP 0", "", &[Codec::Pcmu], "RTP/AVP"),
        ("no codec of ours", "m=audio 5004 RTP/AVP 18 9", "", &both, "RTP/AVP"),
        ("a dynamic number", "m=audio 5004 RTP/AVPF 97", "a=rtpmap:97 PCMU/8000\r\n", &both, "RTP/AVPF"),
        ("no codec, with a key", "m=audio 5004 RTP/SAVP 18", &savp, &both, "RTP/SAVP"),
        ("over TCP", "m=audio 5004 TCP/RTP/AVP 0", "", &[Codec::Pcmu], "RTP/AVP"),
    ] {
        let text = plain(C, &format!("m=video 6000 RTP/AVP 96\r\n{m}"), lines);
        assert!(read(text.as_bytes()).is_err(), "{what}");
        let remote = salvage(text.as_bytes()).unwrap();
        assert_eq!((remote.audio, &*remote.codecs, &*remote.streams[1].proto), (1, codecs, proto), "{what}");
        assert_eq!((remote.rtp(), remote.crypto.is_some()), (Some(address("10.0.0.5:5004")), proto == "RTP/SAVP"));
        let local = if remote.crypto.is_some() { secure() } else { local() };
        let answer = String::from_utf8(write(&local, Some(&remote))).unwrap();
        assert!(answer.contains("m=video 0 ") && answer.contains(&format!("m=audio 16384 {proto} ")), "{answer}");
    }
    let fax = salvage(plain(C, "m=audio 0 RTP/AVP 0\r\nm=image 5010 udptl t38", "").as_bytes()).unwrap();
    assert_eq!((fax.place, fax.streams[0].port), (Place::Unknown, 9), "the answer has a port");
    for nothing in ["", "hello", "v=0\r\n", &plain(C, "m=video 6000 RTP/AVP 96", ""), &plain(C, "m=audio", "")] {
        assert_eq!(salvage(nothing.as_bytes()), None, "{nothing}");
    }
}

#[test]
fn a_later_offer_keeps_every_line_in_its_place() {
    let theirs = ok(&plain(C, "m=video 6000 RTP/AVP 99\r\nm=audio 5004 RTP/AVPF 0\r\nm=image 5010 udptl t38", ""));
    let again = String::from_utf8(rewrite(&local(), &theirs.streams, theirs.audio)).unwrap();
    let lines: Vec<_> = again.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=video 0 RTP/AVP 99", "m=audio 16384 RTP/AVPF 0 8 101", "m=image 0 udptl t38"]);
    assert!(again.starts_with("v=0\r\no=- 42 3 IN IP4 203.0.113.7\r\n"), "{again}");
}

#[test]
fn a_direction_of_the_stream_goes_before_that_of_the_session() {
    assert_eq!(ok(&plain(C, M, "a=sendonly\r\n")).direction, Direction::SendOnly);
    assert_eq!(ok(&plain("c=IN IP4 10.0.0.5\r\na=inactive\r\n", M, "")).direction, Direction::Inactive);
    assert_eq!(ok(&plain("c=IN IP4 10.0.0.5\r\na=inactive\r\n", M, "a=recvonly\r\n")).direction, Direction::RecvOnly);
}

#[test]
fn directions_are_reversed_for_the_other_party() {
    for (one, other) in [
        (Direction::SendRecv, Direction::SendRecv),
        (Direction::SendOnly, Direction::RecvOnly),
        (Direction::RecvOnly, Direction::SendOnly),
        (Direction::Inactive, Direction::Inactive),
    ] {
        assert_eq!(one.reversed(), other);
        assert_eq!(Direction::new(one.sends(), one.receives()), one);
        assert_eq!(Direction::from_token(one.token()), Some(one));
    }
}

#[test]
fn an_address_of_zeros_is_an_old_phones_hold() {
    let remote = ok(&plain("c=IN IP4 0.0.0.0\r\n", M, ""));
    assert_eq!((remote.rtp(), remote.direction), (None, Direction::SendOnly));
    let remote = ok(&plain("c=IN IP4 0.0.0.0\r\n", M, "a=recvonly\r\n"));
    assert_eq!((remote.direction, remote.is_awaiting()), (Direction::Inactive, false));
    // At the beginning there is nothing to hold: the address is not known yet.
    let remote = remote.awaiting();
    assert_eq!((remote.direction, remote.is_awaiting()), (Direction::RecvOnly, true));
    let remote = ok(&plain("c=IN IP6 ::\r\n", M, ""));
    assert_eq!(remote.place, Place::Zeros { port: 5004, written: Direction::SendRecv });
}

#[test]
fn the_lines_that_phones_get_wrong_do_not_matter() {
    let good = plain(C, M, EVENT);
    let expected = ok(&good);
    for (what, text) in [
        ("LF only", good.replace("\r\n", "\n")),
        ("CR only", good.replace("\r\n", "\r")),
        ("no t=", good.replace("t=0 0\r\n", "")),
        ("t= with one number", good.replace("t=0 0", "t=0")),
        ("no s=", good.replace("s=-\r\n", "")),
        ("no o=", good.replace("o=- 1 1 IN IP4 10.0.0.5\r\n", "")),
        ("o= with a name of two words", good.replace("o=- ", "o=John Doe ")),
        ("o= with a negative version", good.replace("o=- 1 1", "o=- 1 -1")),
        ("o= with a large version", good.replace("o=- 1 1", "o=- 1 99999999999999999999999")),
        ("b= without number", good.replace("t=0 0", "b=AS:\r\nt=0 0")),
        ("two c=", good.replace("t=0 0", "c=IN IP4 10.9.9.9\r\nt=0 0")),
        ("spaces at line ends", good.replace("\r\n", " \r\n")),
        ("two spaces in m=", good.replace("audio 5004", "audio  5004")),
        ("a number of ports", good.replace("audio 5004", "audio 5004/1")),
        ("an empty line", good.replace("t=0 0", "\r\nt=0 0")),
        ("a line that is none", good.replace("t=0 0", "nonsense\r\nt=0 0")),
        ("a NUL at the end", format!("{good}\0")),
        ("an empty line before", format!("\r\n{good}")),
    ] {
        assert_eq!(ok(&text), expected, "{what}");
    }
    let latin1: Vec<u8> = good.replace("s=-", "s=Caf#").bytes().map(|b| if b == b'#' { 0xe9 } else { b }).collect();
    assert_eq!(read(&latin1).unwrap(), expected);
}

#[test]
fn the_first_active_audio_stream_that_we_can_take_is_taken() {
    let text = plain(
        C,
        "m=video 6000 RTP/AVP 96\r\na=sendonly\r\nm=audio 0 RTP/AVP 0\r\nm=audio 5000 RTP/AVP 18\r\n\
         m=audio 5002 UDP/TLS/RTP/SAVPF 0\r\nm=audio 5004/2 RTP/AVP 8\r\nm=audio 5008 RTP/AVP 0\r\nm=image 5010 udptl t38",
        "",
    );
    let remote = ok(&text);
    assert_eq!((remote.audio, remote.streams.len()), (4, 7));
    assert_eq!(remote.rtp(), Some(address("10.0.0.5:5004")));
    assert_eq!(remote.direction, Direction::SendRecv, "the video's is the video's");
    assert_eq!(remote.streams[6].fmt, "t38");
}

#[test]
fn of_secure_and_plain_alternatives_the_first_usable_one_is_taken() {
    let savp = "m=audio 5004 RTP/SAVP 0";
    let avp = "m=audio 5006 RTP/AVP 0";
    let crypto = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{KEY}");
    let remote = ok(&plain(C, &format!("{savp}\r\n{crypto}\r\n{avp}"), ""));
    assert_eq!((remote.audio, remote.crypto.map(|c| c[0].tag)), (0, Some(3)));
    let remote = ok(&plain(C, &format!("{avp}\r\n{savp}\r\n{crypto}"), ""));
    assert_eq!((remote.audio, remote.crypto), (0, None));
    let remote = ok(&plain(C, &format!("{savp}\r\n{avp}"), ""));
    assert_eq!((remote.audio, remote.crypto), (1, None), "the secure one has no key");
    // Keys beside RTP/AVP are for those who do best-effort SRTP; we do not.
    assert_eq!(ok(&plain(C, M, &format!("{crypto}\r\n"))).crypto, None);
}

#[test]
fn crypto_lines_that_we_can_not_use_are_passed_over() {
    let lines = format!(
        "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}AAAA\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4\r\n\
         a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:short\r\na=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^31\r\n\
         a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\na=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
    );
    let crypto = ok(&plain(C, "m=audio 5004 RTP/SAVP 0", &lines)).crypto.unwrap();
    let tags: Vec<_> = crypto.iter().map(|c| (c.tag, c.suite)).collect();
    assert_eq!(tags, [(4, Suite::AesCm128HmacSha1_32), (5, Suite::AesCm128HmacSha1_80)]);
}

#[test]
fn what_is_refused_says_why_and_with_which_code() {
    let none = "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:x\r\n";
    for (text, error, code) in [
        (plain(C, "m=video 6000 RTP/AVP 96", ""), SdpError::NoAudio, 488),
        (plain(C, "m=audio 6000 UDP/TLS/RTP/SAVPF 0", ""), SdpError::NoAudio, 488),
        (plain(C, "", ""), SdpError::NoAudio, 488),
        (plain(C, "m=audio 6000 RTP/AVP 18 9", ""), SdpError::NoCodec("18 9".into()), 488),
        (plain(C, "m=audio 6000 RTP/AVP 96", "a=rtpmap:96 PCMU/8000\r\n"), SdpError::NoCodec("96".into()), 488),
        (plain(C, "m=audio 6000 RTP/SAVP 0", none), SdpError::NoCrypto, 488),
        (plain(C, "m=audio 6000 RTP/SAVP 0", ""), SdpError::NoCrypto, 488),
        // Of several faults that of the first audio stream.
        (plain(C, "m=audio 6000 RTP/AVP 18\r\nm=audio 6002 RTP/SAVP 0", ""), SdpError::NoCodec("18".into()), 488),
        (String::new(), SdpError::Malformed("it does not begin with v=0".into()), 400),
        ("hello".into(), SdpError::Malformed("it does not begin with v=0".into()), 400),
        (plain(C, "m=audio 70000 RTP/AVP 0", ""), SdpError::Malformed("m=audio 70000 RTP/AVP 0".into()), 400),
        (plain(C, "m=audio", ""), SdpError::Malformed("m=audio".into()), 400),
        (plain(C, &[M; 17].join("\r\n"), ""), SdpError::Malformed("more than 16 m= lines".into()), 400),
    ] {
        let refused = read(text.as_bytes()).unwrap_err();
        assert_eq!((&refused, refused.code()), (&error, code), "{text}");
    }
}

fn local() -> Local {
    Local {
        rtp: address("192.0.2.1:16384"),
        address: "203.0.113.7".parse().unwrap(),
        origin: "203.0.113.7".parse().unwrap(),
        session_id: 42,
        version: 3,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        telephone_event: Some(101),
        direction: Direction::SendRecv,
        profile: Profile::Plain,
        crypto: Vec::new(),
        ptime: Some(20),
    }
}

fn secure() -> Local {
    let key = MasterKey(std::array::from_fn(|i| i as u8));
    let crypto = vec![Crypto { tag: 1, suite: Suite::AesCm128HmacSha1_80, key }];
    Local { profile: Profile::Secure, crypto, ..local() }
}

#[test]
fn an_offer_of_ours_is_this() {
    assert_eq!(
        String::from_utf8(write(&secure(), None)).unwrap(),
        "v=0\r\no=- 42 3 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n\
         m=audio 16384 RTP/SAVP 0 8 101\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn an_independent_reader_and_ours_read_what_we_write() {
    for mut local in [local(), secure()] {
        for direction in [Direction::SendOnly, Direction::Inactive] {
            local.direction = direction;
            let text = write(&local, None);
            let remote = read(&text).unwrap();
            assert_eq!(remote.rtp(), Some(address("203.0.113.7:16384")));
            assert_eq!((&remote.codecs, remote.telephone_event), (&local.codecs, Some(101)));
            assert_eq!((remote.direction, remote.ptime), (direction, Some(20)));
            assert_eq!(remote.crypto.unwrap_or_default(), local.crypto);

            let independent = sdp_types::Session::parse(&text).unwrap();
            assert_eq!(independent.origin.sess_version, 3);
            assert_eq!(independent.medias[0].port, 16384);
            assert_eq!(independent.medias[0].fmt, "0 8 101");
            assert!(independent.medias[0].has_attribute(direction.token()));
        }
    }
    let v6 = Local { address: "2001:db8::1".parse().unwrap(), origin: "2001:db8::1".parse().unwrap(), ..local() };
    assert_eq!(read(&write(&v6, None)).unwrap().rtp(), Some(address("[2001:db8::1]:16384")));
}

#[test]
fn an_answer_has_the_offers_streams_in_order_and_refuses_all_but_one() {
    let offer = ok(&plain(
        C,
        "m=video 6000 RTP/AVP 96 97\r\nm=audio 5004 RTP/AVP 8 97\r\nm=audio 5006 RTP/AVP 0\r\nm=image 5010 udptl t38\r\n\
         m=application 9 DTLS/SCTP",
        "",
    ));
    let local = Local { codecs: vec![Codec::Pcma], telephone_event: None, ptime: None, ..local() };
    let text = String::from_utf8(write(&local, Some(&offer))).unwrap();
    let streams: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        streams,
        [
            "m=video 0 RTP/AVP 96 97",
            "m=audio 16384 RTP/AVP 8",
            "m=audio 0 RTP/AVP 0",
            "m=image 0 udptl t38",
            "m=application 0 DTLS/SCTP 0"
        ]
    );
    assert!(!text.contains("telephone-event") && !text.contains("ptime"));
    assert_eq!(read(text.as_bytes()).unwrap().audio, 1);
    assert!(sdp_types::Session::parse(text.as_bytes()).is_ok());
}

#[test]
fn keys_beside_plain_rtp_count_only_where_they_are_demanded() {
    let beside = Local { profile: Profile::Beside, ..secure() };
    let text = String::from_utf8(write(&beside, None)).unwrap();
    assert!(text.contains("m=audio 16384 RTP/AVP 0 8 101\r\na=crypto:1 "), "{text}");
    let remote = ok(&text);
    assert_eq!((remote.profile(), &remote.crypto), (Profile::Beside, &None));
    let demanded = remote.with_keys_beside();
    assert_eq!((demanded.profile(), demanded.crypto.as_ref()), (Profile::Beside, Some(&beside.crypto)));
    let answer = String::from_utf8(write(&secure(), Some(&demanded))).unwrap();
    assert!(answer.contains("m=audio 16384 RTP/AVP 0 8 101\r\na=crypto:1 "), "{answer}");
    for (text, profile) in [(twilio(), Profile::Secure), (plain(C, M, ""), Profile::Plain)] {
        let remote = ok(&text);
        assert_eq!((remote.profile(), remote.clone().with_keys_beside()), (profile, remote), "nothing to take");
    }
}

#[test]
fn keys_do_not_show_in_debug() {
    let text = format!("{:?} {:?}", secure(), ok(&twilio()));
    assert!(!text.contains(KEY) && !text.contains("AAECAw") && text.contains("***"), "{text}");
}

#[test]
fn hostile_descriptions_never_panic_and_what_is_read_is_answered() {
    let mut random = crate::random::Random::from_number(3);
    let seeds = [twilio(), plain(C, M, EVENT), plain(C, "m=audio 5004 RTP/SAVP 0\r\nm=audio 1 RTP/AVP 0", EVENT)];
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..1 + random.below(8) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[at] = b"=:/| \r\nm0\xff"[random.below(10) as usize],
                1 => bytes.truncate(at + 1),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..(at + 40).min(bytes.len())),
            }
            if bytes.is_empty() {
                break;
            }
        }
        if let Ok(remote) = read(&bytes) {
            assert!(!remote.codecs.is_empty() && remote.audio < remote.streams.len());
            let local = if remote.crypto.is_some() { secure() } else { local() };
            let answer = read(&write(&local, Some(&remote))).unwrap();
            assert_eq!((answer.streams.len(), answer.audio), (remote.streams.len(), remote.audio));
        }
    }
}
