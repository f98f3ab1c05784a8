//! Answers of a DNS server that means harm, or of one that is broken: mutated with fixed seeds.

use gateway::net::dns::message::{Edns, Kind, Query, Reply};
use gateway_core::random::Random;

use crate::allocation;

const NAME: &str = "edge.example";
const KINDS: [Kind; 4] = [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr];
const ROUNDS: usize = 10_000;

/// Octets spliced in: pointers of compression to before, to behind and to themselves, lengths that are too long, types.
const TOKENS: [&[u8]; 12] = [
    b"\xc0\x0c",
    b"\xc0\x00",
    b"\xff\xff",
    b"\xc0\x1e",
    b"\x3f",
    b"\x40",
    b"\0",
    b"\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c",
    b"\0\x29\x04\xd0\0\0\0\0\0\0",
    b"\0\x2e\0\x01\0\0\0\x3c\0\x04",
    b"\0\x40\0\x01\0\0\0\x3c\xff\xff",
    b"\0\x0f\0\x01\0\0\0\x3c\0\x01\0",
];

/// A good answer with one record of the kind, after an alias.
fn good(query: &Query, kind: Kind) -> Vec<u8> {
    let mut octets = query.octets(Edns::Without);
    (octets[2], octets[3], octets[7]) = (0x81, 0x80, 2);
    octets.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x0c");
    let owner = (octets.len() - 4) as u8;
    let data: &[u8] = match kind {
        Kind::A => b"\xc0\0\x02\x01",
        Kind::Aaaa => b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
        Kind::Srv => b"\0\x01\0\x02\x13\xc5\xc0\x0c",
        Kind::Naptr => b"\0\x01\0\x02\x01s\x08SIPS+D2T\0\xc0\x0c",
    };
    octets.extend([0xc0, owner, 0, kind as u8, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
    octets.extend(data);
    octets
}

fn mutate(random: &mut Random, octets: &mut Vec<u8>) {
    let below = |random: &mut Random, bound: usize| random.below(bound.max(1) as u64) as usize;
    for _ in 0..=below(random, 4) {
        let at = below(random, octets.len());
        match random.below(5) {
            0 => octets[at] = random.u32() as u8,
            1 => octets.truncate(at.max(14)),
            2 => octets[at] ^= 1 << random.below(8),
            3 => {
                let token = TOKENS[below(random, TOKENS.len())];
                octets.splice(at..at, token.iter().copied());
            }
            _ => {
                let token = TOKENS[below(random, TOKENS.len())];
                let end = (at + token.len()).min(octets.len());
                octets.splice(at..end, token.iter().copied());
            }
        }
    }
}

#[test]
fn no_answer_of_a_dns_server_brings_the_service_down_or_makes_it_take_memory() {
    let mut random = Random::from_number(53);
    let mut understood = 0;
    for round in 0..ROUNDS {
        let kind = KINDS[round % KINDS.len()];
        let query = Query::new(7, NAME, kind).unwrap();
        let mut octets = good(&query, kind);
        assert!(matches!(query.read(&octets), Reply::Found { records, .. } if records.len() == 1), "{kind:?}");
        mutate(&mut random, &mut octets);
        let (reply, taken) = allocation::octets_of(|| query.read(&octets));
        assert!(taken < 256 * 1024, "{taken} octets for {octets:x?}");
        understood += usize::from(matches!(reply, Reply::Found { records, .. } if !records.is_empty()));
    }
    // The mutations are small enough to reach what stands behind the first check.
    assert!(understood > ROUNDS / 20, "{understood}");
}

#[test]
fn aliases_and_pointers_that_make_work_are_bounded() {
    let query = Query::new(7, NAME, Kind::A).unwrap();
    let mut octets = query.octets(Edns::Without);
    (octets[2], octets[3]) = (0x81, 0x80);
    // Each name points to the one before it.
    let mut before = 12_u16;
    let mut count = 0_u16;
    while count < 256 {
        let [high, low] = (0xc000 | before).to_be_bytes();
        before = octets.len() as u16;
        octets.extend([1, b'x', high, low, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, high, low]);
        count += 1;
    }
    octets[6..8].copy_from_slice(&count.to_be_bytes());
    let (reply, taken) = allocation::octets_of(|| query.read(&octets));
    assert!(!matches!(reply, Reply::Stray), "{reply:?}");
    assert!(taken < 4 * 1024 * 1024, "{taken} octets");
}
