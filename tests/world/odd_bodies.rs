//! Bodies and headers that phones and Twilio may write oddly: the packets on the wire are the same, so the call works.

use gateway_core::sip::header;
use rsip::Headers;

use crate::agent::{Dress, Ended, Reaction, State, ms};
use crate::world::{CallRef, DOMAIN, World};

type Body = Vec<u8>;

/// Changes the text of a body.
fn edit(body: &mut Body, change: impl Fn(String) -> String) {
    if !body.is_empty() {
        *body = change(String::from_utf8_lossy(body).into_owned()).into_bytes();
    }
}

/// Puts another line in the place of `c=`, or none.
fn connection(body: &mut Body, line: &str) {
    edit(body, |text| {
        let lines = text.lines().map(|old| if old.starts_with("c=") { line } else { old });
        lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect()
    });
}

fn replace(body: &mut Body, from: &str, to: &str) {
    edit(body, |text| text.replace(from, to));
}

fn typed(headers: &mut Headers, kind: &str) {
    header::set(headers, "Content-Type", kind);
}

fn mixed(headers: &mut Headers, body: &mut Body) {
    if !body.is_empty() {
        typed(headers, "multipart/mixed; boundary=\"e 1\"");
        let location = "Content-Type: application/pidf+xml\r\nContent-ID: <l@x>\r\n\r\n<presence/>";
        edit(body, |sdp| {
            format!("--e 1\r\n{location}\r\n--e 1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--e 1--\r\n")
        });
    }
}

fn base64_alternative(headers: &mut Headers, body: &mut Body) {
    use base64::Engine as _;
    if !body.is_empty() {
        typed(headers, "Multipart/Alternative;boundary=b");
        let coded = base64::engine::general_purpose::STANDARD.encode(&*body);
        let head = "content-type: Application/SDP;charset=utf-8\r\ncontent-transfer-encoding: base64\r\n";
        *body = format!("--b\r\n\r\nhello\r\n--b\r\n{head}\r\n{coded}\r\n--b--\r\n").into_bytes();
    }
}

fn untyped(headers: &mut Headers, _: &mut Body) {
    header::remove(headers, "Content-Type");
}

fn feedback(_: &mut Headers, body: &mut Body) {
    edit(body, |text| text.replace("AVP ", "AVPF ").replace("SAVP ", "SAVPF ") + "a=rtcp-fb:* nack\r\n");
}

fn ice_and_mux(_: &mut Headers, body: &mut Body) {
    edit(body, |text| {
        text + "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=rtcp-mux\r\na=setup:actpass\r\n\
                a=candidate:1 1 UDP 2130706431 10.0.0.5 5004 typ host\r\n"
    });
}

/// What every call takes, from a handset's INVITE to the far end's answer.
const ODD: [(&str, Dress); 10] = [
    ("parts with a location", mixed),
    ("alternatives in base64", base64_alternative),
    ("no Content-Type", untyped),
    ("feedback", feedback),
    ("ICE and rtcp-mux", ice_and_mux),
    ("a host name", |_, body| connection(body, "c=IN IP4 phone-12.lan")),
    ("no c=", |_, body| connection(body, "")),
    ("a c= that nobody can read", |_, body| connection(body, "c=IN")),
    ("zeros at the beginning", |_, body| connection(body, "c=IN IP4 0.0.0.0")),
    ("an IPv6 address", |_, body| connection(body, "c=IN IP6 fd00::20")),
];

fn hang_up(world: &mut World, call: CallRef) {
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
}

#[test]
fn a_handset_that_describes_itself_oddly_calls_everywhere_and_hears() {
    for (seed, (what, dress)) in (1..).zip(ODD) {
        let mut world = World::office(seed, &["101", "102"]);
        world.outside("911", Reaction::answers(500));
        world.outside("+15035551212", Reaction::answers(500));
        let (phone, other) = (world.find("101"), world.find("102"));
        world.agents[other].reaction = Reaction::answers(500);
        world.agents[phone].traits.dress = Some(dress);
        for (number, callee) in [("911", DOMAIN), ("5035551212", DOMAIN), ("102", other)] {
            let call = world.dial(phone, number);
            world.run(ms(2000));
            assert_eq!(world.state(call), State::Talking, "{what} to {number}");
            world.assert_talk(call, world.last_call(callee));
            hang_up(&mut world, call);
        }
        world.finish();
    }
}

