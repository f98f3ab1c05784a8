//! A rotation that is not done: we have two passwords, the domain one of them.

use super::*;

const FORMER: &str = "secret-former";
const NEW: &str = "secret-new";

/// Twilio with one password; a wrong one is challenged again.
fn challenges(world: &mut World, request: &Request) -> Option<Response> {
    judged(world, request).or_else(|| wrong_password(world, request))
}

/// As [`challenges`], but a wrong one is refused (TWILIO.md "Wrong password").
fn refuses(world: &mut World, request: &Request) -> Option<Response> {
    let refusal = || answer_with(request, 403, &[("X-Twilio-Error", "32202 SIP: Bad user credentials")]);
    judged(world, request)
        .or_else(|| credentials(request).map(|_| refusal()))
        .or_else(|| wrong_password(world, request))
}

fn judged(world: &World, request: &Request) -> Option<Response> {
    let taken = credentials(request)?.verify("REGISTER", world.at_twilio);
    let contact = format!("{};expires={}", value(request, "Contact"), value(request, "Expires"));
    taken.then(|| answer_with(request, 200, &[("Contact", &contact)]))
}

type Domain = fn(&mut World, &Request) -> Option<Response>;

/// Both ways to say no to a password.
const DOMAINS: [Domain; 2] = [challenges, refuses];

impl World {
    /// What is on disk, read at the start or by a reload.
    fn knows(&mut self, new: &str, former: Option<&str>) {
        let secret = |text: &str| ("prod".to_owned(), Secret::new(text.to_owned()));
        let extension = self.secrets.extensions.get_mut("101").unwrap();
        extension.trunk_passwords = [secret(new)].into();
        extension.former_trunk_passwords = former.map(secret).into_iter().collect();
    }

    fn reloads(&mut self, new: &str, former: Option<&str>) {
        self.knows(new, former);
        self.with(|trunk, context| trunk.handle_reload(context));
    }

    /// REGISTERs since the last look.
    fn registers(&mut self) -> Vec<Request> {
        self.take_requests().into_iter().filter(|request| request.method == Method::Register).collect()
    }

    fn reason(&self) -> Option<String> {
        self.trunk.registration("101", self.now).reason
    }

    /// The password that answers for a call.
    fn answers_a_call(&mut self, choice: Choice) -> &'static str {
        let (target, challenge) = ("sip:933@office.sip.twilio.com", Challenge::parse(CHALLENGE).unwrap());
        let challenge = Some((&challenge, AuthHeader::ProxyAuthorization));
        let (_, value) = self
            .with(|trunk, context| {
                trunk.authorization(context, trunk.flow().unwrap(), "101", "INVITE", target, challenge, choice)
            })
            .unwrap();
        let sent = Credentials::parse(&value).unwrap();
        [FORMER, NEW].into_iter().find(|password| sent.verify("INVITE", password)).unwrap()
    }
}

/// An office of one extension that starts in the middle of a rotation.
fn cut(domain: Domain, at_twilio: &'static str) -> World {
    let mut world = World::new(SERVERS, 1, domain);
    world.at_twilio = at_twilio;
    world.knows(NEW, Some(FORMER));
    world
}

#[test]
fn a_box_that_starts_in_the_middle_of_a_rotation_registers_with_whichever_password_holds() {
    for domain in DOMAINS {
        for at_twilio in [FORMER, NEW] {
            let mut world = cut(domain, at_twilio);
            world.pass(1);
            assert_eq!(world.state("101"), RegistrationState::Registered, "{at_twilio}");
            let requests = world.registers().len();
            assert!(requests <= if at_twilio == NEW { 2 } else { 4 }, "{at_twilio}: {requests}");
            assert_eq!(world.reason().is_some(), at_twilio == FORMER);
        }
    }
}

#[test]
fn what_twilio_took_is_kept_to_without_another_guess() {
    for domain in DOMAINS {
        let mut world = cut(domain, FORMER);
        world.pass(1);
        world.registers();
        assert_eq!(world.codes().iter().filter(|code| **code == "trunk.former-password").count(), 1);
        world.pass(86_400);
        let sent = world.registers();
        assert!(sent.len() > 20);
        assert!(sent.iter().all(|one| credentials(one).unwrap().verify("REGISTER", FORMER)));
        assert!(world.codes().is_empty());
        assert_eq!(
            world.reason().unwrap(),
            "by its former password: Twilio did not take the new one yet; run: gateway setup"
        );
    }
}

