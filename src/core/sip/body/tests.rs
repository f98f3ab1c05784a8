use super::*;

const SDP_TEXT: &str =
    "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n";

fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter().map(|(name, value)| header::make(name, *value)).collect::<Vec<_>>().into()
}

/// What a body with these headers describes, as text.
fn read(list: &[(&str, &str)], body: &str) -> Result<Option<String>, BodyError> {
    let text = |found: Cow<'_, [u8]>| String::from_utf8_lossy(&found).into_owned();
    description(&headers(list), body.as_bytes()).map(|found| found.map(text))
}

/// The same of a body of that type.
fn of_type(kind: &str, body: &str) -> Result<Option<String>, BodyError> {
    read(&[("Content-Type", kind)], body)
}

fn sdp() -> Result<Option<String>, BodyError> {
    Ok(Some(SDP_TEXT.into()))
}

fn nothing_of(kind: &str) -> Result<Option<String>, BodyError> {
    Err(BodyError::Type(kind.into()))
}

/// Parts (headers, body) between delimiters.
fn parts(boundary: &str, list: &[(&str, &str)]) -> String {
    let part = |(head, body): &(&str, &str)| format!("--{boundary}\r\n{head}\r\n{body}\r\n");
    list.iter().map(part).collect::<String>() + &format!("--{boundary}--\r\n")
}

const A_SDP: (&str, &str) = ("Content-Type: application/sdp\r\n", SDP_TEXT);
const LOCATION: (&str, &str) = ("Content-Type: application/pidf+xml\r\nContent-ID: <l@x>\r\n", "<presence/>");

#[test]
fn a_description_is_one_however_its_type_is_spelled() {
    for kind in [
        "application/sdp",
        "Application/SDP",
        "application/sdp;charset=utf-8",
        " application / sdp ; q=1",
        "application/sdp;;",
    ] {
        assert_eq!(of_type(kind, SDP_TEXT), sdp(), "{kind}");
    }
    assert_eq!(read(&[], SDP_TEXT), sdp(), "it begins with v=0");
    assert_eq!(read(&[("c", "application/sdp")], SDP_TEXT), sdp());
    assert_eq!(read(&[], "hello"), nothing_of(""));
    assert_eq!(of_type("text/plain", SDP_TEXT), nothing_of("text/plain"));
}

#[test]
fn a_body_of_no_octets_or_of_empty_lines_is_none() {
    for body in ["", "\r\n", " \r\n\r\n"] {
        assert_eq!(of_type("application/sdp", body), Ok(None));
        assert_eq!(of_type("application/pidf+xml", body), Ok(None));
    }
}

#[test]
fn the_description_beside_a_location_is_found_on_either_side_of_it() {
    for list in [&[A_SDP, LOCATION][..], &[LOCATION, A_SDP], &[LOCATION, LOCATION, A_SDP]] {
        assert_eq!(of_type("multipart/mixed;boundary=e1", &parts("e1", list)), sdp());
    }
    // Kinds that nobody knows are taken for mixed: signed, related, and what may come.
    for kind in ["multipart/signed", "Multipart/Related", "multipart/x-office"] {
        assert_eq!(of_type(&format!("{kind}; boundary=\"e1\""), &parts("e1", &[A_SDP, LOCATION])), sdp(), "{kind}");
    }
    let encrypted = ("Content-Type: application/octet-stream\r\n", "x");
    assert_eq!(
        of_type("multipart/encrypted;boundary=e1", &parts("e1", &[encrypted])),
        nothing_of("multipart/encrypted")
    );
}

#[test]
fn parts_are_split_as_phones_write_them() {
    let body = parts("=_b:1", &[A_SDP, LOCATION]);
    let unclosed = body.trim_end().trim_end_matches("--=_b:1--").to_owned();
    for (what, kind, body) in [
        ("quoted boundary", "multipart/mixed; boundary=\"=_b:1\"", body.clone()),
        ("boundary that should be quoted", "multipart/mixed;boundary==_b:1", body.clone()),
        ("no boundary", "multipart/mixed", body.clone()),
        ("a preamble", "multipart/mixed;boundary=\"=_b:1\"", format!("This is MIME.\r\n{body}")),
        ("spaces behind the delimiter", "multipart/mixed;boundary=\"=_b:1\"", body.replace("1\r\n", "1 \t\r\n")),
        ("no end", "multipart/mixed;boundary=\"=_b:1\"", unclosed),
    ] {
        let found = of_type(kind, &body).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found.map(|text| text.replace(" \t\r\n", "\r\n")), Some(SDP_TEXT.into()), "{what}");
    }
    let bare = parts("b", &[A_SDP, LOCATION]).replace("\r\n", "\n");
    assert_eq!(of_type("multipart/mixed;boundary=b", &bare), Ok(Some(SDP_TEXT.replace("\r\n", "\n"))));
    // A delimiter is a whole line: `--b` is none of `--bc`.
    let longer = parts("bc", &[A_SDP]);
    assert_eq!(of_type("multipart/mixed;boundary=b", &longer), nothing_of("multipart/mixed"));
}