#[test]
fn a_handset_that_answers_oddly_is_heard_by_early_media_and_after() {
    for (seed, (what, dress)) in (20..).zip(ODD) {
        let mut world = World::office(seed, &["101", "102"]);
        let (phone, other) = (world.find("101"), world.find("102"));
        world.agents[other].traits.dress = Some(dress);
        world.agents[other].reaction = Reaction { early_media: true, ..Reaction::answers(1500) };
        let call = world.dial(phone, "102");
        world.run(ms(1000));
        assert!(world.call(call).provisional.contains(&183), "{what}: {:?}", world.call(call).provisional);
        world.run(ms(2000));
        world.assert_talk(call, world.last_call(other));
        hang_up(&mut world, call);
        world.finish();
    }
}

#[test]
fn the_far_end_may_put_its_descriptions_into_parts_with_feedback() {
    fn dress(headers: &mut Headers, body: &mut Body) {
        feedback(headers, body);
        mixed(headers, body);
    }
    let mut world = World::office(40, &["101"]);
    world.agents[DOMAIN].traits.dress = Some(dress);
    let (call, far) = world.connect("5035551212");
    for hold in [true, false] {
        world.act(far, |agent, call| agent.hold(call, hold));
        world.run(ms(1000));
        assert_eq!(world.hears(far, call), !hold);
    }
    hang_up(&mut world, call);
    let phone = world.find("101");
    world.agents[phone].reaction = Reaction::answers(500);
    let far = world.call_in("101", "+15035550111");
    world.run(ms(2000));
    world.assert_talk(world.last_call(phone), far);
    hang_up(&mut world, far);
    world.finish();
}

#[test]
fn hold_by_re_invite_and_by_update_is_read_from_parts() {
    let (mut world, call, far) = World::talking(41, "102");
    world.agents[call.agent].traits.dress = Some(mixed);
    for hold in [true, false] {
        world.act(call, |agent, call| agent.hold(call, hold));
        world.run(ms(1000));
        assert_eq!(world.hears(call, far), !hold);
    }
    for hold in [true, false] {
        world.act(call, |agent, call| agent.update(call, Some(hold)));
        world.run(ms(1000));
        assert_eq!((world.call(call).reinvite_code, world.hears(call, far)), (Some(200), !hold));
    }
    // What is no description leaves the session as it was.
    world.agents[call.agent].traits.dress = Some(|headers, _| typed(headers, "text/plain"));
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvite_code, Some(415));
    hang_up(&mut world, call);
    world.finish();
}

#[test]
fn zeros_after_an_address_are_a_hold_and_a_fax_beside_audio_0_is_refused() {
    let (mut world, call, far) = World::talking(42, "102");
    world.agents[call.agent].traits.dress = Some(|_, body| connection(body, "c=IN IP4 0.0.0.0"));
    world.act(call, |agent, call| agent.reinvite(call));
    world.run(ms(1000));
    assert!(!world.hears(call, far), "held as old phones do");
    world.agents[call.agent].traits.dress = None;
    world.act(call, |agent, call| agent.reinvite(call));
    world.run(ms(1000));
    world.assert_talk(call, far);
    world.agents[call.agent].traits.dress = Some(|_, body| {
        edit(body, |text| text.replace("m=audio 3", "m=audio 0 RTP/AVP 0\r\na=was:3") + "m=image 5010 udptl t38\r\n");
    });
    world.act(call, |agent, call| agent.reinvite(call));
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvite_code, Some(488));
    world.assert_talk(call, far);
    hang_up(&mut world, call);
    world.finish();
}

/// Turns the sound off in a description, with more lines behind it.
fn without_sound(body: &mut Body, more: &str) {
    edit(body, |text| text.replace("m=audio 3", "m=audio 0 RTP/AVP 0\r\na=was:3") + more);
}

