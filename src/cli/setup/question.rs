//! Which questions are open, how each is asked, and what an answer to it changes. Pure.

use super::answers::{Answers, DOMAIN_SUFFIX, OfExtension, Part, Protect};
use super::facts::Facts;
use crate::config::{MAX_EXTENSIONS, rules};

/// Most extensions that are numbered by a count ("5").
const MAX_COUNTED: usize = 99;

/// What a number costs, for people; the exact price stands in the invoice.
const PRICE: &str = "about 1.15 USD a month, billed by Twilio from now until it is released";

/// Something that set-up must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    AccountSid,
    /// The auth token; its answer goes to the secrets, never to the answers.
    Token,
    Site,
    Numbers,
    /// Which of the numbers on offer is bought.
    Offer,
    Domain(String),
    AdoptDomain(String),
    Environments,
    PublicUrl(String),
    Extensions,
    DisplayName(String),
    CallerId(String),
    Emergency,
    Address(Part),
    Protect,
}

/// How a question is put to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Shown before it.
    pub lines: Vec<String>,
    pub text: String,
    /// What an empty answer means; `Some("")` when it may stay empty.
    pub default: Option<String>,
}

/// What questions depend on beside the answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    /// The account, once it has answered.
    pub facts: Option<Facts>,
    /// What can be bought in `buy_area_code`, once it was searched.
    pub offers: Vec<String>,
    /// This machine's name.
    pub host_name: String,
    /// Makes proposed domain names unique.
    pub suffix: String,
}

/// All open questions as far as they can be known by now, in the order in which they are asked.
pub(super) fn open(answers: &Answers, context: &Context) -> Vec<Question> {
    let mut open = Vec::new();
    let mut ask = |is_open: bool, question: Question| {
        if is_open {
            open.push(question);
        }
    };
    ask(answers.account_sid.is_none(), Question::AccountSid);
    ask(context.facts.is_none(), Question::Token);
    ask(answers.site.is_none(), Question::Site);
    ask(answers.numbers.is_none() && answers.buy_area_code.is_none(), Question::Numbers);
    ask(answers.buy_area_code.is_some() && context.facts.is_some(), Question::Offer);
    let environments = answers.environment_names();
    for (at, name) in environments.iter().enumerate() {
        let known = answers.of_environment.get(name).cloned().unwrap_or_default();
        let in_account = known.domain.as_ref().and_then(|domain| context.facts.as_ref()?.domain(domain));
        let taken = in_account.is_some_and(|domain| !domain.is_ours) && known.adopt != Some(true);
        ask(known.domain.is_none(), Question::Domain(name.clone()));
        ask(taken, Question::AdoptDomain(name.clone()));
        ask(at == 0 && answers.environments.is_none(), Question::Environments);
    }
    for name in &environments {
        let is_known = answers.of_environment.get(name).is_some_and(|known| known.public_url.is_some());
        ask(!is_known, Question::PublicUrl(name.clone()));
    }
    ask(answers.extensions.is_none(), Question::Extensions);
    let numbers = answers.numbers.as_deref().unwrap_or_default();
    for extension in answers.extensions.iter().flatten() {
        ask(extension.display_name.is_none(), Question::DisplayName(extension.name.clone()));
        // One number is everybody's number.
        ask(extension.caller_id.is_none() && numbers.len() > 1, Question::CallerId(extension.name.clone()));
    }
    // Twilio refuses an emergency call that does not come from a number of the account (twilio.md 8).
    let has_number = !numbers.is_empty() || answers.buy_area_code.is_some() || answers.numbers.is_none();
    ask(has_number && answers.wants_emergency().is_none(), Question::Emergency);
    if has_number && answers.wants_emergency() == Some(true) {
        for part in Part::ALL {
            ask(answers.address.part(part).is_none(), Question::Address(part));
        }
    }
    ask(answers.protect.is_none(), Question::Protect);
    open
}

impl Question {
    /// Whether an unattended set-up must be told; the others have an answer that is right for most.
    pub fn is_required(&self) -> bool {
        !matches!(
            self,
            Question::Environments
                | Question::DisplayName(_)
                | Question::Protect
                | Question::Address(Part::StreetSecondary)
        )
    }

