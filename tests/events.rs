//! The codes of events and the levels that each may have, as people have them in their log filters: they stay.

use gateway_core::event::{Code, Level};

const GOLDEN: &str = include_str!("golden/events.txt");

/// A code with its levels, the worst first.
fn line(code: Code) -> String {
    let has = |level: &Level| code.level() == *level || code.other_levels().contains(level);
    let levels: Vec<&str> = Level::ALL.iter().filter(|level| has(level)).map(|level| level.word()).collect();
    format!("{code} {}\n", levels.join(" "))
}

#[test]
fn codes_and_their_levels_are_those_of_the_golden_list() {
    assert_eq!(Code::ALL.iter().map(|code| line(*code)).collect::<String>(), GOLDEN);
}
