//! Who calls, as a person here sees it. Pure; phones and webhooks ask the same.
//!
//! Rule: an outside caller is shown by its number or name, but never as what only this box may say: a colleague, the
//! emergency service. A caller who withholds the number is shown as withheld, however that is spelled.

use crate::config::Config;
use crate::sip::dialled::{Dialled, digits};

/// What a person sees where the number is withheld (RFC 3323 section 4.1.1.3), and what a `<Sip>` noun can carry.
pub const ANONYMOUS: &str = "anonymous";

/// Words for a withheld number, which Twilio passes on as they come; also as a keypad spells them, which its older half
/// does (TWILIO.md "Webhook of a call to a number").
const WITHHELD: [&str; 7] = ["anonymous", "restricted", "blocked", "unknown", "unavailable", "private", "withheld"];

/// What may stand behind such a word.
const CALLER: [&str; 4] = ["caller", "callerid", "number", "id"];

/// Longest name or number that is shown, in octets.
const MAX_SHOWN: usize = 32;

/// How an outside caller is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By this number, or this name of letters, digits and `+-_.` (what a `<Sip>` noun can carry).
    As(String),
    /// It withholds the number, or shows one that nobody outside can have.
    Withheld,
}

impl Shown {
    /// The user part of From.
    pub fn text(&self) -> &str {
        match self {
            Shown::As(text) => text,
            Shown::Withheld => ANONYMOUS,
        }
    }
}

/// How a caller outside is shown, who says that it is `from`: the user part of a URI, blank where there is none.
pub fn shown(config: &Config, from: &str) -> Shown {
    let from = match digits(from) {
        Some((plus, digits)) => format!("{}{digits}", if plus { "+" } else { "" }),
        None => from.trim().to_owned(),
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+-_.".contains(&b);
    let fits = (1..=MAX_SHOWN).contains(&from.len()) && from.bytes().all(is_plain);
    match fits && !is_withheld(&from) && !is_ours_to_say(config, &from) {
        true => Shown::As(from),
        false => Shown::Withheld,
    }
}

/// Whether a caller's name or number says that there is none.
pub fn is_withheld(from: &str) -> bool {
    let word: String = from.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let is_caller = |rest: &str| CALLER.contains(&rest);
    let is = |name: &str| match word.strip_prefix(name) {
        Some(rest) => rest.is_empty() || is_caller(rest),
        None => word.bytes().eq(name.bytes().map(key)),
    };
    word.is_empty() || word.strip_prefix("no").is_some_and(is_caller) || WITHHELD.into_iter().any(is)
}

/// The key of a letter on a telephone (ITU-T E.161).
fn key(letter: u8) -> u8 {
    const KEYS: &[u8; 26] = b"22233344455566677778889999";
    KEYS[usize::from(letter.wrapping_sub(b'a')).min(25)]
}

/// Whether it is a name or number that only this box may show: an extension, a colleague's name, an emergency number.
fn is_ours_to_say(config: &Config, from: &str) -> bool {
    let plain = from.trim_start_matches('+');
    let is = |name: &str| name.eq_ignore_ascii_case(from) || name.eq_ignore_ascii_case(plain);
    let is_colleague = config.extensions.iter().any(|e| is(&e.name) || e.display_name.as_deref().is_some_and(is));
    is_colleague || config.emergency.numbers.wanted(&Dialled::Text(from.to_owned()), |_| false).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    fn seen(from: &str) -> Shown {
        let office = OfficeFile::new().extension("101").with("display_name", "Front Desk").extension("reception");
        shown(&office.config(), from)
    }

    #[test]
    fn an_outside_caller_is_shown_by_its_number_or_name() {
        for (from, text) in [
            ("+15035550111", "+15035550111"),
            ("5035550111", "5035550111"),
            ("+1 (503) 555-0111", "+15035550111"),
            ("+17378742833", "+17378742833"),
            ("alice", "alice"),
            ("Anon-Band", "Anon-Band"),
        ] {
            assert_eq!(seen(from), Shown::As(text.into()), "{from}");
        }
    }

    #[test]
    fn a_withheld_number_is_withheld_in_words_on_a_keypad_and_blank() {
        for from in [
            "",
            " ",
            "+",
            "anonymous",
            "Anonymous",
            "RESTRICTED",
            "Private Number",
            "unknown caller",
            "No Caller ID",
            "Unavailable",
            "+266696687",
            "266696687",
            "+7378742833",
            "+2562533",
            "+8656696",
            "+86282452253",
            "+7748283",
            "+94844353",
        ] {
            assert_eq!(seen(from), Shown::Withheld, "{from:?}");
        }
    }

    #[test]
    fn nobody_outside_is_shown_as_a_colleague_or_as_the_emergency_service() {
        for from in [
            "101",
            "+101",
            "1-0-1",
            "Reception",
            "front desk",
            "911",
            "+911",
            "+1911",
            "9911",
            "112",
            "933",
            "sos",
            "*67911",
            "a<b>",
            "caf\u{e9}",
            "\u{ff11}\u{ff10}\u{ff11}",
            &"5".repeat(40),
        ] {
            assert_eq!(seen(from), Shown::Withheld, "{from:?}");
        }
        assert_eq!(seen("1010"), Shown::As("1010".into()));
    }
}
