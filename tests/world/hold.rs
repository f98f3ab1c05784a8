//! Re-INVITE: hold, resume, glare, refresh.

use crate::agent::{Ended, Reaction, State, ms};
use crate::link::Way;
use crate::world::{CallRef, DOMAIN, World};

fn end(mut world: World, call: CallRef) {
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn hold_and_resume_work_from_both_ends_of_both_kinds_of_calls() {
    for number in ["102", "5035551212"] {
        let (mut world, call, far) = World::talking(1, number);
        for (holder, held) in [(call, far), (far, call)] {
            world.act(holder, |agent, call| agent.hold(call, true));
            world.run(ms(1000));
            assert!(!world.hears(holder, held), "the holder does not hear the held");
            assert!(world.hears(held, holder), "music on hold passes: {:?}", world.deaf_because(held, holder));
            world.act(holder, |agent, call| agent.hold(call, false));
            world.run(ms(1000));
            world.assert_talk(call, far);
        }
        end(world, call);
    }
}

#[test]
fn both_hold_and_both_resume() {
    let (mut world, call, far) = World::talking(2, "5035551212");
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    world.act(far, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    assert!(!world.hears(call, far) && !world.hears(far, call));
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    world.act(far, |agent, call| agent.hold(call, false));
    world.run(ms(4000));
    world.assert_talk(call, far);
    end(world, call);
}

#[test]
fn two_re_invites_at_the_same_moment_settle() {
    for number in ["102", "5035551212"] {
        let (mut world, call, far) = World::talking(3, number);
        world.act(call, |agent, call| agent.hold(call, true));
        world.act(far, |agent, call| agent.hold(call, true));
        world.run(ms(20_000));
        assert!(!world.hears(call, far) && !world.hears(far, call));
        world.act(call, |agent, call| agent.hold(call, false));
        world.act(far, |agent, call| agent.hold(call, false));
        world.run(ms(20_000));
        world.assert_talk(call, far);
        end(world, call);
    }
}

#[test]
fn hold_just_as_the_gateway_refreshes_settles_too() {
    let (mut world, call, far) = World::talking(4, "102");
    for hold in [true, false, true, false] {
        // Quick fingers: the next one goes before the last has reached the other side.
        world.act(call, |agent, call| agent.hold(call, hold));
        world.run(ms(3));
    }
    world.run(ms(30_000));
    world.assert_talk(call, far);
    end(world, call);
}

#[test]
fn a_re_invite_without_offer_gets_one_and_resumes() {
    let (mut world, call, far) = World::talking(5, "5035551212");
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    world.act(call, |agent, call| {
        agent.calls[call].media.holding = false;
        agent.reinvite_empty(call);
    });
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvite_code, Some(200));
    world.assert_talk(call, far);
    end(world, call);
}

#[test]
fn a_re_invite_with_unknown_codecs_is_refused_and_the_call_goes_on() {
    let (mut world, call, far) = World::talking(6, "102");
    world.act(call, |agent, call| {
        let old = std::mem::replace(&mut agent.traits.codecs, vec![9]);
        let media = agent.calls[call].media.clone();
        agent.calls[call].media =
            crate::agent::Media::new(media.rtp.ip(), media.rtp.port(), media.key, media.secure, &[9]);
        agent.reinvite(call);
        agent.traits.codecs = old;
        agent.calls[call].media = media;
    });
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvite_code, Some(488));
    world.assert_talk(call, far);
    end(world, call);
}

#[test]
fn a_re_invite_to_the_other_law_alone_is_taken_and_the_call_goes_on() {
    for (number, other) in [("102", 8), ("102", 0), ("5035551212", 8)] {
        let (mut world, call, far) = World::talking(13, number);
        world.act(call, |agent, call| {
            let media = &agent.calls[call].media;
            agent.calls[call].media =
                crate::agent::Media::new(media.rtp.ip(), media.rtp.port(), media.key, media.secure, &[other]);
            agent.reinvite(call);
        });
        world.run(ms(1000));
        assert_eq!(world.call(call).reinvite_code, Some(200));
        world.assert_talk(call, far);
        end(world, call);
    }
}

#[test]
fn the_gateway_refreshes_a_session_that_it_agreed_to_refresh() {
    let mut world = World::office(7, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.session = Some(120);
    world.agents[a].traits.refreshes = false;
    world.agents[b].traits.session = Some(120);
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(600_000));
    assert_eq!(world.state(call), State::Talking);
    assert!(world.call(call).reinvites_seen >= 8, "{}", world.call(call).reinvites_seen);
    world.assert_talk(call, world.last_call(b));
    end(world, call);
}

#[test]
fn a_handset_refreshes_and_the_call_lasts() {
    let mut world = World::office(8, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.session = Some(120);
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(600_000));
    assert_eq!(world.state(call), State::Talking);
    assert_eq!(world.call(call).reinvites_seen, 0);
    world.assert_talk(call, world.last_call(b));
    end(world, call);
}

#[test]
fn a_handset_that_forgets_to_refresh_is_hung_up() {
    let mut world = World::office(9, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.session = Some(120);
    world.agents[a].traits.forgets = true;
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(80_000));
    assert_eq!(world.state(call), State::Talking);
    world.run(ms(20_000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert!(world.saw("call.ended", "does not answer any more"));
    world.finish();
}

#[test]
fn the_trunk_side_refreshes_over_an_hour_in_both_roles() {
    for refreshes in [true, false] {
        let mut world = World::office(10, &["101"]);
        world.agents[DOMAIN].traits.session = Some(1800);
        world.agents[DOMAIN].traits.refreshes = refreshes;
        world.outside("+15035551212", Reaction::answers(500));
        let phone = world.find("101");
        let out = world.dial(phone, "5035551212");
        world.run(ms(3_500_000));
        assert_eq!(world.state(out), State::Talking);
        world.act(out, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
        world.agents[phone].reaction = Reaction::answers(500);
        let inbound = world.call_in("101", "+15035550111");
        world.run(ms(3_500_000));
        assert_eq!(world.state(inbound), State::Talking);
        end(world, inbound);
    }
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_call() {
    let mut world = World::office(11, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.session = Some(300);
    world.agents[a].traits.refreshes = false;
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(10_000));
    world.lose(a, Way::ToAgent, "INVITE ", 1000);
    world.run(ms(190_000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert_eq!(world.ended(world.last_call(b)), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn too_short_a_session_interval_is_answered_with_ours() {
    let mut world = World::office(12, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[a].traits.session = Some(60);
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(2000));
    assert_eq!(world.call(call).session, Some((90, true)));
    end(world, call);
}

#[test]
fn a_silent_handset_is_asked_and_hung_up_when_it_is_gone() {
    let (mut world, call, far) = World::talking(13, "5035551212");
    let leg = world.media.at(world.call(call).media.theirs.as_ref().unwrap().rtp().unwrap()).unwrap().0;
    world.input(gateway_core::engine::Input::Media(gateway_core::media::Notice::Silent { leg }));
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvites_seen, 1);
    assert_eq!(world.state(far), State::Talking);
    world.lose(call.agent, Way::ToAgent, "", 1000);
    world.input(gateway_core::engine::Input::Media(gateway_core::media::Notice::Silent { leg }));
    world.run(ms(40_000));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.links[1].drops.clear();
    end(world, call);
}
