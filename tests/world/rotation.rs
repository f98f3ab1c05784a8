//! Calls while the password of an extension at the SIP domain is changed.

use std::sync::Arc;

use gateway_core::engine::Input;
use gateway_core::secret::Secret;

use crate::agent::{State, ms};
use crate::world::{DOMAIN, World};

const OLD: &str = "trunk-secret-101";
const NEW: &str = "trunk-rotated-101";

/// What is on disk then, read by the service.
fn reload(world: &mut World, password: &str, former: Option<&str>) {
    let secret = |text: &str| ("prod".to_owned(), Secret::new(text.to_owned()));
    let mut secrets = (*world.secrets).clone();
    let extension = secrets.extensions.get_mut("101").expect("the office has it");
    extension.trunk_passwords = [secret(password)].into();
    extension.former_trunk_passwords = former.map(secret).into_iter().collect();
    let config = Arc::clone(&world.config);
    world.input(Input::Reload { config, secrets: Arc::new(secrets) });
}

fn at_twilio(world: &mut World, password: &str) {
    let domain = world.agents[DOMAIN].domain.as_mut().expect("it is one");
    domain.passwords.insert("101".into(), password.into());
}

fn call_out(world: &mut World) {
    let (call, _) = world.connect("5035551212");
    assert_eq!(world.state(call), State::Talking);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(2000));
}

#[test]
fn calls_go_out_at_every_step_of_a_rotation() {
    let mut world = World::office(41, &["101"]);
    call_out(&mut world);
    // On disk beside the former one, and read.
    reload(&mut world, NEW, Some(OLD));
    call_out(&mut world);
    world.run(ms(3_600_000));
    assert!(world.domain_has("101"));
    call_out(&mut world);
    // Twilio took it, and nobody tells the service: its last registration was with the former one.
    at_twilio(&mut world, NEW);
    call_out(&mut world);
    world.run(ms(3_600_000));
    assert!(world.domain_has("101"));
    call_out(&mut world);
    reload(&mut world, NEW, None);
    call_out(&mut world);
    world.finish();
}

#[test]
fn a_call_in_progress_outlives_a_rotation_and_is_hung_up_by_us() {
    let mut world = World::office(42, &["101"]);
    let (call, _) = world.connect("5035551212");
    reload(&mut world, NEW, Some(OLD));
    at_twilio(&mut world, NEW);
    world.run(ms(1000));
    assert_eq!(world.state(call), State::Talking);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(2000));
    world.finish();
}
