//! What a person sees on the phone: who calls, and why it stopped ringing.

use crate::agent::{Ended, Reaction, ms};
use crate::world::{DOMAIN, World};

#[test]
fn an_outside_caller_is_never_shown_as_a_colleague_or_as_the_service_and_withheld_ones_as_such() {
    let mut world = World::office(1, &["101", "102"]);
    let phone = world.find("101");
    for (from, seen) in [
        ("+15035550111", "+15035550111"),
        ("102", "anonymous"),
        ("+102", "anonymous"),
        ("911", "anonymous"),
        ("Restricted", "anonymous"),
        ("+7378742833", "anonymous"),
        ("bob", "bob"),
    ] {
        let far = world.call_in("101", from);
        world.run(ms(1000));
        let call = world.last_call(phone);
        assert_eq!(world.call(call).caller, seen, "{from}");
        assert_eq!(world.call(call).remote.contains("Anonymous"), seen == "anonymous", "{}", world.call(call).remote);
        world.act(far, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
    }
    world.finish();
}

#[test]
fn a_phone_hears_the_reason_that_twilio_gives() {
    let mut world = World::office(2, &["101"]);
    let phone = world.find("101");
    for (given, heard) in [
        (r#"SIP;cause=200;text="Call completed elsewhere""#, r#"SIP;cause=200;text="Call completed elsewhere""#),
        ("Q.850;cause=26;text=gone, SIP ; cause=200", "Q.850;cause=26;text=\"gone\", SIP;cause=200"),
        ("nonsense;;", "Q.850;cause=16;text=\"Cancelled by the caller\""),
        ("Q.850;cause=31", "Q.850;cause=31"),
    ] {
        world.agents[DOMAIN].traits.reason = Some(given.into());
        let far = world.call_in("101", "+15035550111");
        world.run(ms(1000));
        world.act(far, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
        let call = world.last_call(phone);
        assert_eq!(world.ended(call), Some(Ended::TheyCancelled));
        assert_eq!(world.call(call).reason.as_deref(), Some(heard), "{given}");
    }
    world.agents[phone].reaction = Reaction::answers(500);
    let far = world.call_in("101", "+15035550111");
    world.run(ms(2000));
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.call(world.last_call(phone)).reason.as_deref(), Some("Q.850;cause=31"), "a BYE's, too");
    world.finish();
}

#[test]
fn what_a_phone_gives_as_reason_stays_here() {
    let mut world = World::office(3, &["101"]);
    let phone = world.find("101");
    world.outside("+15035551212", Reaction::answers(500));
    world.agents[phone].traits.reason = Some("SIP;cause=200".into());
    let call = world.dial(phone, "5035551212");
    world.run(ms(2000));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    let reason = world.call(world.last_call(DOMAIN)).reason.clone();
    assert_eq!(reason.as_deref(), Some("Q.850;cause=16;text=\"Normal call clearing\""));
    world.finish();
}

#[test]
fn a_group_that_twilio_rings_phone_by_phone_shows_no_missed_call_to_the_losers() {
    let mut world = World::office(4, &["101", "102", "103"]);
    let phones = ["101", "102", "103"].map(|name| world.find(name));
    let legs = ["101", "102"].map(|name| world.call_in(name, "+15035550111"));
    let other = world.call_in("103", "+15035550122");
    world.run(ms(1000));
    let won = world.last_call(phones[0]);
    world.act(won, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    // Twilio says nothing as it cancels.
    for loser in [legs[1], other] {
        world.act(loser, |agent, call| agent.hang_up(call));
    }
    world.run(ms(1000));
    let reason = |world: &World, phone| world.call(world.last_call(phone)).reason.clone().unwrap_or_default();
    assert_eq!(reason(&world, phones[1]), "SIP;cause=200;text=\"Call completed elsewhere\"");
    assert!(reason(&world, phones[2]).starts_with("Q.850;cause=16"), "another caller, who gave up");
    world.act(legs[0], |agent, call| agent.hang_up(call));
    world.finish();
}
