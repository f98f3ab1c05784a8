//! What Twilio's side says of encryption, and of calls that it refuses.

use gateway_core::config::Secure;
use gateway_core::event::Level;

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{DOMAIN, World, office};

/// A box with this setting, whose domain offers plain RTP.
fn plain(seed: u64, secure: Secure) -> World {
    let mut config = office(&["101"]);
    config.trunk.secure = secure;
    let mut world = World::office_of(seed, config);
    let phone = world.find("101");
    world.agents[phone].reaction = Reaction::answers(300);
    world.agents[DOMAIN].domain.as_mut().unwrap().secure = false;
    world
}

fn troubles(world: &World) -> Vec<String> {
    world.engine.status(world.now).troubles
}

#[test]
fn a_call_in_with_plain_rtp_is_taken_with_a_warning_where_the_trunk_is_secure() {
    let mut world = plain(15, Secure::On);
    let call = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    world.assert_talk(call, world.last_call(world.find("101")));
    let warned = world.events_of("call.plain");
    assert_eq!((warned.len(), warned[0].level), (1, Level::Warning));
    assert!(warned[0].text.contains(";secure=true"), "{}", warned[0].text);
    assert!(troubles(&world)[0].contains(";secure=true") && troubles(&world)[0].contains("1 calls"));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(25 * 3_600_000));
    assert!(troubles(&world).is_empty(), "{:?}", troubles(&world));
    world.finish();
}

#[test]
fn a_call_in_with_plain_rtp_is_refused_where_srtp_alone_is_wanted_and_the_log_says_why() {
    let mut world = plain(17, Secure::Only);
    let call = world.call_in("101", "+15035550111");
    world.run(ms(500));
    assert_eq!(world.ended(call), Some(Ended::Refused(488)));
    assert_eq!(world.calls_of(world.find("101")), 0);
    let text = &world.events_of("call.refused")[0].text;
    assert!(text.contains("488 Not Acceptable Here") && text.contains("no RTP/SAVP with a usable a=crypto"), "{text}");
    assert!(world.events_of("call.plain").is_empty() && troubles(&world).is_empty());
    world.finish();
}

#[test]
fn an_emergency_service_that_calls_back_with_plain_rtp_is_taken_whatever_the_trunk_wants() {
    let mut config = office(&["101"]);
    config.trunk.secure = Secure::Only;
    let mut world = World::office_of(18, config);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    world.agents[phone].reaction = Reaction::answers(500);
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    world.agents[DOMAIN].domain.as_mut().unwrap().secure = false;
    let back = world.call_in("101", "+15035559111");
    world.run(ms(3000));
    assert_eq!(world.state(back), State::Talking);
    world.act(back, |agent, call| agent.hang_up(call));
    world.finish();
}

/// The events of a call that Twilio refused so.
fn refused(seed: u64, code: u16, headers: &'static [(&'static str, &'static str)]) -> (World, Vec<(Level, String)>) {
    let mut world = World::office(seed, &["101"]);
    world.agents[DOMAIN].domain.as_mut().unwrap().refusal = Some((code, headers));
    let phone = world.find("101");
    world.dial(phone, "5035551212");
    world.run(ms(2000));
    let said = world.events_of("trunk.refused-call").iter().map(|event| (event.level, event.text.clone())).collect();
    (world, said)
}

#[test]
fn what_twilio_says_of_a_call_that_it_refuses_is_told_with_the_next_step() {
    for (seed, code, error, words) in [
        (40, 403, "32201 Authentication failure - source IP Address not in ACL", "[access] networks"),
        (41, 488, "32208 Secure media required", "run gateway apply"),
        (42, 603, "10001 Account is not active", "balance"),
        (43, 403, "32205", "[dialing] countries"),
        (44, 500, "99999 of next year", "debugger"),
    ] {
        let headers: &'static [_] = Box::leak(Box::new([("X-Twilio-Error", error)]));
        let (mut world, said) = refused(seed, code, headers);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].0, Level::Warning);
        for part in [error, words, &code.to_string()] {
            assert!(said[0].1.contains(part), "{part:?} in {said:?}");
        }
        assert!(troubles(&world)[0].contains(error) && troubles(&world)[0].contains(words));
        // The next call that Twilio takes ends it.
        world.agents[DOMAIN].domain.as_mut().unwrap().refusal = None;
        world.outside("+15035551212", Reaction::answers(300));
        let call = world.dial(world.find("101"), "5035551212");
        world.run(ms(2000));
        assert!(troubles(&world).is_empty(), "{:?}", troubles(&world));
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_reason_alone_is_told_and_is_no_trouble_and_silence_is_neither() {
    let (world, said) = refused(45, 486, &[("Reason", "Q.850;cause=17;text=\"User busy\"")]);
    assert_eq!(said[0].0, Level::Info);
    assert!(said[0].1.contains("486 Busy Here") && said[0].1.contains("User busy"), "{said:?}");
    assert!(troubles(&world).is_empty());
    let (world, said) = refused(46, 404, &[]);
    assert!(said.is_empty() && troubles(&world).is_empty());
}