    /// Answers what need not be asked as most would.
    pub fn take_default(&self, answers: &mut Answers) {
        match self {
            Question::Environments => answers.environments = Some(answers.environment_names()),
            Question::DisplayName(name) => {
                if let Some(extension) = extension(answers, name) {
                    extension.display_name = Some(String::new());
                }
            }
            Question::Protect => answers.protect = Some(Protect::Signature),
            Question::Address(part) => *answers.address.part_mut(*part) = Some(String::new()),
            _ => {}
        }
    }

    /// What is missing, and the flag and the key that say it.
    pub fn missing(&self) -> String {
        let (what, flag, key) = match self {
            Question::AccountSid => ("account SID", "--account-sid".to_owned(), "account_sid".to_owned()),
            Question::Token => {
                return "the auth token is missing: put it into the environment as TWILIO_AUTH_TOKEN, or into the \
                        answers file as auth_token"
                    .to_owned();
            }
            Question::Site => ("name of the site", "--site".to_owned(), "site".to_owned()),
            Question::Numbers => ("choice of numbers", "--number or --no-number".to_owned(), "numbers".to_owned()),
            Question::Offer => ("number to buy", "--buy".to_owned(), "buy".to_owned()),
            Question::Domain(name) => {
                ("SIP domain", flagged("--domain", name), format!("domain in [environment.{name}]"))
            }
            Question::AdoptDomain(name) => (
                "leave to take over a SIP domain that is in the account already",
                format!("--adopt-domain {name}"),
                format!("adopt in [environment.{name}]"),
            ),
            Question::Environments => ("list of environments", "--environments".to_owned(), "environments".to_owned()),
            Question::PublicUrl(name) => {
                ("public URL", flagged("--public-url", name), format!("public_url in [environment.{name}]"))
            }
            Question::Extensions => ("list of extensions", "--extension".to_owned(), "[[extension]]".to_owned()),
            Question::DisplayName(name) => {
                ("display name", format!("--extension {name}=DISPLAY"), format!("display_name of extension {name}"))
            }
            Question::CallerId(name) => {
                ("caller ID", format!("--caller-id {name}=NUMBER"), format!("caller_id of extension {name}"))
            }
            Question::Emergency => (
                "word about emergency calls",
                "--no-emergency, or the --address-... flags".to_owned(),
                "emergency".to_owned(),
            ),
            Question::Address(part) => {
                let key = part.key();
                ("address", format!("--address-{}", key.replace('_', "-")), format!("{key} in [address]"))
            }
            Question::Protect => ("protection", "--protect".to_owned(), "protect".to_owned()),
        };
        format!("the {what} is missing: {flag}, or {key} in the answers file")
    }

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
            Question::Domain(name) => with("SIP domain", self.proposal(name, answers, context)),
            Question::AdoptDomain(name) => {
                let domain = answers.of_environment.get(name).and_then(|known| known.domain.clone());
                let domain = domain.unwrap_or_default();
                let known = context.facts.as_ref().and_then(|facts| facts.domain(&domain));
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
            Question::PublicUrl(name) => {
                let of = if answers.environment_names().len() > 1 { format!(" of {name}") } else { String::new() };
                Prompt {
                    lines: vec![
                        "Twilio asks this box what to do with a call, by a URL of yours: a tunnel (cloudflared, ngrok, \
                         your own proxy) that ends here at 127.0.0.1:8080"
                            .to_owned(),
                    ],
                    ..plain(&format!("Public URL{of} (https://...)"))
                }
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

    /// Writes an answer down, or says what is wrong with it and the way out.
    pub fn put(&self, text: &str, answers: &mut Answers, context: &Context) -> Result<(), String> {
        let text = text.trim();
        match self {
            Question::AccountSid => answers.account_sid = Some(rules::account_sid(text)?),
            Question::Token => return Err("the auth token is kept elsewhere".to_owned()),
            Question::Site => answers.site = Some(rules::site_name(text)?),
            Question::Numbers => put_numbers(text, answers, context)?,
            Question::Offer => put_offer(text, answers, context)?,
            Question::Domain(name) => {
                let domain = domain(text, answers)?;
                let twice = answers
                    .of_environment
                    .iter()
                    .find(|(other, of)| *other != name && of.domain.as_deref() == Some(&domain));
                if let Some((other, _)) = twice {
                    return Err(format!("is the domain of environment {other}; give {name} another one"));
                }
                answers.environment(name).domain = Some(domain);
            }
            Question::AdoptDomain(name) => match yes_or_no(text)? {
                true => answers.environment(name).adopt = Some(true),
                // Asked for another one.
                false => answers.environment(name).domain = None,
            },
            Question::Environments => {
                let mut names = answers.environment_names();
                if yes_or_no(text)? {
                    names.push("stage".to_owned());
                }
                answers.environments = Some(names);
            }
            Question::PublicUrl(name) => {
                answers.environment(name).public_url = Some(rules::base_url(text.trim_end_matches('/'))?);
            }
            Question::Extensions => answers.extensions = Some(extensions(text)?),
            Question::DisplayName(name) => {
                let shown = if text.is_empty() { String::new() } else { rules::display(text)? };
                if let Some(extension) = extension(answers, name) {
                    extension.display_name = Some(shown);
                }
            }
            Question::CallerId(name) => {
                let numbers = answers.numbers.clone().unwrap_or_default();
                let number = match pick(text, &numbers) {
                    Some(number) => number.to_owned(),
                    None => rules::e164(text)?,
                };
                if !numbers.contains(&number) {
                    return Err(format!("is none of the numbers of this site; write one of {}", numbers.join(", ")));
                }
                if let Some(extension) = extension(answers, name) {
                    extension.caller_id = Some(number);
                }
            }
            Question::Emergency => answers.emergency = Some(yes_or_no(text)?),
            Question::Address(part) => *answers.address.part_mut(*part) = Some(address_line(*part, text)?),
            Question::Protect => {
                answers.protect = Some(match text.to_ascii_lowercase().as_str() {
                    "signature" | "s" => Protect::Signature,
                    "credentials" | "c" => Protect::Credentials,
                    _ => return Err("is neither; write signature or credentials".to_owned()),
                });
            }
        }
        Ok(())
    }
}

fn flagged(flag: &str, environment: &str) -> String {
    match environment {
        crate::config::DEFAULT_ENVIRONMENT => flag.to_owned(),
        name => format!("{flag} {name}=..."),
    }
}

fn extension<'a>(answers: &'a mut Answers, name: &str) -> Option<&'a mut OfExtension> {
    answers.extensions.as_mut()?.iter_mut().find(|extension| extension.name == name)
}

