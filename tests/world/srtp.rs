//! Handsets that speak SRTP and nothing else.

use gateway_core::config::Srtp;

use crate::agent::{Ended, Reaction, ms};
use crate::world::{CallRef, DOMAIN, World, office};

fn hang_up(world: &mut World, call: CallRef) {
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
}

/// 102 speaks SRTP only.
fn with_srtp_phone(seed: u64) -> (World, usize, usize) {
    let mut world = World::office(seed, &["101", "102"]);
    let (plain, secure) = (world.find("101"), world.find("102"));
    world.agents[secure].traits.srtp = true;
    world.agents[secure].reaction = Reaction::answers(500);
    (world, plain, secure)
}

/// `srtp` of 102.
fn with_setting(seed: u64, srtp: Srtp) -> World {
    let mut config = office(&["101", "102"]);
    config.extensions[1].srtp = srtp;
    World::office_of(seed, config)
}

#[test]
fn a_phone_that_refuses_plain_rtp_is_asked_once_more_with_srtp_and_then_known() {
    let (mut world, plain, secure) = with_srtp_phone(1);
    for refused in [1, 1] {
        let call = world.dial(plain, "102");
        world.run(ms(2000));
        world.assert_talk(call, world.last_call(secure));
        hang_up(&mut world, call);
        assert_eq!(world.agents[secure].offers_refused, refused);
    }
    // From outside, too, and after it has registered again.
    world.agents[secure].register(600);
    world.run(ms(1000));
    let far = world.call_in("102", "+15035550111");
    world.run(ms(2000));
    world.assert_talk(far, world.last_call(secure));
    hang_up(&mut world, far);
    assert_eq!(world.agents[secure].offers_refused, 1);
    // Its owner turns SRTP off: asked once more, the other way.
    world.agents[secure].traits.srtp = false;
    let call = world.dial(plain, "102");
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(secure));
    hang_up(&mut world, call);
    assert_eq!(world.agents[secure].offers_refused, 2);
    world.finish();
}

#[test]
fn what_a_phone_offers_is_what_it_is_called_in_and_what_a_late_offer_is_made_in() {
    let (mut world, plain, secure) = with_srtp_phone(2);
    let call = world.dial(secure, "5035551212");
    world.run(ms(500));
    hang_up(&mut world, call);
    let call = world.dial(plain, "102");
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(secure));
    hang_up(&mut world, call);
    assert_eq!(world.agents[secure].offers_refused, 0);
    world.agents[secure].traits.offerless = true;
    world.agents[plain].reaction = Reaction::answers(500);
    let call = world.dial(secure, "101");
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(plain));
    for hold in [true, false] {
        world.act(call, |agent, call| agent.hold(call, hold));
        world.run(ms(1000));
    }
    world.assert_talk(call, world.last_call(plain));
    hang_up(&mut world, call);
    world.finish();
}

#[test]
fn the_setting_of_an_extension_goes_before_what_is_known() {
    for (setting, phone_speaks, refused, ended) in [
        (Srtp::Required, true, 0, None),
        (Srtp::Off, false, 0, None),
        (Srtp::Off, true, 1, Some(Ended::Refused(488))),
        (Srtp::Required, false, 1, Some(Ended::Refused(488))),
    ] {
        let mut world = with_setting(3, setting);
        let (caller, phone) = (world.find("101"), world.find("102"));
        world.agents[phone].traits.srtp = phone_speaks;
        world.agents[phone].reaction = Reaction::answers(500);
        let call = world.dial(caller, "102");
        world.run(ms(2000));
        assert_eq!(world.ended(call), ended, "{setting:?}");
        if ended.is_none() {
            world.assert_talk(call, world.last_call(phone));
            hang_up(&mut world, call);
        }
        assert!(world.agents[phone].offers_refused >= refused, "{setting:?} {phone_speaks}");
        world.finish();
    }
}

#[test]
fn a_plain_offer_is_refused_where_srtp_is_required_unless_it_is_an_emergency() {
    let mut world = with_setting(4, Srtp::Required);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("102");
    let call = world.dial(phone, "101");
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::Refused(488)));
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(DOMAIN));
    hang_up(&mut world, call);
    world.agents[phone].traits.srtp = true;
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(DOMAIN));
    hang_up(&mut world, call);
    world.finish();
}
