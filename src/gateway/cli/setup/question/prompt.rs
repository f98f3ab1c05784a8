//! How each question is put to a person.

use super::{Context, Question};
use crate::cli::setup::answers::{Answers, DOMAIN_SUFFIX, Part};
use crate::cli::setup::tunnel;

/// What a number costs, for people; the exact price stands in the invoice.
const PRICE: &str = "about 1.15 USD a month, billed by Twilio from now until it is released";

/// How a question is put to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli::setup) struct Prompt {
    /// Shown before it.
    pub lines: Vec<String>,
    pub text: String,
    /// What an empty answer means; `Some("")` when it may stay empty.
    pub default: Option<String>,
}

impl Question {
    /// How it is put to a person.
    pub fn prompt(&self, answers: &Answers, context: &Context) -> Prompt {
        let plain = |text: &str| Prompt { text: text.to_owned(), ..Prompt::default() };
        let with = |text: &str, default: String| Prompt { default: Some(default), ..plain(text) };
        let optional = |text: &str| with(text, String::new());
        match self {
            Question::AccountSid => Prompt {
                // One that was answered and did not prove right.
                default: answers.account_sid.clone(),
                ..plain("Account SID (console.twilio.com, AC...)")
            },
            Question::Token => plain("Auth token (console.twilio.com, not shown)"),
            Question::Site => with("Name of this site (a-z 0-9 -)", site_of(&context.host_name)),
            Question::Numbers => numbers_prompt(context),
            Question::Offer => offer_prompt(context),
            Question::Domain(name) => {
                with(&format!("SIP domain{}", of_several(answers, name)), self.proposal(name, answers, context))
            }
            Question::AdoptDomain(name) => {
                let domain = answers.of_environment.get(name).and_then(|known| known.domain.clone());
                let domain = domain.unwrap_or_default();
                let known = context.inventory.as_ref().and_then(|inventory| inventory.domain(&domain));
                let goes = known.and_then(|known| known.goes_to.clone());
                Prompt {
                    lines: vec![match goes {
                        Some(url) => format!("{domain} is in this account already; its calls go to {url}"),
                        None => format!("{domain} is in this account already"),
                    }],
                    ..with("Take it over for this box? (y/n)", "n".to_owned())
                }
            }
            Question::Environments => {
                with("Do you want a second environment to try things (stage)? (y/n)", "n".to_owned())
            }
            Question::Reach => tunnel::ways(answers, context),
            Question::Tunnel(key) => key.prompt(),
            Question::PublicUrl(name) | Question::OwnUrl(name) => {
                let is_here = answers.environment_names().first() == Some(name);
                tunnel::url_prompt(answers, &of_several(answers, name), is_here)
            }
            Question::Extensions => Prompt {
                lines: vec!["One extension for each phone line: names with blanks between, or how many".to_owned()],
                ..with("Extensions", "101 102".to_owned())
            },
            Question::DisplayName(name) => optional(&format!("Name shown when {name} calls (may stay empty)")),
            Question::CallerId(name) => {
                let numbers = answers.numbers.clone().unwrap_or_default();
                let first = numbers.first().cloned().unwrap_or_default();
                Prompt { lines: listed(&numbers), ..with(&format!("Number that {name} shows outside"), first) }
            }
            Question::Emergency => Prompt {
                lines: vec!["Emergency calls (911) need the address that an ambulance shall come to".to_owned()],
                ..with("Shall these phones be able to call 911? (y/n)", "y".to_owned())
            },
            Question::Address(part) => match part {
                Part::Customer => plain("Who is there (name of the person or firm)"),
                Part::Street => plain("Street and number"),
                Part::StreetSecondary => optional("Floor, room (may stay empty)"),
                Part::City => plain("City"),
                Part::Region => plain("State or province (OR)"),
                Part::PostalCode => plain("Postal code"),
                Part::Country => with("Country, two letters", "US".to_owned()),
            },
            Question::Protect => Prompt {
                lines: vec![
                    "How this box knows that a request is from Twilio: signature (the auth token stays here), or \
                     credentials (a password in the URL; the auth token is forgotten)"
                        .to_owned(),
                ],
                ..with("signature or credentials", "signature".to_owned())
            },
        }
    }

    /// A name that nobody of this account has.
    fn proposal(&self, name: &str, answers: &Answers, context: &Context) -> String {
        let site = answers.site.clone().unwrap_or_else(|| site_of(&context.host_name));
        let middle = if answers.environment_names().first().is_some_and(|first| first == name) {
            String::new()
        } else {
            format!("-{name}")
        };
        format!("{site}{middle}-{}{DOMAIN_SUFFIX}", context.suffix)
    }
}

/// A site's name that is like the machine's.
pub(super) fn site_of(host_name: &str) -> String {
    let first = host_name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let name: String = first.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect();
    let name = name.trim_matches('-');
    match name.is_empty() || name == "localhost" {
        true => "office".to_owned(),
        false => name.to_owned(),
    }
}

/// `  1  +1503...`
fn listed(items: &[String]) -> Vec<String> {
    items.iter().enumerate().map(|(at, item)| format!("{:>3}  {item}", at + 1)).collect()
}

fn numbers_prompt(context: &Context) -> Prompt {
    let known = context.inventory.as_ref().map(|inventory| inventory.numbers.as_slice()).unwrap_or_default();
    let shown: Vec<String> = known
        .iter()
        .map(|number| {
            let name = if number.friendly_name.is_empty() { "" } else { "  " };
            let goes = number.goes_to.as_ref().map(|to| format!("  (its calls go to {to} now)")).unwrap_or_default();
            format!("{}{name}{}{goes}", number.number, number.friendly_name)
        })
        .collect();
    let (lines, text, default) = match known.len() {
        0 => (
            vec!["The account has no phone number; without one the phones call each other only".to_owned()],
            "none, or buy and an area code (buy 503)",
            "none",
        ),
        _ => (
            [vec!["Numbers of the account:".to_owned()], listed(&shown)].concat(),
            "Which of them ring here: 1 2 ..., all, none; or buy and an area code (buy 503)",
            "all",
        ),
    };
    Prompt { lines, text: text.to_owned(), default: Some(default.to_owned()) }
}

fn offer_prompt(context: &Context) -> Prompt {
    match context.offers.is_empty() {
        true => Prompt {
            lines: vec!["Twilio has no number with that area code now".to_owned()],
            text: "Another area code, or none".to_owned(),
            default: Some("none".to_owned()),
        },
        false => Prompt {
            lines: [listed(&context.offers), vec![format!("A number costs {PRICE}.")]].concat(),
            text: "Which one to buy (1 2 ...), another area code, or none".to_owned(),
            default: Some("none".to_owned()),
        },
    }
}

/// ` of NAME` where there are several environments.
fn of_several(answers: &Answers, name: &str) -> String {
    if answers.environment_names().len() > 1 { format!(" of {name}") } else { String::new() }
}