#[test]
fn an_offer_without_sound_is_refused_and_the_sound_goes_on() {
    let offers: [Dress; 3] = [
        |_, body| without_sound(body, ""),
        |_, body| without_sound(body, "m=video 30000 RTP/AVP 99\r\n"),
        |_, body| without_sound(body, "m=image 0 udptl t38\r\nm=audio 0 RTP/SAVP 0\r\n"),
    ];
    for (seed, dress) in (60..).zip(offers) {
        let (mut world, call, far) = World::talking(seed, "102");
        world.agents[call.agent].traits.dress = Some(dress);
        world.act(call, |agent, call| agent.reinvite(call));
        world.run(ms(1000));
        assert_eq!(world.call(call).reinvite_code, Some(488));
        world.act(call, |agent, call| agent.update(call, Some(false)));
        world.run(ms(1000));
        assert_eq!(world.call(call).reinvite_code, Some(488));
        world.assert_talk(call, far);
        hang_up(&mut world, call);
        let phone = world.find("101");
        let call = world.dial(phone, "102");
        world.run(ms(1000));
        assert_eq!(world.ended(call), Some(Ended::Refused(488)));
        world.finish();
    }
}

#[test]
fn an_answer_without_sound_ends_a_call_that_begins_and_leaves_one_that_is_there() {
    let mut world = World::office(64, &["101", "102"]);
    let (phone, other) = (world.find("101"), world.find("102"));
    world.agents[other].reaction = Reaction::answers(500);
    let fax: Dress = |_, body| without_sound(body, "m=image 5010 udptl t38\r\n");
    world.agents[other].traits.dress = Some(fax);
    let call = world.dial(phone, "102");
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(488)));
    assert_eq!(world.ended(world.last_call(other)), Some(Ended::TheyHungUp));
    world.agents[other].traits.dress = None;
    let call = world.dial(phone, "102");
    world.run(ms(2000));
    let far = world.last_call(other);
    world.agents[other].traits.dress = Some(fax);
    // The hold is passed on by a re-INVITE of ours, and answered so.
    for hold in [true, false] {
        world.act(call, |agent, call| agent.hold(call, hold));
        world.run(ms(1000));
    }
    world.agents[other].traits.dress = None;
    world.assert_talk(call, far);
    hang_up(&mut world, call);
    world.finish();
}

#[test]
fn our_later_offers_keep_the_lines_and_profiles_of_the_phone() {
    let mut world = World::office(43, &["101", "102"]);
    let (phone, other) = (world.find("101"), world.find("102"));
    world.agents[phone].traits.dress = Some(|headers, body| {
        edit(body, |text| text.replace("m=audio", "m=video 30000 RTP/AVP 99\r\nm=audio"));
        feedback(headers, body);
    });
    world.agents[other].reaction = Reaction::answers(500);
    let call = world.dial(phone, "102");
    world.run(ms(2000));
    world.agents[phone].traits.dress = None;
    let far = world.last_call(other);
    for hold in [true, false] {
        world.act(far, |agent, call| agent.hold(call, hold));
        world.run(ms(1000));
        let lines = &world.call(call).media.theirs.as_ref().unwrap().streams;
        let lines: Vec<_> = lines.iter().map(|line| (&*line.media, line.port != 0, &*line.proto)).collect();
        assert_eq!(lines, [("video", false, "RTP/AVPF"), ("audio", true, "RTP/AVPF")]);
    }
    world.assert_talk(call, far);
    hang_up(&mut world, call);
    world.finish();
}

#[test]
fn an_offer_in_a_prack_is_answered_and_the_answer_of_the_call_repeats_it() {
    let mut world = World::office(44, &["101", "102"]);
    let (phone, other) = (world.find("101"), world.find("102"));
    world.agents[phone].traits.reliable_provisionals = true;
    world.agents[phone].traits.offers_in_prack = true;
    world.agents[other].reaction = Reaction { early_media: true, ..Reaction::answers(1500) };
    let call = world.dial(phone, "102");
    world.run(ms(4000));
    world.assert_talk(call, world.last_call(other));
    hang_up(&mut world, call);
    world.finish();
}