#[test]
fn where_neither_holds_the_guesses_are_bounded_and_slow() {
    for domain in DOMAINS {
        let mut world = cut(domain, "secret-of-somebody");
        world.pass(10);
        assert_eq!(world.state("101"), RegistrationState::Refused);
        // Twilio refuses more than 5 a second (error 32008).
        assert!(world.registers().len() <= 5);
        world.pass(3600);
        let requests = world.registers().len();
        assert!(requests <= 5 * 9, "{requests}");
    }
}

#[test]
fn a_new_password_that_twilio_takes_later_is_found_by_the_next_refresh() {
    for domain in DOMAINS {
        let mut world = cut(domain, FORMER);
        world.pass(1);
        world.at_twilio = NEW;
        world.pass(600);
        assert_eq!((world.state("101"), world.reason()), (RegistrationState::Registered, None));
        world.registers();
        world.pass(3600);
        assert!(world.registers().iter().all(|one| credentials(one).unwrap().verify("REGISTER", NEW)));
    }
}

#[test]
fn a_rotation_beside_the_running_service_is_followed_at_each_of_its_steps() {
    for domain in DOMAINS {
        let mut world = World::new(SERVERS, 1, domain);
        world.at_twilio = FORMER;
        world.knows(FORMER, None);
        world.pass(1);
        world.registers();
        // On disk, and read: what Twilio took is kept to.
        world.reloads(NEW, Some(FORMER));
        world.pass(1000);
        assert!(world.registers().iter().all(|one| credentials(one).unwrap().verify("REGISTER", FORMER)));
        // At Twilio; whoever asked for it may be stopped here.
        world.at_twilio = NEW;
        world.pass(1000);
        assert_eq!((world.state("101"), world.reason()), (RegistrationState::Registered, None));
        // Done.
        world.reloads(NEW, None);
        world.pass(1000);
        assert_eq!((world.state("101"), world.reason()), (RegistrationState::Registered, None));
    }
}

#[test]
fn a_rotation_that_is_done_is_registered_with_at_once() {
    let mut world = World::new(SERVERS, 1, challenges);
    world.at_twilio = FORMER;
    world.knows(FORMER, None);
    world.pass(1);
    world.reloads(NEW, Some(FORMER));
    world.at_twilio = NEW;
    world.registers();
    world.reloads(NEW, None);
    world.pass(1);
    let sent = world.registers();
    assert!(credentials(sent.last().unwrap()).unwrap().verify("REGISTER", NEW));
    assert_eq!((world.state("101"), world.reason()), (RegistrationState::Registered, None));
}

#[test]
fn a_flow_that_came_back_begins_with_what_twilio_took_last() {
    let mut world = cut(challenges, FORMER);
    world.pass(1);
    world.registers();
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "closed"));
    world.pass(10);
    let sent = world.registers();
    assert!(!sent.is_empty() && sent.iter().filter_map(credentials).all(|one| one.verify("REGISTER", FORMER)));
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn a_call_uses_what_the_registration_proved_and_the_other_password_after_a_refusal() {
    for (at_twilio, other) in [(FORMER, NEW), (NEW, FORMER)] {
        let mut world = cut(challenges, at_twilio);
        world.pass(1);
        assert_eq!(world.answers_a_call(Choice::First), at_twilio);
        assert_eq!(world.answers_a_call(Choice::Other), other);
        let two = world.with(|trunk, context| trunk.has_two_passwords(context, "101"));
        assert!(two);
    }
    let mut world = cut(challenges, NEW);
    world.knows(NEW, None);
    world.pass(1);
    assert_eq!((world.answers_a_call(Choice::First), world.answers_a_call(Choice::Other)), (NEW, NEW));
    assert!(!world.with(|trunk, context| trunk.has_two_passwords(context, "101")));
}

#[test]
fn a_clean_stop_removes_the_binding_that_was_made_with_the_former_password() {
    let mut world = cut(challenges, FORMER);
    world.pass(1);
    world.registers();
    world.with(|trunk, context| trunk.stop(context));
    world.settle();
    assert!(world.trunk.is_quiet());
    let sent = world.registers();
    assert_eq!(sent.len(), 1);
    assert!(credentials(&sent[0]).unwrap().verify("REGISTER", FORMER));
}
