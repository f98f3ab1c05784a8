//! Registrations: credentials, refusals, refreshes, and the extensions of the config.

use super::*;

#[test]
fn each_extension_registers_with_a_407_answered_and_no_secret_in_clear() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.pass(1);
    assert_eq!(
        (world.state("101"), world.state("102")),
        (RegistrationState::Registered, RegistrationState::Registered)
    );
    let requests = world.take_requests();
    assert_eq!(requests.len(), 4);
    let first = &requests[0];
    assert_eq!(uri::write(&first.uri), "sip:office.sip.twilio.com");
    assert_eq!(value(first, "To"), "<sip:101@office.sip.twilio.com>");
    assert!(value(first, "From").starts_with("<sip:101@office.sip.twilio.com>;tag="));
    assert!(
        value(first, "Contact").starts_with("<sip:101@203.0.113.7:40001;transport=tls>;+sip.instance=\"<urn:uuid:")
    );
    assert_eq!(value(first, "Expires"), world.config.trunk.expires.as_secs().to_string());
    assert_eq!(value(&requests[0], "Call-ID"), value(&requests[1], "Call-ID"));
    assert_eq!((value(&requests[0], "CSeq"), value(&requests[1], "CSeq")), ("1 REGISTER", "2 REGISTER"));
    let shown = format!("{:?}{:?}{:?}", world.trunk, world.seen, requests);
    assert!(!shown.contains("secret-101"));
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.1:5061".parse().unwrap()));
    assert_eq!(world.codes(), ["trunk.connected", "trunk.registered", "trunk.registered"]);
}

#[test]
fn a_refresh_comes_at_about_half_the_time_and_reuses_the_nonce() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1);
    world.take_requests();
    let granted = world.config.trunk.expires.as_secs();
    world.pass(granted * 44 / 100);
    assert!(world.take_requests().iter().all(|request| request.method != Method::Register));
    world.pass(granted * 7 / 100);
    let requests = world.take_requests();
    assert_eq!(requests.len(), 1);
    let sent = credentials(&requests[0]).unwrap();
    assert_eq!((sent.nonce.as_str(), sent.qop.unwrap().nc), ("abc", 2));
}

#[test]
fn the_time_that_the_server_grants_is_what_counts() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        Some(twilio_with(request, "abc", &format!("{};expires=700", value(request, "Contact"))))
    });
    world.pass(1);
    let left = world.trunk.registration("101", world.now).expires_in.unwrap();
    assert!((698..=700).contains(&left), "{left}");
    assert!(world.trunk.registration("101", world.now).next_in.unwrap() <= 350);
}

#[test]
fn a_423_is_obeyed_once_and_remembered() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        let asked: u32 = value(request, "Expires").parse().unwrap();
        let contact = format!("{};expires={asked}", value(request, "Contact"));
        match (credentials(request), asked) {
            (Some(_), ..5000) => Some(answer_with(request, 423, &[("Min-Expires", "5000")])),
            _ => Some(twilio_with(request, "abc", &contact)),
        }
    });
    world.pass(1);
    assert_eq!(world.state("101"), RegistrationState::Registered);
    let asked: Vec<String> = world.take_requests().iter().map(|one| value(one, "Expires").to_string()).collect();
    assert_eq!(asked.last().map(String::as_str), Some("5000"));
    assert_eq!(asked.len(), 3);
}

#[test]
fn a_423_without_end_is_a_refusal_not_a_storm() {
    let mut world = World::new(SERVERS, 1, |_, request| Some(answer_with(request, 423, &[("Min-Expires", "7200")])));
    world.pass(10);
    assert_eq!((world.state("101"), world.take_requests().len()), (RegistrationState::Refused, 2));
}

#[test]
fn a_wrong_password_is_refused_and_tried_again_slowly() {
    let mut world = World::new(SERVERS, 2, wrong_password);
    world.pass(10);
    assert_eq!(world.state("101"), RegistrationState::Refused);
    let reason = world.trunk.registration("101", world.now).reason.unwrap();
    assert!(reason.contains("password of 101") && reason.contains("gateway extension rotate 101"), "{reason}");
    let requests = world.take_requests().len();
    assert_eq!(requests, 6);
    world.pass(3600);
    let requests = world.take_requests().iter().filter(|request| request.method == Method::Register).count();
    assert!(requests <= 2 * 3 * 9, "{requests}");
    assert!(world.trunk.flow().is_ok());
}

