//! What waits between the thread that reads datagrams and the engine: who is next, and who gives way.
//!
//! The rule: no host takes the turn of another. A datagram waits in one of six lanes: it seems to begin an emergency
//! call, it belongs to something in progress, or it is another; and it comes from the address of a registered phone, or
//! from elsewhere. Each lane has its turns in each round, so that none waits for ever. Inside a lane each slot has one
//! turn after the other, a token bucket, and its part of the room. Slots are taken by a hash with a seed, so there is
//! nothing to fill: of a phone by address and port, of others by address ([`HOSTS`]) and then by port
//! ([`PORTS`]). While datagrams are dropped the seed changes within [`RESEED`]: a repetition has other neighbors.
//! Pure: time is an argument.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::bucket::{Bucket, Rate};
use gateway_core::engine::glance::Glance;
use gateway_core::time::Instant;

/// Slots that hosts are spread over, in each lane.
const HOSTS: u64 = 32;
/// Slots of one host, by its ports: two phones behind one address do not share everything.
const PORTS: u64 = 8;
const SLOTS: usize = (HOSTS * PORTS) as usize;

/// Most datagrams that wait in a slot, and most octets of them.
const SLOT_DATAGRAMS: usize = 64;
const SLOT_OCTETS: usize = 64 * 1024;
/// Most octets that wait in a lane. Beyond it the fullest slot gives way.
pub const LANE_OCTETS: usize = 192 * 1024;
/// What a datagram costs beside its octets.
const OVERHEAD: usize = 128;

pub const LANES: usize = 6;
/// Turns of each lane in a round, by [`lane`].
const TURNS: [u32; LANES] = [8, 8, 8, 8, 2, 4];

/// What an address and port may send: a phone, which may be a PBX of hundreds of extensions, and a stranger.
const OF_PHONE: Rate = Rate::per_second(1000, 2000);
const OF_STRANGER: Rate = Rate::per_second(100, 500);

/// Below the first repetition of a request (RFC 3261 section 17.1.1.1, T1 is 500 ms).
const RESEED: Duration = Duration::from_millis(400);

/// One that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Our socket.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Datagram {
    fn cost(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// All that wait.
#[derive(Debug)]
pub struct Queues {
    lanes: [Lane; LANES],
    phones: BTreeSet<SocketAddr>,
    /// Whose turn it is, and how many turns it has left.
    turn: usize,
    left: u32,
    seed: u64,
    reseeded: Instant,
    dropped: u64,
}

impl Queues {
    /// Nothing waits.
    pub fn new(seed: u64) -> Queues {
        Queues {
            lanes: std::array::from_fn(|lane| Lane::new(if lane < LANES / 2 { OF_PHONE } else { OF_STRANGER })),
            phones: BTreeSet::new(),
            turn: 0,
            left: TURNS[0],
            seed,
            reseeded: Instant::ZERO,
            dropped: 0,
        }
    }

    /// The addresses that phones are registered from now.
    pub fn set_phones(&mut self, phones: BTreeSet<SocketAddr>) {
        self.phones = phones;
    }

    /// How many were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes one in. Whether it may have its turn; else it is dropped.
    pub fn push(&mut self, now: Instant, glance: Glance, datagram: Datagram) -> bool {
        let is_phone = self.phones.contains(&datagram.remote);
        let slot = self.slot(is_phone, datagram.remote);
        let room = self.lanes[lane(is_phone, glance)].push(now, slot, datagram);
        let dropped = match room {
            Room::Free => return true,
            Room::Taken(dropped) | Room::None(dropped) => dropped,
        };
        self.dropped += dropped;
        if now.since(self.reseeded) >= RESEED {
            self.reseeded = now;
            self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(now.as_micros());
        }
        matches!(room, Room::Taken(_))
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Datagram> {
        for _ in 0..=LANES {
            if self.left > 0
                && let Some(datagram) = self.lanes[self.turn].pop()
            {
                self.left -= 1;
                return Some(datagram);
            }
            self.turn = (self.turn + 1) % LANES;
            self.left = TURNS[self.turn];
        }
        None
    }

    fn slot(&self, is_phone: bool, remote: SocketAddr) -> usize {
        let address = remote.ip().to_canonical();
        let of_host = self.hash(address, 0) % HOSTS;
        let of_port = self.hash(address, remote.port()) % if is_phone { SLOTS as u64 } else { PORTS };
        // A lane is walked host by host, so that one with many ports comes once where others come once.
        let slot = if is_phone { of_port } else { of_port * HOSTS + of_host };
        slot as usize
    }

    fn hash(&self, address: IpAddr, port: u16) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, address, port).hash(&mut hasher);
        hasher.finish()
    }
}

