//! Which questions are open, how each is asked, and what an answer to it changes. Pure.

mod prompt;

pub(super) use prompt::Prompt;

use super::answers::{Answers, DOMAIN_SUFFIX, OfExtension, Part, Protect};
use super::inventory::Inventory;
use super::tunnel::{self, UrlBy};
use gateway_core::config::{MAX_EXTENSIONS, rules};

/// Most extensions that are numbered by a count ("5").
const MAX_COUNTED: usize = 99;

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
    /// How Twilio reaches this box.
    Reach,
    Tunnel(tunnel::Need),
    PublicUrl(String),
    /// The same, where the tunnel may tell it.
    OwnUrl(String),
    Extensions,
    DisplayName(String),
    CallerId(String),
    Emergency,
    Address(Part),
    Protect,
}

/// What questions depend on beside the answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    /// The account, once it has answered.
    pub inventory: Option<Inventory>,
    /// What can be bought in `buy_area_code`, once it was searched.
    pub offers: Vec<String>,
    /// This machine's name.
    pub host_name: String,
    /// Makes proposed domain names unique.
    pub suffix: String,
    /// Whether that program is on this machine.
    pub has_cloudflared: bool,
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
    ask(context.inventory.is_none(), Question::Token);
    ask(answers.site.is_none(), Question::Site);
    ask(answers.numbers.is_none() && answers.buy_area_code.is_none(), Question::Numbers);
    ask(answers.buy_area_code.is_some() && context.inventory.is_some(), Question::Offer);
    let environments = answers.environment_names();
    for (at, name) in environments.iter().enumerate() {
        let known = answers.of_environment.get(name).cloned().unwrap_or_default();
        let in_account = known.domain.as_ref().and_then(|domain| context.inventory.as_ref()?.domain(domain));
        let taken = in_account.is_some_and(|domain| !domain.is_ours) && known.adopt != Some(true);
        ask(known.domain.is_none(), Question::Domain(name.clone()));
        ask(taken, Question::AdoptDomain(name.clone()));
        ask(at == 0 && answers.environments.is_none(), Question::Environments);
    }
    let is_known = |name: &String| answers.of_environment.get(name).is_some_and(|known| known.public_url.is_some());
    let has_way = tunnel::driver(answers).is_some() || environments.first().is_some_and(is_known);
    ask(!has_way, Question::Reach);
    for key in tunnel::missing(answers) {
        ask(true, Question::Tunnel(key));
    }
    for (at, name) in environments.iter().enumerate() {
        // The tunnel is that of the environment that this box runs.
        let (is_open, name) = (!is_known(name), name.clone());
        match if at == 0 { tunnel::url_by(answers) } else { UrlBy::Person } {
            UrlBy::Person => ask(is_open, Question::PublicUrl(name)),
            UrlBy::Either => ask(is_open, Question::OwnUrl(name)),
            UrlBy::Tunnel => {}
        }
    }
    ask(answers.extensions.is_none(), Question::Extensions);
    let numbers = answers.numbers.as_deref().unwrap_or_default();
    for extension in answers.extensions.iter().flatten() {
        ask(extension.display_name.is_none(), Question::DisplayName(extension.name.clone()));
        // One number is everybody's number.
        ask(extension.caller_id.is_none() && numbers.len() > 1, Question::CallerId(extension.name.clone()));
    }
    // Twilio refuses an emergency call that does not come from a number of the account (TWILIO.md "Emergency caller").
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
                | Question::Reach
                | Question::OwnUrl(_)
                | Question::DisplayName(_)
                | Question::Protect
                | Question::Address(Part::StreetSecondary)
        )
    }

    /// Answers what need not be asked as most would.
    pub fn take_default(&self, answers: &mut Answers) {
        match self {
            Question::Environments => answers.environments = Some(answers.environment_names()),
            Question::Reach => drop(answers.tunnel.insert("driver".to_owned(), "none".into())),
            Question::OwnUrl(name) => answers.environment(name).public_url = Some(String::new()),
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
            Question::Reach => (
                "way in for Twilio",
                "--public-url, --tunnel-server or --tunnel-command".to_owned(),
                "[tunnel]".to_owned(),
            ),
            Question::Tunnel(key) => {
                ("tunnel", format!("--tunnel-{}", key.key()), format!("{} in [tunnel]", key.key()))
            }
            Question::PublicUrl(name) | Question::OwnUrl(name) => {
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
            Question::Reach => tunnel::choose(text, answers)?,
            Question::Tunnel(key) => key.put(text, answers)?,
            Question::OwnUrl(name) if text.is_empty() => answers.environment(name).public_url = Some(String::new()),
            Question::PublicUrl(name) | Question::OwnUrl(name) => {
                answers.environment(name).public_url = Some(rules::public_url(text.trim_end_matches('/'))?);
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
        gateway_core::config::DEFAULT_ENVIRONMENT => flag.to_owned(),
        name => format!("{flag} {name}=..."),
    }
}

fn extension<'a>(answers: &'a mut Answers, name: &str) -> Option<&'a mut OfExtension> {
    answers.extensions.as_mut()?.iter_mut().find(|extension| extension.name == name)
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("is neither; write y or n".to_owned()),
    }
}

/// The item of a number from 1.
fn pick<'a>(text: &str, items: &'a [String]) -> Option<&'a str> {
    let at: usize = text.parse().ok()?;
    items.get(at.checked_sub(1)?).map(String::as_str)
}

fn put_numbers(text: &str, answers: &mut Answers, context: &Context) -> Result<(), String> {
    let known: Vec<String> = context
        .inventory
        .iter()
        .flat_map(|inventory| inventory.numbers.iter().map(|number| number.number.clone()))
        .collect();
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