#[test]
fn a_stale_nonce_is_answered_with_the_new_one() {
    let mut world = World::new(SERVERS, 1, |world, request| {
        let nonce = if world.now < Instant::from_secs(100) { "old" } else { "new" };
        let contact = format!("{};expires=600", value(request, "Contact"));
        Some(twilio_with(request, nonce, &contact))
    });
    world.pass(1);
    world.take_requests();
    world.pass(400);
    let requests = world.take_requests();
    let sent: Vec<_> = requests.iter().filter_map(credentials).map(|one| (one.nonce, one.qop.unwrap().nc)).collect();
    assert_eq!(sent, [("old".to_string(), 2), ("new".to_string(), 1)]);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn a_401_with_sha_256_is_answered_in_its_own_header() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        let Some(text) = header::value(&request.headers, "Authorization") else {
            let (sha, md5) =
                (r#"Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth""#, r#"Digest realm="r", nonce="n""#);
            return Some(answer_with(request, 401, &[("WWW-Authenticate", sha), ("WWW-Authenticate", md5)]));
        };
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!(credentials.algorithm, Some(crate::sip::digest::Algorithm::Sha256));
        assert!(credentials.verify("REGISTER", "secret-101"));
        Some(answer_with(request, 200, &[("Contact", &format!("{};expires=600", value(request, "Contact")))]))
    });
    world.pass(1);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn a_403_names_twilios_error_and_the_way_out() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        Some(answer_with(request, 403, &[("X-Twilio-Error", "32212 no credential list mapped")]))
    });
    world.pass(1);
    let status = world.trunk.registration("101", world.now);
    let reason = status.reason.unwrap();
    assert_eq!(status.state, RegistrationState::Refused);
    assert!(reason.contains("403 Forbidden, Twilio error 32212") && reason.contains("gateway setup"), "{reason}");
}

#[test]
fn a_503_waits_as_long_as_the_server_says() {
    let mut world = World::new(SERVERS, 1, |_, request| Some(answer_with(request, 503, &[("Retry-After", "600")])));
    world.pass(599);
    assert_eq!(world.take_requests().iter().filter(|request| request.method == Method::Register).count(), 1);
    assert_eq!(world.state("101"), RegistrationState::Waiting);
    world.pass(2);
    assert_eq!(world.take_requests().iter().filter(|request| request.method == Method::Register).count(), 1);
}

#[test]
fn a_big_office_registers_at_a_steady_pace() {
    let mut world = World::new(SERVERS, 60, twilio);
    world.pass(1);
    let now = world.take_requests().len();
    assert!((38..=44).contains(&now), "{now}");
    world.pass(3);
    assert_eq!(world.state("160"), RegistrationState::Registered);
    assert_eq!(world.take_requests().len() + now, 120);
}

#[test]
fn an_extension_without_a_password_is_told_of_and_the_others_register() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.secrets.extensions.remove("101");
    world.pass(1);
    assert_eq!((world.state("101"), world.state("102")), (RegistrationState::Refused, RegistrationState::Registered));
    assert!(world.trunk.registration("101", world.now).reason.unwrap().contains("gateway setup"));
}

