//! The public URL of a tunnel changes.

use super::*;
use crate::owned::Undo;
use gateway_core::config::tunnel::UrlFrom;

const NEW: &str = "https://word-2.trycloudflare.com";

/// What Twilio calls of the domain and the app.
fn webhooks(fake: &mut Fake) -> Vec<String> {
    let domain = fake.named(Kind::Domain, "office.sip.twilio.com").clone();
    let app = fake.named(Kind::Application, "gateway-office-prod").clone();
    let fields = [
        (&domain, "voice_url"),
        (&domain, "voice_status_callback_url"),
        (&app, "voice_url"),
        (&app, "status_callback"),
    ];
    fields
        .iter()
        .map(|(record, name)| record.get(*name).and_then(Value::as_str).unwrap_or_default().to_owned())
        .collect()
}

fn at(url: &str) -> Vec<String> {
    ["outgoing", "status", "incoming", "status"].map(|path| format!("{url}/twilio/{path}")).to_vec()
}

/// A box whose account is set up, with spending watched.
fn set_up() -> (Box, Fake) {
    let mut config = office(&["101"], &NUMBERS[..1]);
    config.spend.daily = Some(1000);
    config.tunnel.url_from = UrlFrom::Output;
    let (mut the_box, mut fake) = (Box::new(config), fresh());
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(webhooks(&mut fake), at("https://gateway.example.com"));
    (the_box, fake)
}

fn tell(the_box: &mut Box, fake: &mut Fake) -> Result<(), AccountError> {
    the_box.with(fake, |account| account.write_public_url("prod"))
}

#[test]
fn a_new_url_is_written_to_all_that_twilio_calls_and_nothing_else_is_touched() {
    let (mut the_box, mut fake) = set_up();
    fake.named(Kind::Domain, "office.sip.twilio.com").insert("friendly_name".to_owned(), json!("of a stranger"));
    let writes = fake.writes;
    the_box.config.set_public_url("prod", NEW);
    tell(&mut the_box, &mut fake).unwrap();
    assert_eq!(webhooks(&mut fake), at(NEW));
    assert_eq!(fake.named(Kind::UsageTrigger, "gateway-office-daily")["callback_url"], format!("{NEW}/twilio/usage"));
    assert_eq!(fake.writes - writes, 3, "domain, app, trigger");
    assert_eq!(the_box.sentences(&mut fake).len(), 1, "the name of the domain is for a person to decide");
    tell(&mut the_box, &mut fake).unwrap();
    assert_eq!(fake.writes - writes, 3);
}

#[test]
fn a_write_that_is_lost_on_the_way_is_an_error_and_the_next_one_ends_it() {
    for fault in [Fault::Before, Fault::After] {
        let (mut the_box, fresh_fake) = set_up();
        the_box.config.set_public_url("prod", NEW);
        for request in 0.. {
            let (mut the_box, mut fake) = (the_box.clone(), fresh_fake.clone());
            fake.lose = Some((fake.requests + request, fault));
            let lost_at = fake.requests + request;
            let first = tell(&mut the_box, &mut fake);
            if fake.requests <= lost_at {
                assert!(request > 5, "there were that many requests to lose");
                break;
            }
            assert!(first.is_err() || webhooks(&mut fake) == at(NEW), "request {request} {fault:?}");
            tell(&mut the_box, &mut fake).unwrap();
            assert_eq!(webhooks(&mut fake), at(NEW), "request {request} {fault:?}");
            the_box.assert_nothing_to_do(&mut fake);
        }
    }
}

#[test]
fn undo_goes_back_over_what_a_person_applied_and_not_over_a_moved_url() {
    let (mut the_box, mut fake) = set_up();
    let before: Vec<Undo> = the_box.owned.undo.clone();
    the_box.config.set_public_url("prod", NEW);
    tell(&mut the_box, &mut fake).unwrap();
    assert_eq!(the_box.owned.undo, before);
    assert!(!before.is_empty() && !the_box.owned.unfinished);
}

#[test]
fn what_was_promoted_keeps_the_url_of_its_promotion() {
    let (mut the_box, mut fake) = set_up();
    the_box.configure(the_box.config.clone().with_environment("stage"));
    the_box.set_up(&mut fake).unwrap();
    the_box.with(&mut fake, |account| account.promote("stage", "prod")).unwrap();
    the_box.set_up(&mut fake).unwrap();
    the_box.config.set_public_url("prod", NEW);
    tell(&mut the_box, &mut fake).unwrap();
    assert_eq!(webhooks(&mut fake), at("https://stage.example.com"));
}

#[test]
fn who_runs_what_an_environment_with_a_tunnel_runs_moves_with_it() {
    let (mut the_box, mut fake) = set_up();
    the_box.configure(the_box.config.clone().with_environment("stage"));
    the_box.set_up(&mut fake).unwrap();
    // This box runs stage, and its tunnel has told a URL.
    let first = "https://word-1.trycloudflare.com";
    the_box.local.tunnel_url = Some(("stage".to_owned(), first.to_owned()));
    the_box.config.set_public_url("stage", first);
    the_box.with(&mut fake, |account| account.promote("stage", "prod")).unwrap();
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(webhooks(&mut fake), at(first), "not what the file says of stage");

    the_box.config.set_public_url("stage", NEW);
    the_box.with(&mut fake, |account| account.write_public_url("stage")).unwrap();
    assert_eq!(webhooks(&mut fake), at(NEW));
    assert_eq!(fake.named(Kind::Application, "gateway-office-stage")["voice_url"], at(NEW)[2]);
    the_box.assert_nothing_to_do(&mut fake);

    the_box.with(&mut fake, |account| account.step_back("prod")).unwrap();
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(webhooks(&mut fake), at("https://gateway.example.com"));
}

#[test]
fn a_set_up_without_a_url_makes_everything_else_and_says_so_and_the_service_writes_it_later() {
    let mut config = office(&["101"], &NUMBERS[..1]);
    config.spend.daily = Some(1000);
    config.set_public_url("prod", "");
    let (mut the_box, mut fake) = (Box::new(config), fresh());
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(
        plan.notes,
        ["the public URL of prod is not known yet: the running service writes it to Twilio when the tunnel tells it; \
          [spend] waits for the \"gateway apply\" after that"]
    );
    assert_eq!(webhooks(&mut fake), [""; 4]);
    the_box.assert_nothing_to_do(&mut fake);
    the_box.config.set_public_url("prod", NEW);
    tell(&mut the_box, &mut fake).unwrap();
    assert_eq!(webhooks(&mut fake), at(NEW));
    assert_eq!(the_box.sentences(&mut fake).len(), 1, "the usage trigger");
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
    // Its URL forgotten, as after the loss of a state folder, what works is left alone.
    the_box.config.set_public_url("prod", "");
    the_box.assert_nothing_to_do(&mut fake);
}
