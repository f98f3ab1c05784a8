//! The first run: asks what is open, keeps every answer at once, and leaves a config file. The thin layer between
//! [`super::question`] and a person.

use std::path::Path;

use super::answers::Answers;
use super::arguments::SetupArguments;
use super::inventory::{self, Inventory};
use super::question::{self, Context, Prompt, Question};
use super::{ask, file, login, render, tunnel, validate};
use crate::cli::{account, failed, random, told};
use crate::config_file;
use crate::store::{Existing, Store};
use crate::twilio::client::{Client, Count};
use crate::twilio::login::Login;
use gateway_account::numbers::{self, Search};
use gateway_core::config::tunnel::Driver;
use gateway_core::config::{self, Config};
use gateway_core::random::Random;
use gateway_core::secrets::Secrets;

/// Numbers that are offered at once.
const OFFERS: usize = 8;

/// What makes a proposed domain unique: so many of these.
const SUFFIX: usize = 4;
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The first run, until the config file stands.
pub(super) struct Wizard<'a> {
    path: &'a Path,
    arguments: &'a SetupArguments,
    is_asking: bool,
    answers: Answers,
    context: Context,
    store: Store,
    secrets: Secrets,
    client: Option<Client>,
}

/// Asks for all that is not known and writes the file. Gives what was asked of Twilio, or nothing when a person did not
/// want the file written.
pub(super) fn run(path: &Path, arguments: &SetupArguments) -> Result<Option<Count>, Vec<String>> {
    let mut given = given(arguments)?;
    let mistakes = validate::mistakes(&mut given);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    // Where state lives depends on what was given for the file itself.
    let store = crate::cli::open_store(&skeleton(&given, path)?)?;
    let _lock = store.lock(&mut account::print_note).map_err(failed)?;
    let secrets = told(store.secrets().map_err(failed)?);
    let kept = match arguments.anew {
        true => Answers::default(),
        false => kept(&store)?,
    };
    if kept != Answers::default() {
        account::print_note("going on with what was answered before (\"gateway setup --anew\" asks all of it again)");
    }
    let mut random = random()?;
    let suffix = suffix(&mut random);
    let mut wizard = Wizard {
        path,
        arguments,
        is_asking: !arguments.yes && ask::is_possible(),
        answers: given.or(kept),
        context: Context {
            host_name: file::host_name(),
            suffix,
            has_cloudflared: file::is_program("cloudflared"),
            ..Context::default()
        },
        store,
        secrets,
        client: None,
    };
    wizard.keep()?;
    match wizard.is_asking {
        true => wizard.converse()?,
        false => wizard.complete()?,
    }
    wizard.finish()
}

/// A suffix of a proposed domain.
pub(super) fn suffix(random: &mut Random) -> String {
    (0..SUFFIX).map(|_| char::from(ALPHABET[random.below(ALPHABET.len() as u64) as usize])).collect()
}

/// What flags and the answers file say; flags win.
fn given(arguments: &SetupArguments) -> Result<Answers, Vec<String>> {
    let flags = arguments.told.answers(&arguments.buy)?;
    match &arguments.answers {
        Some(path) => Ok(flags.or(file::answers(path).map_err(failed)?)),
        None => Ok(flags),
    }
}

/// What a run that was stopped had been told.
fn kept(store: &Store) -> Result<Answers, Vec<String>> {
    match store.answers().map_err(failed)? {
        None => Ok(Answers::default()),
        Some(text) => Ok(Answers::read(&text).unwrap_or_else(|wrong| {
            account::print_note(&format!(
                "warning: the answers that were kept cannot be understood ({wrong}); asking again"
            ));
            Answers::default()
        })),
    }
}

/// A config with these answers and with something in the place of those that are missing: for what must be known before
/// all is answered, and for mistakes in `--set`.
fn skeleton(answers: &Answers, path: &Path) -> Result<Config, Vec<String>> {
    let mut whole = answers.clone();
    whole.account_sid.get_or_insert_with(|| format!("AC{}", "0".repeat(32)));
    whole.site.get_or_insert_with(|| "site".to_owned());
    whole.emergency = Some(false);
    if !tunnel::missing(&whole).is_empty() {
        whole.tunnel.clear();
    }
    for (at, name) in whole.environment_names().into_iter().enumerate() {
        let of = whole.environment(&name);
        of.domain.get_or_insert_with(|| format!("site-{at}.sip.twilio.com"));
        of.public_url.get_or_insert_with(|| "https://site.example.com".to_owned());
    }
    parsed(&render::render(&whole), path)
}

