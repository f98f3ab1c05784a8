//! How stories begin: with an office that works, and perhaps with a call that is answered.

use gateway_core::config::Config;

use crate::agent::{Reaction, ms};
use crate::world::{CallRef, DOMAIN, World, office, office_of_two_edges};

impl World {
    /// An office on good links: these extensions with one handset each, all registered on both sides.
    pub fn office(seed: u64, extensions: &[&str]) -> Self {
        World::office_of(seed, office(extensions))
    }

    /// The same with a config of its own.
    pub fn office_of(seed: u64, config: Config) -> Self {
        World::new(seed, config).furnish()
    }

    /// An office that has two edges to call by, and the second one.
    pub fn office_of_two_edges(seed: u64, extensions: &[&str]) -> (Self, usize) {
        let mut world = World::new(seed, office_of_two_edges(extensions));
        let second = world.add_second_edge();
        let world = world.furnish();
        assert!(world.agents[second].flow.is_some(), "the standby is up");
        (world, second)
    }

    fn furnish(mut self) -> Self {
        let world = &mut self;
        let names: Vec<String> = world.config.extensions.iter().map(|extension| extension.name.clone()).collect();
        for name in &names {
            world.handset(name);
        }
        world.open();
        for name in &names {
            let handset = world.find(name);
            assert!(world.agents[handset].registration.registered, "{name} is not registered");
            assert!(world.domain_has(name), "{name} is not registered at the SIP domain");
        }
        self
    }

    /// The handsets that are there register, and the service starts.
    pub fn open(&mut self) {
        for handset in self.agents.iter_mut().filter(|agent| agent.domain.is_none()) {
            handset.register(600);
        }
        self.start();
        self.run(ms(3000));
    }

    /// 101 calls an extension or somebody outside, who answers soon; both ends of the call.
    pub fn connect(&mut self, number: &str) -> (CallRef, CallRef) {
        let callee = match self.config.extension(number) {
            Some(_) => self.find(number),
            None => DOMAIN,
        };
        match callee {
            DOMAIN => self.outside(&format!("+1{number}"), Reaction::answers(500)),
            handset => self.agents[handset].reaction = Reaction::answers(500),
        }
        let caller = self.find("101");
        let call = self.dial(caller, number);
        self.run(ms(2000));
        let far = self.last_call(callee);
        self.assert_talk(call, far);
        (call, far)
    }

    /// An office of 101, 102 and 103, in which 101 has called that number: the office, and both ends of the call.
    pub fn talking(seed: u64, number: &str) -> (Self, CallRef, CallRef) {
        let mut world = World::office(seed, &["101", "102", "103"]);
        let (call, far) = world.connect(number);
        (world, call, far)
    }
}