/// The lane of a datagram.
fn lane(is_phone: bool, glance: Glance) -> usize {
    let of_kind = match glance {
        Glance::Emergency => 0,
        Glance::InProgress => 1,
        Glance::Other => 2,
    };
    if is_phone { of_kind } else { LANES / 2 + of_kind }
}

/// How a lane took a datagram in, and how many were dropped for it.
enum Room {
    Free,
    /// Others gave way.
    Taken(u64),
    /// It was dropped itself.
    None(u64),
}

#[derive(Debug)]
struct Lane {
    slots: Vec<Slot>,
    octets: usize,
    /// The slot that is next.
    next: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    queue: VecDeque<Datagram>,
    octets: usize,
    bucket: Bucket,
}

impl Lane {
    fn new(rate: Rate) -> Lane {
        let slot = Slot { queue: VecDeque::new(), octets: 0, bucket: Bucket::new(rate) };
        Lane { slots: vec![slot; SLOTS], octets: 0, next: 0 }
    }

    fn push(&mut self, now: Instant, slot: usize, datagram: Datagram) -> Room {
        let cost = datagram.cost();
        let into = &mut self.slots[slot];
        let is_full = into.queue.len() >= SLOT_DATAGRAMS || into.octets + cost > SLOT_OCTETS + OVERHEAD;
        if is_full || into.bucket.take(now).is_err() {
            return Room::None(1);
        }
        into.octets += cost;
        into.queue.push_back(datagram);
        self.octets += cost;
        let mut dropped = 0;
        while self.octets > LANE_OCTETS {
            let fullest = (0..SLOTS).max_by_key(|slot| self.slots[*slot].octets).unwrap_or(slot);
            // The newest: those before it have waited longer.
            self.take(fullest, VecDeque::pop_back);
            dropped += 1;
            if fullest == slot {
                return Room::None(dropped);
            }
        }
        if dropped == 0 { Room::Free } else { Room::Taken(dropped) }
    }

    fn pop(&mut self) -> Option<Datagram> {
        if self.octets == 0 {
            return None;
        }
        let slot =
            (0..SLOTS).map(|step| (self.next + step) % SLOTS).find(|slot| !self.slots[*slot].queue.is_empty())?;
        self.next = (slot + 1) % SLOTS;
        self.take(slot, VecDeque::pop_front)
    }