fn parsed(text: &str, path: &Path) -> Result<Config, Vec<String>> {
    let host = config_file::host()
        .map_err(|error| failed(format!("the interfaces of this host cannot be listed: {error}")))?;
    let told = |error: &config::ConfigError| format!("{} (--set gives any key of gateway.toml)", error.message);
    config::parse(text, &path.display().to_string(), &host).map_err(|errors| errors.iter().map(told).collect())
}

impl Wizard<'_> {
    /// What was answered lasts.
    fn keep(&self) -> Result<(), Vec<String>> {
        let text = self.answers.write().map_err(failed)?;
        self.store.save_answers(&text).map_err(failed)
    }

    /// Asks until nothing is open.
    fn converse(&mut self) -> Result<(), Vec<String>> {
        println_error(&format!(
            "This asks for what {} must say. Ctrl-C stops it at any point; the next run goes on from there.",
            self.path.display()
        ));
        loop {
            self.drop_unknown_numbers();
            let Some(question) = question::open(&self.answers, &self.context).into_iter().next() else { return Ok(()) };
            match question {
                Question::Token => self.log_in()?,
                Question::Offer => {
                    self.search()?;
                    self.ask(&Question::Offer)?;
                }
                question => self.ask(&question)?,
            }
            self.keep()?;
        }
    }

    /// One question, until its answer is right.
    fn ask(&mut self, question: &Question) -> Result<(), Vec<String>> {
        let prompt = question.prompt(&self.answers, &self.context);
        prompt.lines.iter().for_each(|line| println_error(line));
        loop {
            let text = ask::text(&prompt).map_err(interrupted)?;
            match question.put(&text, &mut self.answers, &self.context) {
                Ok(()) => return Ok(()),
                Err(wrong) => println_error(&format!("  {text:?} {wrong}")),
            }
        }
    }

    /// Asks nothing: what is missing is told all at once.
    fn complete(&mut self) -> Result<(), Vec<String>> {
        let has_token = self.token()?.is_some();
        self.require(|question| *question != Question::Token || !has_token)?;
        self.log_in()?;
        if let Some(code) = self.answers.buy_area_code.clone() {
            self.search()?;
            let first = self.context.offers.first().cloned();
            let none = || failed(format!("Twilio has no number with area code {code} now; try another one"));
            question::buy(first.ok_or_else(none)?, &mut self.answers);
        }
        let unknown = self.unknown_numbers();
        if !unknown.is_empty() {
            let told = |number: &String| format!("{number} is not in the account; --buy {number} buys it");
            return Err(unknown.iter().map(told).collect());
        }
        self.require(|_| true)?;
        while let Some(question) = question::open(&self.answers, &self.context).into_iter().next() {
            question.take_default(&mut self.answers);
        }
        self.keep()
    }

    /// Nothing that must be told is open.
    fn require(&self, counts: impl Fn(&Question) -> bool) -> Result<(), Vec<String>> {
        let open = question::open(&self.answers, &self.context).into_iter();
        let mut missing: Vec<String> =
            open.filter(|question| question.is_required() && counts(question)).map(|open| open.missing()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.insert(0, format!("{} is to be written, and not all is known that it must say", self.path.display()));
        if !self.arguments.yes {
            missing.push("this is no terminal to ask on; \"gateway setup --help\" shows all flags".to_owned());
        }
        Err(missing)
    }

    /// The token that was given in some way.
    fn token(&self) -> Result<Option<gateway_core::secret::Secret<String>>, Vec<String>> {
        if let Some(token) = account::token_from_environment()? {
            return Ok(Some(token));
        }
        match &self.answers.auth_token {
            Some(token) => account::checked_token(token.expose()).map(Some),
            None => Ok(self.secrets.auth_token.clone()),
        }
    }

    /// Finds out whether account SID and token are right, and what the account has. The token is kept when it is.
    fn log_in(&mut self) -> Result<(), Vec<String>> {
        let mut known = self.token()?;
        loop {
            let token = match known.take() {
                Some(token) => token,
                None => ask::token(&Question::Token.prompt(&self.answers, &self.context))?,
            };
            let config = skeleton(&self.answers, self.path)?;
            let owned = told(self.store.owned().map_err(failed)?);
            let login = Login::token(&config.twilio.account_sid, &token);
            let mut client = account::client(&config, &self.store, &login, self.arguments.trace)?;
            match inventory::read(&mut client, &owned) {
                Ok(inventory) => {
                    self.secrets.auth_token = Some(token);
                    return self.welcome(inventory, client);
                }
                Err(error) if self.is_asking && login::is_refused(&error) => {
                    login::tell_refused(&error);
                    self.ask(&Question::AccountSid)?;
                    self.keep()?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn welcome(&mut self, inventory: Inventory, client: Client) -> Result<(), Vec<String>> {
        if !inventory.standing.is_active() {
            // The next run may be told another account.
            self.answers.account_sid = None;
            self.keep()?;
            let (name, status) = (&inventory.standing.friendly_name, &inventory.standing.status);
            let way = "Twilio takes no changes and no calls; see console.twilio.com";
            return Err(failed(format!("account {name:?} is {status}: {way}")));
        }
        self.store.save_secrets(&self.secrets).map_err(failed)?;
        inventory::greeting(&inventory.standing).iter().for_each(|line| println_error(line));
        self.context.inventory = Some(inventory);
        self.client = Some(client);
        Ok(())
    }

    /// Looks for numbers to buy.
    fn search(&mut self) -> Result<(), Vec<String>> {
        self.context.offers.clear();
        let Some(client) = &mut self.client else { return Ok(()) };
        let search =
            Search { country: "US".to_owned(), area_code: self.answers.buy_area_code.clone(), ..Search::default() };
        match numbers::find(client, &search) {
            Ok(found) => {
                self.context.offers = found.into_iter().take(OFFERS).map(|offer| offer.phone_number).collect();
                Ok(())
            }
            // No such area code: told with the next question.
            Err(numbers::NumberError::NoSuch { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Numbers that were named, are not in the account and may not be bought.
    fn unknown_numbers(&self) -> Vec<String> {
        let Some(inventory) = &self.context.inventory else { return Vec::new() };
        let numbers = self.answers.numbers.iter().flatten();
        numbers.filter(|number| !inventory.has_number(number) && !self.answers.buy.contains(number)).cloned().collect()
    }

    fn drop_unknown_numbers(&mut self) {
        let unknown = self.unknown_numbers();
        if !unknown.is_empty() {
            println_error(&format!("  {} is not in the account", unknown.join(", ")));
            self.answers.numbers = None;
        }
    }

    /// What a person has to do for the tunnel.
    fn tell_of_tunnel(&self, config: &Config) {
        let is_program_here = match &config.tunnel.driver {
            Driver::Command(program) => program.argv.first().is_some_and(|name| file::is_program(name)),
            _ => true,
        };
        let key = crate::cli::tunnel::key_line(config, &self.store).ok();
        tunnel::to_do(config, key.as_deref(), is_program_here).iter().for_each(|line| println_error(line));
    }

    /// Writes the file.
    fn finish(mut self) -> Result<Option<Count>, Vec<String>> {
        let mut text = render::render(&self.answers);
        let config = parsed(&text, self.path)?;
        let existing = if self.path.exists() { Existing::Replace } else { Existing::Keep };
        if existing == Existing::Replace && self.is_asking {
            let question = format!(
                "{} is there. Replace it? The old one is kept as {} (y/n)",
                self.path.display(),
                crate::store::former_config(self.path).display()
            );
            let prompt = Prompt { text: question, default: Some("n".to_owned()), ..Prompt::default() };
            if !ask::yes(&prompt).map_err(interrupted)? {
                return Ok(None);
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        file::write(self.path, &text, existing).map_err(failed)?;
        println_error(&format!("wrote {}", self.path.display()));
        self.tell_of_tunnel(&config);
        // Leave to buy is needed until it is bought; all else stands in the file now.
        self.answers = Answers { buy: std::mem::take(&mut self.answers.buy), ..Answers::default() };
        match self.answers.buy.is_empty() {
            true => self.store.remove_answers().map_err(failed)?,
            false => self.keep()?,
        }
        Ok(Some(self.client.map(|client| client.count).unwrap_or_default()))
    }
}

/// A line for the person who is asked: beside what the command prints.
pub(super) fn println_error(line: &str) {
    crate::cli::print_error(line);
}

/// The terminal went away.
pub(super) fn interrupted(error: impl std::fmt::Display) -> Vec<String> {
    failed(format!("no answer ({error}); what was answered is kept, run \"gateway setup\" to go on"))
}
