use super::*;
use crate::sip::status::status;

/// Example of RFC 2617 section 3.5.
const RFC_2617: &str = r#"Digest username="Mufasa", realm="testrealm@host.com",
    nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b",
    response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;

fn credentials(value: &str) -> Credentials {
    Credentials::parse(&value.replace('\n', " ")).unwrap()
}

#[test]
fn the_example_of_rfc_2617_is_right() {
    let c = credentials(RFC_2617);
    assert!(c.verify("GET", "Circle Of Life"));
    assert!(!c.verify("GET", "circle of life"));
    assert!(!c.verify("POST", "Circle Of Life"));
}

#[test]
fn the_examples_of_rfc_7616_are_right() {
    let md5 = r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5,
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
        response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    let sha256 = r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256,
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
        response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    for value in [md5, sha256] {
        assert!(credentials(value).verify("GET", "Circle of Life"));
    }
}

#[test]
fn the_form_of_rfc_2069_is_answered_and_verified_without_qop() {
    // H(H("bob:biloxi.com:zanzibar"):nonce:H("INVITE:sip:bob@biloxi.com")), the vector of RFC 3261's example in
    // draft-smith-sip-auth-examples section 2.1.
    let challenge =
        Challenge::parse(r#"Digest realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#).unwrap();
    let c = answer(&challenge, "bob", "zanzibar", "INVITE", "sip:bob@biloxi.com", 1, "unused");
    assert_eq!(c.response, "bf57e4e0d0bffc0fbaedce64d59add5e");
    assert!(!c.to_string().contains("nc=") && !c.to_string().contains("cnonce"));
    assert!(credentials(&c.to_string()).verify("INVITE", "zanzibar"));
}

#[test]
fn every_algorithm_is_answered_written_read_and_verified() {
    for algorithm in
        [None, Some(Algorithm::Md5), Some(Algorithm::Md5Sess), Some(Algorithm::Sha256), Some(Algorithm::Sha256Sess)]
    {
        let challenge = Challenge {
            realm: "office".into(),
            nonce: "n1".into(),
            opaque: Some("o".into()),
            stale: false,
            algorithm,
            qop_auth: true,
        };
        let challenge = Challenge::parse(&challenge.to_string()).unwrap();
        let c = answer(&challenge, "101", "secret", "REGISTER", "sip:office", 10, "c1");
        let text = c.to_string();
        assert_eq!(text.contains("algorithm"), algorithm.is_some(), "an absent algorithm is not repeated");
        let read = credentials(&text);
        assert_eq!(read, c);
        assert!(read.verify("REGISTER", "secret"), "{text}");
        assert!(!read.verify("REGISTER", "Secret"));
    }
}

#[test]
fn the_sess_variants_hash_the_nonces_into_a1() {
    // RFC 2617 section 3.2.2.2, worked out with an independent program (Python's hashlib).
    let text = r#"Digest username="101", realm="office", nonce="n1", uri="sip:office", qop=auth, nc=0000000a,
        cnonce="c1", algorithm=MD5-sess, response="RESPONSE""#;
    for (algorithm, response) in [("MD5-sess", MD5_SESS), ("SHA-256-sess", SHA256_SESS)] {
        let text = text.replace("MD5-sess", algorithm).replace("RESPONSE", response);
        assert!(credentials(&text).verify("REGISTER", "secret"), "{algorithm}");
    }
}
const MD5_SESS: &str = "3cfe6a0c2df38cc45a616dd170b7893a";
const SHA256_SESS: &str = "c5645412d5969677178d4eb4ae35921bcbd744a2bc4e6a062dc735891d19d032";

#[test]
fn the_nonce_count_is_eight_hex_digits() {
    let c = credentials(&RFC_2617.replace("nc=00000001", "nc=0000000a"));
    assert_eq!(c.qop.as_ref().map(|qop| qop.nc), Some(10));
    assert!(c.to_string().contains("nc=0000000a"));
    assert_eq!(credentials(&RFC_2617.replace("nc=00000001", "nc=00000100")).qop.unwrap().nc, 256);
    assert_eq!(credentials(&RFC_2617.replace("nc=00000001", "nc=ffffffff")).qop.unwrap().nc, u32::MAX);
    for bad in ["1", "0000000A", "000000001", "0000000g", "+0000001", ""] {
        let value = RFC_2617.replace("nc=00000001", &format!("nc={bad}")).replace('\n', " ");
        assert_eq!(Credentials::parse(&value), Err(DigestError::Malformed), "{bad}");
    }
}

#[test]
fn the_challenge_of_twilio_is_read() {
    let challenge =
        Challenge::parse(r#"Digest realm="sip.twilio.com",qop="auth",nonce="QBtnYFxV-2kZ_4yU",opaque="3d1b1f5e""#)
            .unwrap();
    assert_eq!(challenge.realm, "sip.twilio.com");
    assert_eq!((challenge.algorithm, challenge.qop_auth, challenge.stale), (None, true, false));
    assert_eq!(challenge.opaque.as_deref(), Some("3d1b1f5e"));
}

#[test]
fn challenges_are_read_as_phones_and_servers_write_them() {
    let challenge = Challenge::parse(
        "digest  realm = \"b\" , nonce=\"x\\\"y,z\" ,, ALGORITHM=\"md5\", qop=\"auth-int , auth\", stale=TRUE, charset=UTF-8",
    )
    .unwrap();
    assert_eq!(challenge.realm, "b");
    assert_eq!(challenge.nonce, "x\\\"y,z", "as it stands between the quotes");
    assert_eq!(challenge.algorithm, Some(Algorithm::Md5));
    assert!(challenge.qop_auth && challenge.stale);
    assert_eq!(
        challenge.to_string(),
        "Digest realm=\"b\", nonce=\"x\\\"y,z\", stale=true, algorithm=MD5, qop=\"auth\""
    );
    assert!(Challenge::parse(r#"Digest realm="", nonce="n", qop=auth"#).unwrap().qop_auth);
}

#[test]
fn what_we_can_not_do_is_told_apart_from_what_is_broken() {
    for (value, error) in [
        ("Basic abc", DigestError::NotDigest),
        ("Digest", DigestError::NotDigest),
        ("", DigestError::NotDigest),
        ("Digest realm=\"a\"", DigestError::Malformed),
        ("Digest realm=\"a, nonce=b", DigestError::Malformed),
        ("Digest realm=\"a\" nonce=\"b\"", DigestError::Malformed),
        ("Digest realm=\"a\", realm=\"b\", nonce=\"c\"", DigestError::Malformed),
        ("Digest realm", DigestError::Malformed),
        ("Digest =x, realm=\"a\", nonce=\"b\"", DigestError::Malformed),
        ("Digest realm=\"a\", nonce=\"b\", algorithm=AKAv1-MD5", DigestError::Algorithm),
        ("Digest realm=\"a\", nonce=\"b\", algorithm=SHA-512-256", DigestError::Algorithm),
        ("Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\"", DigestError::Qop),
        ("Digest realm=\"a\", nonce=\"b\", algorithm=MD5-sess", DigestError::Qop),
    ] {
        assert_eq!(Challenge::parse(value), Err(error), "{value}");
    }
    assert_eq!(
        Credentials::parse(&RFC_2617.replace("qop=auth", "qop=auth-int").replace('\n', " ")),
        Err(DigestError::Qop)
    );
    assert_eq!(
        Credentials::parse(&RFC_2617.replace("cnonce", "other").replace('\n', " ")),
        Err(DigestError::Malformed)
    );
    let many = (0..100).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(Challenge::parse(&format!("Digest {many}")), Err(DigestError::Malformed));
}

#[test]
fn the_uri_is_hashed_as_it_was_sent() {
    let challenge = Challenge::parse(r#"Digest realm="r", nonce="n", qop="auth""#).unwrap();
    let uri = "sip:*21%23@OFFICE.example:5060;transport=UDP;x=\"";
    let c = credentials(&answer(&challenge, "101", "p", "INVITE", "sip:*21%23@OFFICE.example;x", 1, "c").to_string());
    assert_eq!(c.uri, "sip:*21%23@OFFICE.example;x");
    assert!(c.verify("INVITE", "p"));
    // A quote can not end the parameter early.
    assert!(Credentials::parse(&answer(&challenge, "a\"b", "p", "INVITE", uri, 1, "c").to_string()).is_ok());
    assert!(
        credentials(&answer(&challenge, "a\"b\\", "p", "INVITE", "sip:x", 1, "c").to_string()).verify("INVITE", "p")
    );
}

#[test]
fn a_response_in_upper_case_is_right_too_and_one_of_another_length_never() {
    let c = credentials(&RFC_2617.replace("6629fae49393a05397450978507c4ef1", "6629FAE49393A05397450978507C4EF1"));
    assert!(c.verify("GET", "Circle Of Life"));
    for wrong in ["", "6629fae49393a05397450978507c4ef", "6629fae49393a05397450978507c4ef10"] {
        let c = credentials(&RFC_2617.replace("6629fae49393a05397450978507c4ef1", wrong));
        assert!(!c.verify("GET", "Circle Of Life"), "{wrong:?}");
    }
}

#[test]
fn debug_shows_neither_the_response_nor_the_cnonce() {
    let text = format!("{:?}", credentials(RFC_2617));
    assert!(text.contains("Mufasa") && text.contains("nc: 1"), "{text}");
    for secret in ["6629fae", "0a4f113b", "dcd98b71", "5ccc069c"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn challenged(code: u16, headers: &[(&str, &str)]) -> rsip::Response {
    rsip::Response {
        status_code: status(code),
        headers: headers.iter().map(|(name, value)| header::make(name, *value)).collect::<Vec<_>>().into(),
        ..Default::default()
    }
}

#[test]
fn sha_256_is_taken_before_md5_whatever_their_order_and_what_we_can_not_do_is_passed_over() {
    let md5 = ("WWW-Authenticate", r#"Digest realm="a", nonce="1", algorithm=MD5"#);
    let sha = ("WWW-Authenticate", r#"Digest realm="a", nonce="2", algorithm=SHA-256"#);
    let sha512 = ("WWW-Authenticate", r#"Digest realm="a", nonce="3", algorithm=SHA-512-256"#);
    for headers in [[sha512, md5, sha], [sha512, sha, md5]] {
        let (challenge, name) = strongest(&challenged(401, &headers)).unwrap();
        assert_eq!((&*challenge.nonce, name), ("2", AuthHeader::Authorization));
    }
    assert_eq!(strongest(&challenged(401, &[sha512])), None);
    assert_eq!(strongest(&challenged(403, &[sha])), None);
}

#[test]
fn a_407_is_answered_in_proxy_authorization_and_of_equals_the_first_is_taken() {
    let response = challenged(
        407,
        &[
            ("WWW-Authenticate", r#"Digest realm="no", nonce="0""#),
            ("Proxy-Authenticate", r#"Digest realm="a", nonce="1""#),
            ("Proxy-Authenticate", r#"Digest realm="b", nonce="2""#),
        ],
    );
    let (challenge, name) = strongest(&response).unwrap();
    assert_eq!((&*challenge.realm, name), ("a", AuthHeader::ProxyAuthorization));
}

#[test]
fn hostile_text_never_panics() {
    let mut random = crate::random::Random::from_number(7);
    for _ in 0..20_000 {
        let mut bytes = RFC_2617.as_bytes().to_vec();
        for _ in 0..1 + random.below(6) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = b"\",=\\ a\xff"[random.below(7) as usize],
                1 => bytes.truncate(at + 1),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = Challenge::parse(&text);
        if let Ok(c) = Credentials::parse(&text) {
            c.verify("GET", "x");
            assert_eq!(Credentials::parse(&c.to_string()).as_ref(), Ok(&c), "{text}");
        }
    }
}
