//! The call-forward key of a phone.

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{DOMAIN, World};

/// `102` forwards by this status to these Contacts.
fn office(seed: u64, code: u16, contacts: &[&str]) -> World {
    let mut world = World::office(seed, &["101", "102", "103", "104"]);
    forwards(&mut world, "102", code, contacts);
    world
}

fn forwards(world: &mut World, extension: &str, code: u16, contacts: &[&str]) {
    let phone = world.find(extension);
    world.agents[phone].reaction = Reaction { after: ms(50), ..Reaction::refuses(code) };
    world.agents[phone].traits.forwards_to = contacts.iter().map(|contact| (*contact).to_owned()).collect();
}

/// Who rings.
fn ringing(world: &World) -> Vec<&str> {
    let agents = world.agents.iter().filter(|agent| agent.calls.iter().any(|call| call.state == State::Incoming));
    agents.map(|agent| agent.name.as_str()).collect()
}

#[test]
fn a_call_that_a_phone_forwards_to_an_extension_rings_there() {
    for (code, contact) in [
        (302, "<sip:103@192.168.1.1>"),
        (301, "sip:103@10.9.9.9:5070;user=phone"),
        (300, "\"Desk\" <sip:%31%30%33@192.168.1.1>"),
        (305, "<tel:103;phone-context=x.example>"),
    ] {
        let mut world = office(1, code, &[contact]);
        let (caller, target) = (world.find("101"), world.find("103"));
        let call = world.dial(caller, "102");
        world.run(ms(1000));
        assert_eq!(ringing(&world), ["103"], "{code} {contact}");
        let other = world.last_call(target);
        assert_eq!(world.call(other).caller, "101");
        world.act(other, |agent, call| agent.pick_up(call));
        world.run(ms(500));
        world.assert_talk(call, other);
        assert!(world.saw("call.forwarded", "102 forwards it to 103"));
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_colleague_s_call_goes_outside_in_the_name_and_with_the_rights_of_the_forwarder() {
    let mut world = office(2, 302, &["<sip:5035551212@192.168.1.1>"]);
    world.outside("+15035551212", Reaction::answers(500));
    let caller = world.find("101");
    let call = world.dial(caller, "102");
    world.run(ms(2000));
    let other = world.last_call(DOMAIN);
    assert_eq!((world.call(other).caller.as_str(), world.call(other).dialled.as_str()), ("102", "+15035551212"));
    world.assert_talk(call, other);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(500));
    for contact in [
        "<sip:+442071838750@192.168.1.1>",
        "<sip:9005551212@192.168.1.1>",
        "<sip:*21@192.168.1.1>",
        "<sip:192.168.1.1>",
    ] {
        forwards(&mut world, "102", 302, &[contact]);
        let call = world.dial(caller, "102");
        world.run(ms(1000));
        assert_eq!(world.ended(call), Some(Ended::Refused(480)), "{contact}");
        assert!(world.saw("call.forwarded", "which is not done"));
    }
    world.finish();
}

#[test]
fn a_call_from_outside_goes_on_at_twilio_where_our_webhook_asked_for_it() {
    for alive in [true, false] {
        let mut world = office(3, 302, &["<sip:5035551212@192.168.1.1>"]);
        world.outside("+15035551212", Reaction::answers(500));
        if alive {
            world.agents[DOMAIN].traits.headers = vec![("X-Gateway-Parent", "CA7".into())];
        }
        let far = world.call_in("102", "+15035550111");
        world.run(ms(2000));
        match alive {
            true => {
                assert_eq!(world.ended(far), Some(Ended::Refused(480)));
                let forward = &world.forwards[0];
                assert_eq!((forward.call_sid.as_str(), forward.by.as_str()), ("CA7", "102"));
                assert_eq!((forward.number.as_str(), forward.from.as_str()), ("+15035551212", "+15035550111"));
                assert_eq!(world.agents[DOMAIN].calls.len(), 1, "no leg of ours");
                assert!(world.saw("call.ended", "Twilio calls it"));
            }
            false => {
                let other = world.last_call(DOMAIN);
                assert_eq!(world.call(other).caller, "102");
                world.assert_talk(far, other);
                assert!(world.forwards.is_empty());
                world.act(far, |agent, call| agent.hang_up(call));
            }
        }
        world.finish();
    }
}

#[test]
fn a_loop_is_cut() {
    // To the caller, to itself, to each other, over a third, and to the outside number that called.
    for (contacts, calls_in) in [
        (["101", "103"], false),
        (["102", "103"], false),
        (["103", "102"], false),
        (["103", "104"], false),
        (["5035550111", "x"], true),
    ] {
        let mut world = office(4, 302, &[&format!("<sip:{}@192.168.1.1>", contacts[0])]);
        forwards(&mut world, "103", 302, &[&format!("<sip:{}@192.168.1.1>", contacts[1])]);
        forwards(&mut world, "104", 302, &["<sip:102@192.168.1.1>"]);
        let caller = world.find("101");
        let call = match calls_in {
            true => world.call_in("102", "+15035550111"),
            false => world.dial(caller, "102"),
        };
        world.run(ms(2000));
        assert_eq!(world.ended(call), Some(Ended::Refused(480)), "{contacts:?}");
        assert!(world.saw("call.forwarded", "the call has been there"));
        world.finish();
    }
}

#[test]
fn no_call_is_forwarded_to_an_emergency_number() {
    for contact in ["<sip:911@192.168.1.1>", "<tel:9-1-1>", "<sip:*67911@192.168.1.1>", "<sip:sos@192.168.1.1>"] {
        let mut world = office(5, 302, &[contact]);
        world.outside("911", Reaction::answers(100));
        let caller = world.find("101");
        let call = world.dial(caller, "102");
        world.run(ms(2000));
        assert_eq!(world.ended(call), Some(Ended::Refused(480)), "{contact}");
        assert!(world.agents[DOMAIN].calls.is_empty());
        world.finish();
    }
}

#[test]
fn several_contacts_are_tried_by_their_q_one_after_the_other() {
    let contacts = ["<sip:103@192.168.1.1>;q=0.2", "<sip:199@192.168.1.1>;q=1.0", "<sip:104@192.168.1.1>;q=0.7"];
    let mut world = office(6, 302, &contacts);
    let (caller, third, fourth) = (world.find("101"), world.find("103"), world.find("104"));
    let call = world.dial(caller, "102");
    world.run(ms(1000));
    assert_eq!(ringing(&world), ["104"]);
    let first = world.last_call(fourth);
    world.act(first, |agent, call| agent.refuse(call, 486));
    world.run(ms(500));
    assert_eq!(ringing(&world), ["103"]);
    let second = world.last_call(third);
    world.act(second, |agent, call| agent.refuse(call, 480));
    world.run(ms(500));
    assert_eq!(world.ended(call), Some(Ended::Refused(486)));
    world.finish();
}

#[test]
fn the_phones_beside_one_that_forwards_ring_on_and_the_first_that_answers_has_the_call() {
    let mut world = office(7, 302, &["<sip:103@192.168.1.1>"]);
    let second = world.handset("102");
    world.agents[second].register(600);
    world.run(ms(1000));
    let (caller, target) = (world.find("101"), world.find("103"));
    let call = world.dial(caller, "102");
    world.run(ms(1000));
    assert_eq!(ringing(&world), ["103", "102"]);
    let other = world.last_call(second);
    world.act(other, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    world.assert_talk(call, other);
    let lost = world.last_call(target);
    assert_eq!(world.ended(lost), Some(Ended::TheyCancelled));
    assert!(world.call(lost).reason.as_deref().is_some_and(|reason| reason.contains("completed elsewhere")));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_transfer_to_a_phone_that_forwards_follows_it() {
    let mut world = office(8, 302, &["<sip:103@192.168.1.1>"]);
    let (phone, target) = (world.find("101"), world.find("103"));
    world.agents[target].reaction = Reaction::answers(500);
    let far = world.call_in("101", "+15035550111");
    world.run(ms(500));
    let call = world.last_call(phone);
    world.act(call, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    world.act(call, |agent, call| agent.refer(call, "<sip:102@192.168.1.1>"));
    world.run(ms(3000));
    let other = world.last_call(target);
    assert_eq!(world.call(other).caller, "+15035550111");
    world.assert_talk(far, other);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}
