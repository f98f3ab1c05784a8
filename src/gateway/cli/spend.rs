//! `gateway spend`: what phones used outside of what they may, and whether a usage trigger has stopped that.

use std::path::Path;

use super::status::columns;
use super::{Done, failed, in_force};
use gateway_core::status::usage::Usage;

/// What is asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Show,
    Resume,
}

pub(super) fn run(path: &Path, wish: Wish, json: bool) -> Done {
    let command = match wish {
        Wish::Show => "spend",
        Wish::Resume => "spend resume",
    };
    let answer = in_force::ask(path, command, super::ask::TIMEOUT).map_err(failed)?;
    let usage: Usage = serde_json::from_str(&answer)
        .map_err(|error| failed(format!("the service answers something else: {error}; is it of the same version?")))?;
    super::print(&if json { answer } else { table(&usage) });
    Ok(())
}

fn table(usage: &Usage) -> String {
    let of = |used: u64, allowed: u64| format!("{used} of {allowed}");
    let mut rows = vec![["extension", "calls now", "minutes, 24 hours", "new numbers, 1 hour"].map(str::to_owned)];
    rows.extend(usage.extensions.iter().map(|one| {
        [
            one.name.clone(),
            of(one.calls as u64, one.allowed_calls as u64),
            of(one.minutes.into(), one.allowed_minutes.into()),
            of(one.new_numbers.into(), one.allowed_new_numbers.into()),
        ]
    }));
    rows.push([
        "all".to_owned(),
        String::new(),
        of(usage.minutes.into(), usage.allowed_minutes.into()),
        of(usage.new_numbers.into(), usage.allowed_new_numbers.into()),
    ]);
    let stopped = usage.stopped.as_deref().unwrap_or("calls outside: open");
    format!("{stopped}\n{}", columns(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::status::usage::ExtensionUsage;

    #[test]
    fn the_table_shows_what_was_used_of_what_may_be() {
        let one = ExtensionUsage {
            name: "101".to_owned(),
            calls: 1,
            allowed_calls: 4,
            minutes: 12,
            allowed_minutes: 240,
            new_numbers: 0,
            allowed_new_numbers: 20,
        };
        let usage = Usage {
            extensions: vec![one],
            minutes: 12,
            allowed_minutes: 960,
            allowed_new_numbers: 80,
            ..Usage::default()
        };
        let shown = table(&usage);
        for text in ["calls outside: open", "1 of 4", "12 of 240", "0 of 20", "12 of 960", "0 of 80"] {
            assert!(shown.contains(text), "{shown}");
        }
        assert!(
            table(&Usage { stopped: Some("calls outside are stopped".to_owned()), ..usage })
                .starts_with("calls outside are")
        );
    }
}