#[test]
fn a_call_carries_credentials_at_once_and_answers_its_own_challenge() {
    let mut world = World::new(SERVERS, 1, twilio);
    let target = "sip:+15035551212@office.sip.twilio.com";
    let flow = Flow { transport: Transport::Tls, local: local(1), remote: local(2), connection: 1 };
    assert_eq!(
        world.with(|trunk, context| trunk.authorization(context, flow, "101", "INVITE", target, None, Choice::First)),
        None
    );
    world.pass(1);
    let (name, value) = world
        .with(|trunk, context| {
            trunk.authorization(context, trunk.flow().unwrap(), "101", "INVITE", target, None, Choice::First)
        })
        .unwrap();
    let sent = Credentials::parse(&value).unwrap();
    assert_eq!((name, sent.nonce.as_str(), sent.qop.as_ref().unwrap().nc), (AuthHeader::ProxyAuthorization, "abc", 2));
    assert!(sent.verify("INVITE", "secret-101"));
    let fresh = Challenge::parse(r#"Digest realm="calls", qop="auth", nonce="xyz""#).unwrap();
    for (challenge, nc) in [(Some((&fresh, AuthHeader::Authorization)), 1), (None, 2)] {
        let (name, value) = world
            .with(|trunk, context| {
                trunk.authorization(context, trunk.flow().unwrap(), "101", "INVITE", target, challenge, Choice::First)
            })
            .unwrap();
        let sent = Credentials::parse(&value).unwrap();
        assert_eq!((name, sent.nonce.as_str(), sent.qop.unwrap().nc), (AuthHeader::Authorization, "xyz", nc));
    }
    assert_eq!(
        world.with(|trunk, context| trunk.authorization(
            context,
            trunk.flow().unwrap(),
            "999",
            "INVITE",
            target,
            None,
            Choice::First
        )),
        None
    );
    // The nonce of the registration again: its count goes on.
    let same = Challenge::parse(CHALLENGE).unwrap();
    let same = Some((&same, AuthHeader::ProxyAuthorization));
    let (_, value) = world
        .with(|trunk, context| {
            trunk.authorization(context, trunk.flow().unwrap(), "101", "INVITE", target, same, Choice::First)
        })
        .unwrap();
    assert_eq!(Credentials::parse(&value).unwrap().qop.unwrap().nc, 3);
}

#[test]
fn a_clean_stop_leaves_no_binding_behind() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.pass(1);
    world.take_requests();
    world.with(|trunk, context| trunk.stop(context));
    assert!(!world.trunk.is_quiet());
    world.settle();
    assert!(world.trunk.is_quiet());
    let requests = world.take_requests();
    assert_eq!(requests.iter().map(|request| value(request, "Expires")).collect::<Vec<_>>(), ["0", "0"]);
    world.pass(7200);
    assert!(world.take_requests().is_empty());
    assert_eq!(world.trunk.poll_timeout(), None);
}

#[test]
fn a_reload_registers_new_extensions_and_unregisters_removed_ones() {
    let mut world = World::new(SERVERS, 3, twilio);
    world.pass(1);
    world.take_requests();
    let mut config = config(SERVERS, 3);
    config.extensions.remove(0);
    config.extensions[0].name = "201".into();
    let secrets = world.secrets.extensions["102"].clone();
    world
        .secrets
        .extensions
        .insert("201".into(), ExtensionSecrets { trunk_passwords: trunk_passwords("201"), ..secrets });
    world.config = config;
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!(
        (world.state("201"), world.state("103")),
        (RegistrationState::Registered, RegistrationState::Registered)
    );
    assert_eq!((world.state("101"), world.state("102")), (RegistrationState::Waiting, RegistrationState::Waiting));
    let left: Vec<Request> = world.take_requests().into_iter().filter(|one| value(one, "Expires") == "0").collect();
    assert_eq!(
        left.iter().map(|one| value(one, "To")).collect::<Vec<_>>(),
        ["<sip:101@office.sip.twilio.com>", "<sip:102@office.sip.twilio.com>"]
    );
    assert_eq!(world.connections, 1);
}

#[test]
fn a_refusal_that_was_put_right_is_tried_at_once_after_a_reload() {
    let mut world = World::new(SERVERS, 1, wrong_password);
    world.pass(5);
    assert_eq!(world.state("101"), RegistrationState::Refused);
    world.domain = twilio;
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn the_same_seed_gives_the_same_octets() {
    let run = || {
        let mut world = World::new(SERVERS, 5, twilio);
        world.pass(2000);
        format!("{:?}{:?}", world.requests, world.seen)
    };
    assert_eq!(run(), run());
}
