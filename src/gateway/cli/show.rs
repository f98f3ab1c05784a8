//! A plan as people read it.

use std::fmt::Write as _;
use std::io::IsTerminal;

use gateway_account::grouping::groups;
use gateway_account::plan::{Change, Plan};
use gateway_core::config::ACCOUNT;
use gateway_core::plain::{is_plain, plain_lines};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Whether colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

impl Colours {
    /// On a terminal, unless `NO_COLOR` (no-color.org) or a terminal that cannot say otherwise.
    pub(super) fn of_stdout() -> Colours {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb {
            true => Colours::On,
            false => Colours::Off,
        }
    }

    /// Of what does not work.
    pub(super) fn red(self, text: &str) -> String {
        self.paint(RED, text)
    }

    /// Of what may not work.
    pub(super) fn yellow(self, text: &str) -> String {
        self.paint(YELLOW, text)
    }

    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Colours::On => format!("{colour}{text}{RESET}"),
            Colours::Off => text.to_owned(),
        }
    }
}

/// A change's sign and colour.
fn look(change: &Change) -> (char, &'static str) {
    match change {
        Change::Create(_) | Change::Buy(_) | Change::Upload(_) | Change::Build { .. } => ('+', GREEN),
        Change::Update(_)
        | Change::Replace { .. }
        | Change::Restore { .. }
        | Change::Await { .. }
        | Change::Deploy { .. }
        | Change::Forget(_) => ('~', YELLOW),
        Change::Remove(_) => ('-', RED),
    }
}

/// The plan as text, problems left out: they are errors and go to stderr.
pub(super) fn text(plan: &Plan, colours: Colours) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for note in &plan.notes {
        let _ = writeln!(text, "note: {}", plain_lines(note));
    }
    for (name, changes) in groups(plan) {
        let title = match name {
            ACCOUNT => "shared by all environments".to_owned(),
            name => format!("environment {name}"),
        };
        let _ = writeln!(text, "{}", colours.paint(BOLD, &format!("{title}:")));
        for change in changes {
            let (sign, colour) = look(change);
            // What stands at Twilio is not for the terminal to obey.
            let steps = plain_lines(&format!("{change:#}")).replace('\n', "\n  ");
            let _ = writeln!(text, "  {}", colours.paint(colour, &format!("{sign} {steps}")));
        }
    }
    let _ = writeln!(text, "{}", summary(plan));
    text
}

/// What a command writes, for the terminal that it may go to: all but plain text, ends of lines and our own colours is
/// escaped as in JSON. Texts from outside have lost it before; what passes by accident, or in JSON, ends here.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let own = [GREEN, YELLOW, RED, BOLD, RESET].into_iter().find(|colour| rest.starts_with(colour));
        let len = own.map_or(c.len_utf8(), str::len);
        match own.is_some() || c == '\n' || is_plain(c) {
            true => shown.push_str(&rest[..len]),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}"))),
        }
        rest = &rest[len..];
    }
    shown
}

/// `3 to create, 1 to change, 2 to delete`, or that there is nothing.
fn summary(plan: &Plan) -> String {
    let count = |sign: char| plan.changes.iter().filter(|change| look(change).0 == sign).count();
    let parts: Vec<String> = [('+', "create"), ('~', "change"), ('-', "delete")]
        .into_iter()
        .map(|(sign, word)| (count(sign), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} to {word}"))
        .collect();
    match parts.is_empty() {
        true => "nothing to change".to_owned(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_account::model::{Id, Kind, Resource, Value};
    use gateway_account::owned::Record;
    use gateway_account::plan::{FieldChange, Held, Standing, Update};
    use gateway_core::setting::Setting;

    fn plan() -> Plan {
        let text = |text: &str| Value::Text(Setting::new(text));
        let list = Id::new(Kind::CredentialList, "gateway-office-prod");
        let domain = Id::new(Kind::Domain, "office.sip.twilio.com");
        Plan {
            changes: vec![
                Change::Create(Resource {
                    environment: "stage".to_owned(),
                    id: Id::new(Kind::Application, "gateway-office-stage"),
                    parent: None,
                    key_of: None,
                    fields: vec![
                        ("VoiceUrl".to_owned(), text("https://u:geheim@stage.example.com/twilio/incoming")),
                        ("VoiceFallbackUrl".to_owned(), text("")),
                    ],
                    password: None,
                }),
                Change::Update(Update {
                    id: domain,
                    environment: "prod".to_owned(),
                    former: None,
                    sid: "SD1".to_owned(),
                    parent_sid: None,
                    standing: Standing::Ours,
                    fields: vec![FieldChange {
                        param: "FriendlyName".to_owned(),
                        from: Setting::new("old\x1b[2J"),
                        to: text("gateway-office-prod"),
                    }],
                    password: None,
                }),
                Change::Remove(Held {
                    id: list.clone(),
                    environment: "prod".to_owned(),
                    sid: "CL1".to_owned(),
                    parent_sid: None,
                    content: Default::default(),
                }),
                Change::Forget(Record {
                    id: Id::new(Kind::UsageTrigger, "gateway-office-daily"),
                    environment: ACCOUNT.to_owned(),
                    sid: None,
                    parent_sid: None,
                    made: true,
                    changed: Default::default(),
                    fingerprint: None,
                }),
            ],
            problems: Vec::new(),
            notes: vec!["AP9 is left as it is".to_owned()],
        }
    }

    #[test]
    fn a_plan_is_shown_by_environment_with_a_sign_for_each_change_and_no_secret() {
        assert_eq!(
            text(&plan(), Colours::Off),
            "note: AP9 is left as it is\n\
             shared by all environments:\n  \
             ~ forget usage trigger gateway-office-daily, no longer wanted and not at Twilio\n\
             environment prod:\n  \
             ~ change SIP domain office.sip.twilio.com\n      \
             set FriendlyName to gateway-office-prod (was old[2J)\n  \
             - delete credential list gateway-office-prod (CL1), ours and no longer wanted\n\
             environment stage:\n  \
             + create TwiML app gateway-office-stage\n      \
             VoiceUrl https://***@stage.example.com/twilio/incoming\n      \
             no VoiceFallbackUrl\n\
             1 to create, 2 to change, 1 to delete\n"
        );
        assert_eq!(text(&Plan::default(), Colours::Off), "nothing to change\n");
    }

    #[test]
    fn what_is_written_to_a_terminal_holds_our_colours_and_no_other_command() {
        let painted = format!("{}\n", Colours::On.red("red"));
        assert_eq!(printable(&painted), painted);
        for (text, shown) in [
            ("{\"name\": \"gnp\u{202e}.exe\u{2028}\"}", "{\"name\": \"gnp\\u202e.exe\\u2028\"}"),
            ("\x1b]0;title\x07 \x1b[2J\u{9b}31m", "\\u001b]0;title\\u0007 \\u001b[2J\\u009b31m"),
            ("\u{e0041}\r\tx", "\\udb40\\udc41\\u000d\\u0009x"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn on_a_terminal_what_is_made_is_green_what_changes_yellow_and_what_goes_red() {
        let shown = text(&plan(), Colours::On);
        for part in [
            "\x1b[1menvironment prod:\x1b[0m\n",
            "  \x1b[33m~ change SIP domain office.sip.twilio.com\n      set FriendlyName to gateway-office-prod (was old[2J)\x1b[0m\n",
            "  \x1b[31m- delete credential list gateway-office-prod (CL1), ours and no longer wanted\x1b[0m\n",
            "  \x1b[32m+ create TwiML app gateway-office-stage\n",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown:?}");
        }
    }
}