/// A site's name that is like the machine's.
fn site_of(host_name: &str) -> String {
    let first = host_name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let name: String = first.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect();
    let name = name.trim_matches('-');
    match name.is_empty() || name == "localhost" {
        true => "office".to_owned(),
        false => name.to_owned(),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("is neither; write y or n".to_owned()),
    }
}

/// `  1  +1503...`
fn listed(items: &[String]) -> Vec<String> {
    items.iter().enumerate().map(|(at, item)| format!("{:>3}  {item}", at + 1)).collect()
}

/// The item of a number from 1.
fn pick<'a>(text: &str, items: &'a [String]) -> Option<&'a str> {
    let at: usize = text.parse().ok()?;
    items.get(at.checked_sub(1)?).map(String::as_str)
}

fn numbers_prompt(context: &Context) -> Prompt {
    let known = context.facts.as_ref().map(|facts| facts.numbers.as_slice()).unwrap_or_default();
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

fn put_numbers(text: &str, answers: &mut Answers, context: &Context) -> Result<(), String> {
    let known: Vec<String> =
        context.facts.iter().flat_map(|facts| facts.numbers.iter().map(|number| number.number.clone())).collect();
    let mut numbers: Vec<String> = Vec::new();
    let mut area_code = None;
    let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_str() {
            "none" => {}
            "all" => numbers.clone_from(&known),
            "buy" => area_code = Some(self::area_code(words.next().unwrap_or_default())?),
            _ => {
                let number = match pick(word, &known) {
                    Some(number) => number.to_owned(),
                    None => {
                        rules::e164(word).map_err(|wrong| format!("\"{word}\" {wrong}, or its place in the list"))?
                    }
                };
                if !known.contains(&number) {
                    return Err(format!("{number} is not in the account; write its place in the list, or none"));
                }
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
        }
    }
    answers.numbers = Some(numbers);
    answers.buy_area_code = area_code;
    Ok(())
}

/// Three digits (North American numbering).
pub(super) fn area_code(text: &str) -> Result<String, String> {
    match text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("is no area code; write three digits, \"buy 503\"".to_owned()),
    }
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

fn put_offer(text: &str, answers: &mut Answers, context: &Context) -> Result<(), String> {
    if text.eq_ignore_ascii_case("none") {
        answers.buy_area_code = None;
        answers.numbers.get_or_insert_default();
        return Ok(());
    }
    if let Some(number) = pick(text, &context.offers) {
        buy(number.to_owned(), answers);
        return Ok(());
    }
    answers.buy_area_code = Some(area_code(text).map_err(|_| {
        "is not in the list; write a place in it, three digits of another area code, or none".to_owned()
    })?);
    Ok(())
}

/// One of the offers is taken.
pub(super) fn buy(number: String, answers: &mut Answers) {
    let numbers = answers.numbers.get_or_insert_default();
    if !numbers.contains(&number) {
        numbers.push(number.clone());
    }
    if !answers.buy.contains(&number) {
        answers.buy.push(number);
    }
    answers.buy_area_code = None;
}

/// A SIP domain; the part before the first dot is enough.
pub(super) fn domain(text: &str, answers: &Answers) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let whole = if text.contains('.') { text } else { format!("{text}{DOMAIN_SUFFIX}") };
    let whole = rules::host(&whole)?;
    let at_twilio = whole.strip_suffix(DOMAIN_SUFFIX).is_some_and(|name| !name.is_empty() && !name.contains('.'));
    match at_twilio || answers.set.contains_key("trunk.servers") {
        true => Ok(whole),
        false => Err(format!("is not at Twilio; write NAME{DOMAIN_SUFFIX}")),
    }
}

