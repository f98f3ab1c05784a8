//! Single features of a call.

use std::time::Duration;

use gateway_core::config::Secure;
use rsip::Method;

use crate::agent::{Ended, Reaction, State, ms};
use crate::link::Way;
use crate::world::{DOMAIN, World};

#[test]
fn a_handset_that_requires_100rel_gets_reliable_provisionals() {
    for number in ["102", "5035551212"] {
        let mut world = World::office(1, &["101", "102"]);
        let (a, b) = (world.find("101"), world.find("102"));
        world.agents[a].traits.reliable_provisionals = true;
        world.agents[b].reaction = Reaction::answers(2000);
        world.outside("+15035551212", Reaction { early_media: true, ..Reaction::answers(2000) });
        world.lose(a, Way::ToEngine, "PRACK ", 1);
        world.lose(a, Way::ToAgent, "SIP/2.0 18", 1);
        let call = world.dial(a, number);
        world.run(ms(6000));
        let far = world.last_call(if number == "102" { b } else { DOMAIN });
        world.assert_talk(call, far);
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_handset_that_never_sends_prack_is_refused_and_the_ringing_ends() {
    let mut world = World::office(2, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.reliable_provisionals = true;
    world.lose(a, Way::ToEngine, "PRACK ", 1000);
    let call = world.dial(a, "102");
    world.run(ms(45_000));
    assert!(matches!(world.ended(call), Some(Ended::Refused(480 | 504))), "{:?}", world.ended(call));
    assert_eq!(world.ended(world.last_call(b)), Some(Ended::TheyCancelled));
    world.finish();
}

#[test]
fn an_answer_while_prack_is_missing_waits_for_it() {
    let mut world = World::office(3, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.reliable_provisionals = true;
    world.agents[b].reaction = Reaction::answers(60);
    world.lose(a, Way::ToEngine, "PRACK ", 2);
    let call = world.dial(a, "102");
    world.run(ms(1000));
    assert_eq!(world.state(call), State::Ringing);
    world.run(ms(4000));
    world.assert_talk(call, world.last_call(b));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn digits_by_info_become_events_on_the_other_leg() {
    let (mut world, call, far) = World::talking(4, "5035551212");
    world.act(call, |agent, call| agent.info(call, "application/dtmf-relay", "Signal=5\r\nDuration=250\r\n"));
    world.run(ms(500));
    world.act(call, |agent, call| agent.info(call, "application/dtmf", "#"));
    world.run(ms(500));
    assert_eq!(world.call(call).info_code, Some(200));
    let outside = world.call(far).media.theirs.as_ref().unwrap().rtp().unwrap();
    let (_, port) = world.media.at(outside).unwrap();
    assert_eq!(port.digits, [('5', Duration::from_millis(250)), ('#', Duration::from_millis(160))]);
    world.act(call, |agent, call| agent.info(call, "text/plain", "hello"));
    world.run(ms(500));
    assert_eq!(world.call(call).info_code, Some(415));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_without_offer_gets_ours_and_answers_in_its_ack() {
    for number in ["102", "5035551212"] {
        let mut world = World::office(5, &["101", "102"]);
        let (a, b) = (world.find("101"), world.find("102"));
        world.agents[a].traits.offerless = true;
        world.agents[b].reaction = Reaction::answers(500);
        world.outside("+15035551212", Reaction { early_media: true, ..Reaction::answers(500) });
        let call = world.dial(a, number);
        world.run(ms(2000));
        let far = world.last_call(if number == "102" { b } else { DOMAIN });
        world.assert_talk(call, far);
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn unknown_codecs_are_refused_with_488_before_anybody_rings() {
    let mut world = World::office(6, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.codecs = vec![9, 18];
    let call = world.dial(a, "102");
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::Refused(488)));
    assert_eq!(world.calls_of(b), 0);
    world.finish();
}

#[test]
fn handsets_on_one_law_each_talk_whoever_offers() {
    for (own, theirs) in [(0, 8), (8, 0)] {
        for (offerless, early_media) in [(false, false), (false, true), (true, false)] {
            let mut world = World::office(7, &["101", "102"]);
            let (a, b) = (world.find("101"), world.find("102"));
            world.agents[a].traits.codecs = vec![own];
            world.agents[a].traits.offerless = offerless;
            world.agents[b].traits.codecs = vec![theirs];
            world.agents[b].reaction = Reaction { early_media, ..Reaction::answers(500) };
            let call = world.dial(a, "102");
            world.run(ms(2000));
            let far = world.last_call(b);
            world.assert_talk(call, far);
            assert_eq!((law_of(&world, call), law_of(&world, far)), (own, theirs), "{offerless} {early_media}");
            world.act(call, |agent, call| agent.hang_up(call));
            world.finish();
        }
    }
}

/// The one payload type of sound that was agreed with a handset.
fn law_of(world: &World, call: crate::world::CallRef) -> u8 {
    let theirs = world.call(call).media.theirs.as_ref().unwrap();
    let (_, port) = world.media.at(theirs.rtp().unwrap()).unwrap();
    match port.params.as_ref().unwrap().payload_types[..] {
        [one] => one,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_handset_with_pcma_only_talks_to_the_outside() {
    let mut world = World::office(8, &["101"]);
    let phone = world.find("101");
    world.agents[phone].traits.codecs = vec![8];
    let (call, _) = world.connect("5035551212");
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_domain_that_is_not_secure_gets_plain_rtp() {
    let mut config = crate::world::office(&["101"]);
    config.trunk.secure = Secure::Off;
    let mut world = World::office_of(9, config);
    let (call, _) = world.connect("5035551212");
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn wrong_credentials_at_the_domain_are_not_shown_to_the_handset_as_a_challenge() {
    let mut world = World::office(10, &["101"]);
    let domain = world.agents[DOMAIN].domain.as_mut().unwrap();
    domain.passwords.insert("101".into(), "changed-in-the-console".into());
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(2000));
    let ended = world.ended(call);
    assert!(matches!(ended, Some(Ended::Refused(403 | 502 | 503))), "{ended:?}");
    world.finish();
}

#[test]
fn what_the_gateway_does_not_do_is_refused_by_its_name() {
    let mut world = World::office(11, &["101"]);
    let phone = world.find("101");
    for (method, code) in [
        (Method::Options, 200),
        (Method::Subscribe, 489),
        (Method::Notify, 481),
        (Method::Message, 405),
        (Method::Bye, 405),
    ] {
        world.agents[phone].now = world.now;
        world.agents[phone].ask(method, &[("Event", "presence")]);
        world.run(ms(500));
        assert_eq!(world.agents[phone].answers.last(), Some(&(method, code)));
    }
    world.finish();
}

#[test]
fn an_invite_that_cannot_be_served_is_refused_with_the_right_code() {
    for (name, value, code) in [
        ("Require", "gruu", 420),
        ("Max-Forwards", "0", 483),
        ("Content-Type", "application/pkcs7-mime", 415),
        ("Content-Encoding", "gzip", 415),
    ] {
        let mut world = World::office(12, &["101", "102"]);
        let phone = world.find("101");
        world.agents[phone].traits.headers = vec![(name, value.into())];
        let call = world.dial(phone, "102");
        world.run(ms(500));
        assert_eq!(world.ended(call), Some(Ended::Refused(code)), "{name}");
        world.finish();
    }
}

#[test]
fn nobody_else_on_the_lan_can_hang_up_a_call() {
    let (mut world, call, far) = World::talking(13, "102");
    let thief = world.find("103");
    let mut forged = Vec::new();
    world.act(call, |agent, call| forged = agent.forge_bye(call));
    world.agents[thief].say(&forged);
    world.run(ms(1000));
    world.assert_talk(call, far);
    // The answer to it comes back to the thief, who knows of no such request.
    world.agents[thief].faults.clear();
    world.agents[thief].strays.clear();
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn update_refreshes_and_holds_like_a_re_invite() {
    let (mut world, call, far) = World::talking(14, "5035551212");
    world.act(call, |agent, call| agent.update(call, None));
    world.run(ms(500));
    assert_eq!(world.call(call).reinvite_code, Some(200));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.update(call, Some(true)));
    world.run(ms(500));
    assert!(!world.hears(call, far));
    world.act(call, |agent, call| agent.update(call, Some(false)));
    world.run(ms(500));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_in_may_use_srtp_on_a_domain_that_is_not_secure() {
    let mut config = crate::world::office(&["101"]);
    config.trunk.secure = Secure::Off;
    let mut world = World::office_of(16, config);
    let phone = world.find("101");
    world.agents[phone].reaction = Reaction::answers(300);
    world.agents[DOMAIN].domain.as_mut().unwrap().secure = true;
    let call = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    world.assert_talk(call, world.last_call(phone));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}