/// What an emergency call passes, and what another call gets for it.
const DEMANDS: [(&str, u16, Dress); 16] = [
    ("an unknown option", 420, |headers, _| header::set(headers, "Require", "x-secret, 100rel-x")),
    ("hops used up", 483, |headers, _| header::set(headers, "Max-Forwards", "0")),
    ("no Contact", 400, |headers, _| header::remove(headers, "Contact")),
    ("a Contact that is none", 400, |headers, _| header::set(headers, "Contact", "<<>")),
    ("a star", 400, |headers, _| header::set(headers, "Contact", "*")),
    ("a coding", 415, |headers, body| {
        header::set(headers, "Content-Encoding", "gzip");
        *body = b"\x1f\x8b\x08".to_vec();
    }),
    ("an unknown type", 415, |headers, _| typed(headers, "application/x-office")),
    ("parts without a description", 415, |headers, body| {
        typed(headers, "multipart/mixed;boundary=b");
        *body = b"--b\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n--b--\r\n".to_vec();
    }),
    ("garbage", 400, |_, body| *body = b"\xff\xfe hello".to_vec()),
    ("a line that nobody can read", 400, |_, body| replace(body, "m=audio 3", "m=audio x3")),
    ("DTLS", 488, |_, body| replace(body, "RTP/AVP", "UDP/TLS/RTP/SAVPF")),
    ("no codec of ours", 488, |_, body| replace(body, "RTP/AVP 0 8 101", "RTP/AVP 18")),
    ("a dynamic number", 488, |_, body| {
        replace(body, "RTP/AVP 0 8 101", "RTP/AVP 97\r\na=rtpmap:97 PCMU/8000");
    }),
    ("SRTP without a key", 488, |_, body| replace(body, "RTP/AVP", "RTP/SAVP")),
    ("a fax", 488, |_, body| edit(body, |text| text.replace("m=audio 3", "m=image 3"))),
    ("a short session", 422, |headers, _| {
        header::set(headers, "Supported", "timer");
        header::set(headers, "Session-Expires", "20");
    }),
];

#[test]
fn an_emergency_call_leaves_whatever_its_invite_demands_and_another_call_is_refused() {
    for (seed, (what, code, dress)) in (60..).zip(DEMANDS) {
        let mut world = World::office(seed, &["101"]);
        world.outside("911", Reaction::answers(500));
        world.outside("+15035551212", Reaction::answers(500));
        let phone = world.find("101");
        world.agents[phone].traits.dress = Some(dress);
        let call = world.dial(phone, "911");
        world.run(ms(2000));
        assert_eq!(world.state(call), State::Talking, "{what}");
        assert_eq!(world.state(world.last_call(DOMAIN)), State::Talking, "{what}");
        world.run(ms(40_000));
        assert_eq!(world.state(call), State::Talking, "{what}, after a while");
        world.agents[phone].traits.dress = None;
        hang_up(&mut world, call);
        assert_eq!(world.ended(world.last_call(DOMAIN)), Some(Ended::TheyHungUp), "{what}");
        if code != 422 {
            world.agents[phone].traits.dress = Some(dress);
            let call = world.dial(phone, "5035551212");
            world.run(ms(2000));
            assert_eq!(world.ended(call), Some(Ended::Refused(code)), "{what}");
        }
        world.finish();
    }
}

#[test]
fn an_emergency_call_does_not_wait_for_a_prack_that_never_comes() {
    let mut world = World::office(80, &["101"]);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    world.agents[phone].traits.reliable_provisionals = true;
    world.agents[phone].traits.never_pracks = true;
    let call = world.dial(phone, "911");
    world.run(ms(3500));
    assert_eq!(world.state(call), State::Talking);
    world.run(ms(60_000));
    assert_eq!(world.state(call), State::Talking);
    hang_up(&mut world, call);
    world.finish();
}
