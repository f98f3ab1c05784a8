//! What wakes a box on which nobody calls. A new timer shows up here: give it a bound, and the reason for it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use gateway_core::wake::{Counts, Reason};

use crate::agent::ms;
use crate::world::World;

const HOUR: u64 = 3600;

/// `trunk.keepalive` is 25 s, of which 80 to 100 % pass between two.
const KEEPALIVES: RangeInclusive<u64> = HOUR / 25..=HOUR / 20;

/// The SIP domain grants 600 s, of which 45 to 50 % pass before the next REGISTER; two extensions.
const REGISTRATIONS: RangeInclusive<u64> = 2 * HOUR / 300..=2 * HOUR.div_ceil(270);

/// A handset registers each 300 s, and its transactions over UDP are remembered for 32 s: at most a challenge and an
/// answer each time, of two handsets.
const TRANSACTIONS: RangeInclusive<u64> = 1..=2 * 2 * HOUR / 300;

/// The soonest end of a binding is looked at when it comes, though all handsets have registered again since. The next
/// one is half a registration later at least, however many handsets there are.
const BINDINGS: RangeInclusive<u64> = 1..=HOUR / 300;

/// What woke the office in an hour without a call, long after it started.
fn idle_hour(mut world: World) -> Counts {
    world.run(ms(HOUR * 1000));
    world.wake_ups = Counts::default();
    world.run(ms(HOUR * 1000));
    let counts = world.wake_ups;
    world.finish();
    counts
}

fn assert_bounds(counts: Counts, bounds: &[(Reason, RangeInclusive<u64>)]) {
    let bounds: BTreeMap<_, _> = bounds.iter().cloned().collect();
    for reason in Reason::ALL {
        let bound = bounds.get(&reason).cloned().unwrap_or(0..=0);
        let count = counts.of(reason);
        assert!(bound.contains(&count), "{} woke the box {count} times in an hour, not {bound:?}", reason.word());
    }
}

#[test]
fn an_idle_office_wakes_for_keepalives_and_registrations_alone() {
    for seed in 0..6 {
        let counts = idle_hour(World::office(seed, &["101", "102"]));
        let bounds = [
            (Reason::Keepalive, KEEPALIVES),
            (Reason::Registration, REGISTRATIONS),
            (Reason::Transaction, TRANSACTIONS),
            (Reason::Binding, BINDINGS),
        ];
        assert_bounds(counts, &bounds);
    }
}

#[test]
fn a_standby_costs_one_more_wake_up_for_each_keepalive() {
    let (world, _) = World::office_of_two_edges(1, &["101", "102"]);
    let bounds = [
        (Reason::Keepalive, KEEPALIVES),
        (Reason::Standby, KEEPALIVES),
        (Reason::Registration, REGISTRATIONS),
        (Reason::Transaction, TRANSACTIONS),
        (Reason::Binding, BINDINGS),
    ];
    assert_bounds(idle_hour(world), &bounds);
}
