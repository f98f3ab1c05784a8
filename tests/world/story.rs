//! The story of issue 2, step by step.

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{DOMAIN, World};

#[test]
fn a_call_out_is_answered_and_the_far_end_hangs_up() {
    let mut world = World::office(1, &["101", "102"]);
    world.outside("+15035551212", Reaction::answers(2000));
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(1000));
    assert_eq!(world.state(call), State::Ringing);
    world.run(ms(2000));
    assert_eq!(world.state(call), State::Talking);
    let far = world.last_call(DOMAIN);
    assert_eq!(world.call(far).caller, "101");
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}