fn extensions(text: &str) -> Result<Vec<OfExtension>, String> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let named = |name: String| OfExtension { name, ..OfExtension::default() };
    if let [count] = words[..]
        && let Ok(count) = count.parse::<usize>()
        && (1..=MAX_COUNTED).contains(&count)
    {
        return Ok((101..101 + count).map(|number| named(number.to_string())).collect());
    }
    let mut names: Vec<String> = Vec::new();
    for word in words {
        let name = extension_name(word).map_err(|wrong| format!("{word:?} {wrong}"))?;
        if names.contains(&name) {
            return Err(format!("{name} is there twice; write it once"));
        }
        names.push(name);
    }
    match names.len() {
        0 => Err("is empty; name one extension at least, \"101\"".to_owned()),
        1..=MAX_EXTENSIONS => Ok(names.into_iter().map(named).collect()),
        _ => Err(format!("are more than {MAX_EXTENSIONS}; a box takes no more")),
    }
}

/// The name of an extension, which is no emergency number.
pub(super) fn extension_name(text: &str) -> Result<String, String> {
    match text {
        "911" | "933" => Err("is an emergency number; give it another name".to_owned()),
        text => rules::extension(text),
    }
}

pub(super) fn address_line(part: Part, text: &str) -> Result<String, String> {
    if text.is_empty() {
        return match part {
            Part::StreetSecondary => Ok(String::new()),
            _ => Err("is empty; an emergency service needs it".to_owned()),
        };
    }
    match part {
        Part::Country => rules::country(&text.to_ascii_uppercase()),
        _ => rules::postal(text),
    }
}

#[cfg(test)]
mod tests;