#[test]
fn a_part_may_have_folded_headers_or_none() {
    let folded = ("content-TYPE:\r\n application/sdp;\r\n\tcharset=utf-8\r\n", SDP_TEXT);
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &[LOCATION, folded])), sdp());
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &[("", SDP_TEXT)])), sdp());
    let bare = format!("--b\r\n{SDP_TEXT}\r\n--b--\r\n");
    assert_eq!(of_type("multipart/mixed;boundary=b", &bare), sdp());
}

#[test]
fn of_several_descriptions_mixed_takes_the_first_and_alternative_the_last() {
    let other = SDP_TEXT.replace("5004", "6000");
    let second = ("Content-Type: application/sdp\r\n", other.as_str());
    let body = parts("b", &[A_SDP, second, LOCATION]);
    assert_eq!(of_type("multipart/mixed;boundary=b", &body), sdp());
    assert_eq!(of_type("multipart/alternative;boundary=b", &body), Ok(Some(other.clone())));
    // RFC 3959: the early session is another one.
    let early = ("Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n", other.as_str());
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &[early, A_SDP])), sdp());
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &[early])), Ok(None));
}

#[test]
fn parts_may_lie_in_one_another_within_bounds() {
    let mut body = parts("b0", &[A_SDP]);
    for level in 1..MAX_DEPTH {
        let head = format!("Content-Type: multipart/mixed;boundary=b{}\r\n", level - 1);
        body = parts(&format!("b{level}"), &[LOCATION, (&head, &body)]);
    }
    let outer = format!("multipart/mixed;boundary=b{}", MAX_DEPTH - 1);
    assert_eq!(of_type(&outer, &body), sdp());
    let head = format!("Content-Type: {outer}\r\n");
    assert_eq!(
        of_type("multipart/mixed;boundary=deep", &parts("deep", &[(&head, &body)])),
        nothing_of("multipart/mixed")
    );
    let mut many = vec![LOCATION; MAX_PARTS - 1];
    many.push(A_SDP);
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &many)), sdp());
    many.insert(0, LOCATION);
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &many)), nothing_of("multipart/mixed"));
}

#[test]
fn a_part_in_a_transfer_encoding_is_decoded() {
    let base64 = STANDARD.encode(SDP_TEXT);
    let (first, second) = base64.split_at(60);
    let lines = format!("{first}\r\n{second}\r\n");
    let quoted = SDP_TEXT.replace('=', "=3D").replace("IN IP4", "IN=\r\n IP4");
    for (coding, text) in [
        ("base64", lines.as_str()),
        ("BASE64", base64.as_str()),
        ("quoted-printable", quoted.as_str()),
        ("8bit", SDP_TEXT),
        ("binary", SDP_TEXT),
    ] {
        let head = format!("Content-Type: application/sdp\r\nContent-Transfer-Encoding: {coding}\r\n");
        assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &[(&head, text)])), sdp(), "{coding}");
        let list = [("Content-Type", "application/sdp"), ("Content-Transfer-Encoding", coding)];
        assert_eq!(read(&list, text), sdp(), "{coding}, not in parts");
    }
    for (coding, text) in [("base64", "***"), ("x-uuencode", SDP_TEXT)] {
        let list = [("Content-Type", "application/sdp"), ("Content-Transfer-Encoding", coding)];
        assert_eq!(read(&list, text), nothing_of("application/sdp"), "{coding}");
    }
}

#[test]
fn what_need_not_be_understood_is_passed_over_and_what_must_is_415() {
    let optional = ("Content-Disposition", "render; Handling=OPTIONAL");
    assert_eq!(read(&[("Content-Type", "application/pidf+xml"), optional], "<presence/>"), Ok(None));
    assert_eq!(of_type("application/pidf+xml", "<presence/>"), nothing_of("application/pidf+xml"));
    let part = ("Content-Type: image/png\r\nContent-Disposition: icon;handling=optional\r\n", "x");
    assert_eq!(of_type("multipart/mixed;boundary=b", &parts("b", &[part])), Ok(None));
    let coded = [("Content-Type", "application/sdp"), ("Content-Encoding", "gzip")];
    assert_eq!(read(&coded, "\u{1f}"), Err(BodyError::Coding("gzip".into())));
    let identity = [("Content-Type", "application/sdp"), ("Content-Encoding", "Identity")];
    assert_eq!(read(&identity, SDP_TEXT), sdp());
    let long = "x".repeat(500);
    assert_eq!(of_type(&long, "y"), nothing_of(&long[..40]));
}

#[test]
fn hostile_bodies_never_panic() {
    let mut random = crate::random::Random::from_number(11);
    let inner = parts("b0", &[LOCATION, A_SDP]);
    let head = "Content-Type: multipart/alternative;boundary=b0\r\nContent-Transfer-Encoding: base64\r\n";
    let seed = parts("b", &[(head, &inner), ("Content-Transfer-Encoding: quoted-printable\r\n", "v=3D0=\r\n")]);
    for _ in 0..20_000 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..1 + random.below(8) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[at] = b"-=:; \r\n\"\xff\0"[random.below(10) as usize],
                1 => bytes.truncate(at + 1),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..(at + 60).min(bytes.len())),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let kind = ["multipart/mixed;boundary=b", "multipart/mixed", "multipart/alternative;boundary=\"b0"];
        for kind in kind {
            let _ = description(&headers(&[("Content-Type", kind)]), &bytes);
        }
    }
}
