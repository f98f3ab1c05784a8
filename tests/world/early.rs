//! Early dialogs by the letter: what comes before the INVITE is answered, and reliable provisional responses.

use rsip::Method;

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{CallRef, DOMAIN, World};

/// What a call of 101 to a phone that only rings gets for a request inside its early dialog.
fn asks(world: &mut World, call: CallRef, method: Method, offers: bool) -> u16 {
    world.act(call, |agent, call| agent.ask_inside(call, method, offers));
    world.run(ms(500));
    world.agents[call.agent].answers.pop().expect("it is answered").1
}

/// 101 calls 102, which rings: the call at either end.
fn ringing(seed: u64, reaction: Reaction) -> (World, CallRef, CallRef) {
    let mut world = World::office(seed, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[b].reaction = reaction;
    let call = world.dial(a, "102");
    world.run(ms(500));
    let far = world.last_call(b);
    (world, call, far)
}

fn answer_and_hang_up(mut world: World, call: CallRef, far: CallRef) {
    world.act(far, |agent, call| agent.pick_up(call));
    world.run(ms(1000));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_second_invite_before_the_first_is_answered_gets_500_and_the_first_goes_on() {
    for (offers, early_media) in [(true, false), (false, false), (true, true)] {
        let (mut world, call, far) = ringing(1, Reaction { early_media, ..Reaction::default() });
        for _ in 0..2 {
            assert_eq!(asks(&mut world, call, Method::Invite, offers), 500);
        }
        // Of the one that rings: ours is under way.
        assert_eq!(asks(&mut world, far, Method::Invite, offers), 491);
        answer_and_hang_up(world, call, far);
    }
}

#[test]
fn an_early_update_refreshes_and_one_with_an_offer_waits_for_the_answer_to_the_first() {
    let (mut world, call, far) = ringing(2, Reaction::default());
    assert_eq!(asks(&mut world, call, Method::Update, false), 200);
    assert_eq!(asks(&mut world, far, Method::Update, false), 200);
    assert_eq!(asks(&mut world, call, Method::Update, true), 500, "we owe the answer");
    assert_eq!(asks(&mut world, far, Method::Update, true), 491, "they owe it");
    assert_eq!(asks(&mut world, call, Method::Options, false), 200);
    assert_eq!(asks(&mut world, call, Method::Info, false), 481);
    answer_and_hang_up(world, call, far);
    let (mut world, call, far) = ringing(3, Reaction { early_media: true, ..Reaction::default() });
    assert_eq!(asks(&mut world, call, Method::Update, true), 200, "it is answered by early media");
    assert_eq!(asks(&mut world, far, Method::Update, true), 200);
    answer_and_hang_up(world, call, far);
}

#[test]
fn a_bye_of_a_ringing_callee_ends_the_call_for_the_caller() {
    for early_media in [false, true] {
        let (mut world, call, far) = ringing(4, Reaction { early_media, ..Reaction::default() });
        assert_eq!(asks(&mut world, far, Method::Bye, false), 200);
        assert_eq!(world.ended(call), Some(Ended::Refused(480)));
        assert_eq!(world.ended(far), Some(Ended::TheyCancelled));
        world.finish();
    }
    // Of two that ring, the other rings on.
    let mut world = World::office(5, &["101", "102"]);
    let second = world.handset("102");
    world.agents[second].register(600);
    world.run(ms(1000));
    let (a, b) = (world.find("101"), world.find("102"));
    let call = world.dial(a, "102");
    world.run(ms(500));
    let (gone, stays) = (world.last_call(b), world.last_call(second));
    assert_eq!(asks(&mut world, gone, Method::Bye, false), 200);
    assert_eq!(world.state(call), State::Ringing);
    answer_and_hang_up(world, call, stays);
}

#[test]
fn a_bye_from_outside_while_an_emergency_call_rings_lets_it_look_for_another_way() {
    let mut world = World::office(6, &["101"]);
    world.outside("911", Reaction::default());
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    world.run(ms(500));
    let far = world.last_call(DOMAIN);
    assert_eq!(asks(&mut world, far, Method::Bye, false), 200);
    world.run(ms(1000));
    assert!(world.calls_of(DOMAIN) > 1 || world.ended(call).is_some(), "it does not ring for ever");
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(60_000));
    world.finish();
}

#[test]
fn a_late_offer_stands_in_the_first_reliable_response_and_prack_answers_it() {
    for (number, early_media, after) in
        [("102", false, 2000), ("102", true, 2000), ("102", false, 41), ("5035551212", true, 1500)]
    {
        let mut world = World::office(7, &["101", "102"]);
        let (a, b) = (world.find("101"), world.find("102"));
        world.agents[a].traits.offerless = true;
        world.agents[a].traits.reliable_provisionals = true;
        world.agents[b].reaction = Reaction { early_media, ..Reaction::answers(after) };
        world.outside("+15035551212", Reaction { early_media, ..Reaction::answers(after) });
        let call = world.dial(a, number);
        world.run(ms(5000));
        let far = world.last_call(if number == "102" { b } else { DOMAIN });
        world.assert_talk(call, far);
        // Later offers are as in any call.
        for hold in [true, false] {
            world.act(far, |agent, call| agent.hold(call, hold));
            world.run(ms(1000));
        }
        world.assert_talk(call, far);
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn an_emergency_call_with_a_late_offer_that_nobody_acknowledges_gets_it_again_in_its_answer() {
    let mut world = World::office(8, &["101"]);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    world.agents[phone].traits.offerless = true;
    world.agents[phone].traits.reliable_provisionals = true;
    world.agents[phone].traits.never_pracks = true;
    let call = world.dial(phone, "911");
    world.run(ms(6000));
    world.assert_talk(call, world.last_call(DOMAIN));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_phone_that_requires_100rel_is_called_with_it_and_its_ringing_is_acknowledged_once() {
    for early_media in [false, true] {
        let mut world = World::office(9, &["101", "102"]);
        let (a, b) = (world.find("101"), world.find("102"));
        world.agents[b].traits.demands_reliable = true;
        world.agents[b].reaction = Reaction { early_media, ..Reaction::default() };
        let call = world.dial(a, "102");
        world.run(ms(500));
        assert_eq!(world.state(call), State::Ringing);
        let far = world.last_call(b);
        assert_eq!(world.call(far).pracks_seen, 1);
        // A repetition of what was acknowledged gets no second PRACK.
        world.act(far, |agent, call| {
            agent.calls[call].rseq -= 1;
            agent.ring(call);
        });
        world.run(ms(500));
        assert_eq!(world.call(far).pracks_seen, 1);
        answer_and_hang_up(world, call, far);
    }
}
