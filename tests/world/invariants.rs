//! What must hold after every run, whatever happened in it.

use std::collections::BTreeMap;

use crate::agent::{Ended, State, ms};
use crate::world::World;

/// How long a run may take to become quiet after the last call: a cancelled INVITE takes 32 s to be given up after
/// 32 s without an answer, its CANCEL as long, and a BYE to nobody 32 s more. A held emergency call whose far end went
/// without a word is asked after a quarter of an hour, or should have asked within half an hour.
const QUIET: u64 = 2_000_000;

/// How long an emergency call may wait for the trunk.
const EMERGENCY_WAIT: u64 = 30_000;

impl World {
    /// Ends a run: everybody rests, nothing may be left. Call it when all calls were hung up, or are to end by
    /// themselves.
    pub fn finish(mut self) {
        self.finish_in_place();
    }

    pub fn finish_in_place(&mut self) {
        for agent in &mut self.agents {
            agent.resting = true;
        }
        self.run(ms(120_000));
        let quiet = self.run_until(ms(QUIET), |world| world.engine.is_quiet());
        let engine = if quiet { String::new() } else { format!("{:#?}", self.engine) };
        let left = engine.split("calls: Calls").nth(1).unwrap_or_default();
        let left: Vec<&str> = left.lines().take(100).collect();
        assert!(quiet, "not quiet after {} s: {:?} {}", (120_000 + QUIET) / 1000, self.engine.sizes(), left.join("\n"));
        self.check();
        self.finished = true;
    }

    fn check(&mut self) {
        let mut faults = std::mem::take(&mut self.faults);
        faults.append(&mut self.media.faults);
        for agent in &mut self.agents {
            faults.append(&mut agent.faults);
        }
        if !self.media.open.is_empty() {
            faults.push(format!("media legs are open: {:?}", self.media.open.keys()));
        }
        // A 2xx that was out when its connection went is repeated by the next one, which may be of another server.
        for (branch, fault) in self.agents.iter().flat_map(|agent| &agent.strays) {
            if !self.agents.iter().any(|agent| agent.asked(branch)) {
                faults.push(fault.clone());
            }
        }
        self.check_agents(&mut faults);
        self.check_causes(&mut faults);
        self.check_emergencies(&mut faults);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// Every call of every agent has ended: with one final answer, and by a known way.
    fn check_agents(&self, faults: &mut Vec<String>) {
        for agent in &self.agents {
            for (id, call) in agent.calls.iter().enumerate() {
                if call.state != State::Over {
                    faults.push(format!("{} call {id} is still {:?}", agent.name, call.state));
                }
            }
        }
    }

    /// Every call that began has ended once, with a cause.
    fn check_causes(&self, faults: &mut Vec<String>) {
        let mut balance: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (_, event) in &self.events {
            let entry = balance.entry(event.subject.as_str()).or_default();
            match event.code.word() {
                "call.begun" => entry.0 += 1,
                "call.ended" => entry.1 += 1,
                _ => {}
            }
        }
        for (call, (begun, ended)) in balance {
            if begun != ended {
                faults.push(format!("{call}: begun {begun} times, ended {ended} times"));
            }
        }
    }

    /// Every emergency call has left, was given up by its caller, or was refused only after a long wait.
    fn check_emergencies(&self, faults: &mut Vec<String>) {
        let emergency = |dialled: &str| self.config.emergency.numbers.has(dialled);
        let edges = self.agents.iter().filter(|agent| agent.domain.is_some());
        let mut left: Vec<_> =
            edges.flat_map(|edge| &edge.calls).filter(|call| !call.outgoing && emergency(&call.dialled)).collect();
        left.sort_by_key(|call| call.began);
        let phones = self.agents.iter().filter(|agent| agent.domain.is_none());
        let made = phones.flat_map(|agent| agent.calls.iter().map(move |call| (agent, call)));
        let mut made: Vec<_> = made
            .filter(|(_, call)| call.outgoing && emergency(&call.dialled))
            .filter(|(_, call)| {
                let waited = call.ended_at.map_or(0, |at| at.since(call.began).as_millis());
                let lost = matches!(call.ended, Some(Ended::Timeout | Ended::Lost));
                let restarted = self.restarted.is_some_and(|at| call.began <= at);
                !(restarted || call.give_up || lost || waited >= u128::from(EMERGENCY_WAIT))
            })
            .collect();
        made.sort_by_key(|(_, call)| call.began);
        for (agent, call) in made {
            match left.iter().position(|other| other.dialled == call.dialled && other.began >= call.began) {
                Some(found) => drop(left.remove(found)),
                None => faults.push(format!(
                    "the emergency call of {} did not leave: {:?}, began {:?}",
                    agent.name, call.ended, call.began
                )),
            }
        }
    }
}