    fn take(&mut self, slot: usize, end: impl FnOnce(&mut VecDeque<Datagram>) -> Option<Datagram>) -> Option<Datagram> {
        let slot = &mut self.slots[slot];
        let datagram = end(&mut slot.queue)?;
        slot.octets -= datagram.cost();
        self.octets -= datagram.cost();
        if slot.queue.is_empty() {
            // What a flood needed goes back.
            slot.queue = VecDeque::new();
        }
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the engine of a small box takes in a second.
    const SERVED: u64 = 1000;
    const FLOOD: u64 = 30_000;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn datagram(remote: SocketAddr, text: &str) -> Datagram {
        Datagram { local: at("192.168.1.1:5060"), remote, bytes: text.as_bytes().to_vec() }
    }

    /// One second of a flood, with a request of `remote` each 20 ms and its repetition 500 ms later where it was dropped
    /// or not served within 200 ms. How many of 50 were served in time.
    fn served(
        seed: u64,
        phones: &[SocketAddr],
        remote: SocketAddr,
        glance: Glance,
        flood: impl Fn(u64) -> (SocketAddr, Glance),
    ) -> usize {
        let mut queues = Queues::new(seed);
        queues.set_phones(phones.iter().copied().collect());
        let (mut served, mut due) = (BTreeSet::new(), BTreeSet::new());
        for micros in (0..2_000_000).step_by(1_000_000 / FLOOD as usize) {
            let now = Instant::from_micros(micros);
            let (from, seems) = flood(micros);
            queues.push(now, seems, datagram(from, &"x".repeat(400)));
            let step = micros / 20_000;
            for number in [Some(step), step.checked_sub(25)].into_iter().flatten().filter(|number| *number < 50) {
                if due.insert((number, step)) && !served.contains(&number) {
                    queues.push(now, glance, datagram(remote, &number.to_string()));
                }
            }
            if micros % (1_000_000 / SERVED) < 1_000_000 / FLOOD
                && let Some(next) = queues.pop()
                && next.remote == remote
                && next.bytes.len() < 400
            {
                served.insert(String::from_utf8(next.bytes).unwrap().parse::<u64>().unwrap());
            }
        }
        served.len()
    }

    #[test]
    fn a_phone_and_a_stranger_are_served_beside_the_flood_of_a_host() {
        let flooder = at("192.168.1.66:5060");
        for seed in 0..2 {
            for (glance, flood) in [
                (Glance::Other, Glance::Other),
                (Glance::InProgress, Glance::InProgress),
                (Glance::Other, Glance::Emergency),
            ] {
                let phone = at("192.168.1.101:5060");
                assert_eq!(served(seed, &[phone], phone, glance, |_| (flooder, flood)), 50, "{seed}");
                assert_eq!(served(seed, &[], phone, glance, |_| (flooder, flood)), 50, "{seed}");
            }
        }
    }

    #[test]
    fn an_emergency_call_has_its_turn_from_behind_the_address_of_the_flood_and_among_forged_ones() {
        let caller = at("192.168.1.66:6000");
        for seed in 0..2 {
            let one = served(seed, &[], caller, Glance::Emergency, |_| (at("192.168.1.66:5060"), Glance::Other));
            assert_eq!(one, 50, "{seed}: another port of the host");
            let same = served(seed, &[], caller, Glance::Emergency, |_| (caller, Glance::Other));
            assert_eq!(same, 50, "{seed}: the same port");
            let all = served(seed, &[], caller, Glance::Emergency, |n| (forged(n), Glance::Other));
            assert_eq!(all, 50, "{seed}: forged addresses");
            let all = served(seed, &[caller], caller, Glance::Emergency, |n| (forged(n), Glance::Emergency));
            assert_eq!(all, 50, "{seed}: a registered phone while everybody seems to call for help");
        }
    }

    /// A source address of its own for each datagram.
    fn forged(number: u64) -> SocketAddr {
        SocketAddr::from(((number as u32).wrapping_mul(2_654_435_761).to_be_bytes(), (number % 60_000) as u16 + 1024))
    }

    #[test]
    fn a_registered_phone_is_served_whatever_comes_from_forged_addresses() {
        let phone = at("192.168.1.101:5060");
        for seed in 0..2 {
            for flood in [Glance::Other, Glance::InProgress, Glance::Emergency] {
                assert_eq!(
                    served(seed, &[phone], phone, Glance::Other, |n| (forged(n), flood)),
                    50,
                    "{seed} {flood:?}"
                );
            }
        }
    }

    #[test]
    fn a_host_with_many_ports_leaves_the_turns_of_others() {
        let phone = at("192.168.1.101:5060");
        for seed in 0..2 {
            let ports = |n: u64| (SocketAddr::from(([192, 168, 1, 66], (n % 60_000) as u16 + 1)), Glance::Other);
            assert!(served(seed, &[], phone, Glance::Other, ports) >= 48, "{seed}");
        }
    }

    #[test]
    fn what_waits_is_bounded_and_comes_out_whole_and_in_order() {
        let mut queues = Queues::new(7);
        let mut kept = 0;
        for number in 0..200_000_u64 {
            let size = (number % 2000) as usize;
            let now = Instant::from_micros(number);
            kept += usize::from(queues.push(now, Glance::Other, datagram(forged(number), &"x".repeat(size))));
            assert!(queues.lanes.iter().all(|lane| lane.octets <= LANE_OCTETS));
        }
        let waiting = std::iter::from_fn(|| queues.pop()).count();
        assert!(waiting <= kept && waiting > 100, "{waiting} {kept}");
        assert_eq!(queues.dropped(), 200_000 - waiting as u64);
        assert!(queues.lanes.iter().all(|lane| lane.octets == 0));
        assert!(queues.lanes.iter().flat_map(|lane| &lane.slots).all(|slot| slot.queue.capacity() == 0));

        let phone = at("192.168.1.101:5060");
        for number in 0..40 {
            assert!(queues.push(Instant::from_secs(10), Glance::Other, datagram(phone, &number.to_string())));
        }
        let came: Vec<_> =
            std::iter::from_fn(|| queues.pop()).map(|one| String::from_utf8(one.bytes).unwrap()).collect();
        assert_eq!(came, (0..40).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn the_largest_datagram_has_room() {
        let mut queues = Queues::new(1);
        let largest = datagram(at("192.168.1.101:5060"), &"x".repeat(65_507));
        assert!(queues.push(Instant::ZERO, Glance::Other, largest.clone()));
        assert_eq!(queues.pop(), Some(largest));
    }
}
