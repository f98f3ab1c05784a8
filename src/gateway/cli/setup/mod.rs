//! `gateway setup`: from nothing, or from a config, to a finished account; safe to run again at any time.

mod answers;
mod arguments;
mod ask;
mod file;
mod inventory;
mod login;
mod no_echo;
mod proof;
mod question;
mod render;
mod tunnel;
mod validate;
mod wizard;

use std::collections::BTreeSet;
use std::path::Path;

pub(super) use arguments::SetupArguments;
pub(super) use ask::{is_possible as is_possible_to_ask, unseen as ask_unseen};

use super::account::{self, Opened, Purpose};
use super::show::{self, Colours};
use super::{apply, failed};
use crate::store::Existing;
use crate::twilio::client::Count;
use crate::twilio::public_url;
use answers::{Answers, DOMAIN_SUFFIX};
use gateway_account::account::{AccountError, Scope};
use gateway_account::apply::ApplyError;
use gateway_account::key;
use gateway_account::plan::{Change, Plan};
use gateway_account::progress::Progress;
use gateway_core::config::{Config, Protection};
use question::Prompt;

/// Exit code when the account is done and the proof failed.
const UNPROVED: u8 = 3;

/// How many names are proposed in the place of one that is taken.
const PROPOSALS: usize = 3;

/// How the changes went.
enum Outcome {
    /// The account was as the config wants it.
    Unchanged,
    /// So many changes were made.
    Applied(usize),
    /// A person said no.
    Declined,
}

/// The exit code, or why it failed.
pub(super) fn run(path: &Path, environment: Option<&str>, arguments: &SetupArguments) -> Result<u8, Vec<String>> {
    if arguments.print_answers {
        super::print(answers::EXAMPLE);
        return Ok(0);
    }
    let mut asked = Count::default();
    let is_first = arguments.wizard || !path.exists();
    if is_first {
        match wizard::run(path, arguments)? {
            Some(count) => asked = count,
            None => {
                super::print("nothing was changed\n");
                return Ok(0);
            }
        }
    } else if !arguments.told.is_empty() || arguments.answers.is_some() {
        account::print_note(&format!(
            "{} is there and says it all; --wizard writes it anew from answers",
            path.display()
        ));
    }
    let setup = Setup { path, arguments, is_asking: !arguments.yes && ask::is_possible(), asked };
    setup.run(environment, is_first)
}

/// Set-up of an account by a config file.
struct Setup<'a> {
    path: &'a Path,
    arguments: &'a SetupArguments,
    is_asking: bool,
    /// What the wizard asked of Twilio.
    asked: Count,
}

impl Setup<'_> {
    fn run(&self, environment: Option<&str>, is_first: bool) -> Result<u8, Vec<String>> {
        login::provide(self.path, self.arguments, self.is_asking)?;
        let mut opened = account::open(self.path, Purpose::Change, self.arguments.trace)?;
        let scope = account::scope(&opened.config, environment)?;
        let result = self.provision(&mut opened, &scope, is_first);
        let count = self.count(&opened);
        let (outcome, problems) = match result {
            Ok(done) => done,
            Err(lines) => {
                super::print(&count);
                return Err(lines);
            }
        };
        if matches!(outcome, Outcome::Declined) {
            super::print(&format!("{count}nothing was changed\n"));
            return Ok(0);
        }
        // Leave to buy, kept by the wizard, has been used.
        opened.store.remove_answers().map_err(failed)?;
        forget_token(&mut opened)?;
        // The service writes the tunnel's URL to Twilio when it is proved, which the proofs below wait for.
        opened.unlock();
        let proved = self.arguments.no_prove || proof::prove(&mut opened, self.arguments, self.is_asking)?;
        super::print(&plug_in(&opened.config));
        super::print(&self.count(&opened));
        match outcome {
            Outcome::Applied(1) => super::print("applied 1 change\n"),
            Outcome::Applied(changes) => super::print(&format!("applied {changes} changes\n")),
            _ => super::print("nothing to change\n"),
        }
        // Told last and with exit code 1: the account is not what the config says.
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(if proved { 0 } else { UNPROVED })
    }

    fn count(&self, opened: &Opened) -> String {
        format!("setup: {}\n", self.asked + opened.client.count)
    }

    /// Login, plan, question, changes. Gives the problems that no change can mend, too.
    fn provision(
        &self,
        opened: &mut Opened,
        scope: &Scope,
        is_first: bool,
    ) -> Result<(Outcome, Vec<String>), Vec<String>> {
        login::verify(opened, self.is_asking, !is_first)?;
        // Passwords are on disk before Twilio has them.
        opened.mint();
        opened.save_secrets()?;
        let buy = self.may_buy(opened)?;
        let mut made = 0;
        let mut is_agreed = self.arguments.yes;
        loop {
            let plan = opened.account().plan(scope, &buy).map_err(failed)?;
            super::print(&show::text(&plan, Colours::of_stdout()));
            let wants_key =
                !self.arguments.no_api_key && opened.secrets.api_key.is_none() && opened.secrets.auth_token.is_some();
            if wants_key {
                super::print(&format!("  + make an API key for this box, gateway-{}\n", opened.config.site.name));
            }
            if plan.changes.is_empty() && !wants_key {
                let outcome = if made == 0 { Outcome::Unchanged } else { Outcome::Applied(made) };
                return Ok((outcome, plan.problems));
            }
            if !is_agreed && !apply::agreed("apply this?", "gateway setup --yes")? {
                return Ok((Outcome::Declined, plan.problems));
            }
            is_agreed = true;
            if wants_key {
                make_key(opened)?;
                made += 1;
            }
            apply::announce(opened, &plan)?;
            let (done, result) = self.apply(opened, &plan);
            made += done;
            // The account knows more now than when it was opened.
            opened.read_owned()?;
            match result {
                Ok(()) => return Ok((Outcome::Applied(made), plan.problems)),
                Err(AccountError::Apply(ApplyError::DomainTaken { name, .. })) if self.is_asking => {
                    self.take_another_domain(opened, &name)?;
                }
                Err(error) => {
                    let way = "what was done is recorded: run \"gateway setup\" again to go on, or \"gateway undo\" to \
                               go back";
                    return Err(vec![error.to_string(), way.to_owned()]);
                }
            }
        }
    }

    /// Makes the changes; gives how many were requests to Twilio, also when one failed.
    fn apply(&self, opened: &mut Opened, plan: &Plan) -> (usize, Result<(), AccountError>) {
        let (mut done, mut is_request) = (0, false);
        let mut listener = |progress: Progress<'_>| {
            match &progress {
                Progress::Begins { change, .. } => is_request = !matches!(change, Change::Forget(_)),
                Progress::Done if is_request => done += 1,
                _ => {}
            }
            apply::print_progress(&progress);
        };
        let result = opened.account().apply(plan, &mut listener);
        match result {
            Ok(requests) => (requests, Ok(())),
            Err(error) => (done, Err(error)),
        }
    }

    /// Numbers that may be bought: by flag, or by a word to the wizard.
    fn may_buy(&self, opened: &Opened) -> Result<BTreeSet<String>, Vec<String>> {
        let kept = opened.store.answers().map_err(failed)?;
        let kept = kept.and_then(|text| Answers::read(&text).ok()).unwrap_or_default().buy;
        let buy: BTreeSet<String> = self.arguments.buy.iter().cloned().chain(kept).collect();
        match buy.iter().find(|number| opened.config.number(number).is_none()) {
            None => Ok(buy),
            Some(number) => Err(failed(format!(
                "--buy {number}: it is not in {}; add a [[number]] with it, or run \"gateway number buy {number}\"",
                self.path.display()
            ))),
        }
    }

    /// The name belongs to another customer of Twilio: a person chooses another, and the file says so.
    fn take_another_domain(&self, opened: &mut Opened, taken: &str) -> Result<(), Vec<String>> {
        wizard::println_error(&format!(
            "SIP domain {taken} belongs to another customer of Twilio, or its name is not allowed (21232)"
        ));
        let site = &opened.config.site.name;
        let proposals: Vec<String> =
            (0..PROPOSALS).map(|_| format!("{site}-{}{DOMAIN_SUFFIX}", wizard::suffix(&mut opened.random))).collect();
        let prompt = Prompt {
            lines: proposals.iter().map(|name| format!("  {name}")).collect(),
            text: "Another SIP domain".to_owned(),
            default: proposals.first().cloned(),
        };
        prompt.lines.iter().for_each(|line| wizard::println_error(line));
        let is_there = |config: &Config, name: &str| config.environments.iter().any(|of| of.domain == name);
        let new = loop {
            let text = ask::text(&prompt).map_err(wizard::interrupted)?;
            match question::domain(text.trim(), &Answers::default()) {
                Ok(new) if is_there(&opened.config, &new) => wizard::println_error("  that one is in the file already"),
                Ok(new) => break new,
                Err(wrong) => wizard::println_error(&format!("  {text:?} {wrong}")),
            }
        };
        let shown = self.path.display();
        let text = std::fs::read_to_string(self.path).map_err(|error| failed(format!("{shown}: {error}")))?;
        let by_hand = || failed(format!("{shown}: write domain = \"{new}\" in the place of {taken}, and run it again"));
        let text = render::with_domain(&text, taken, &new).ok_or_else(by_hand)?;
        file::write(self.path, &text, Existing::Replace).map_err(failed)?;
        wizard::println_error(&format!("wrote {shown}"));
        opened.config = public_url::in_force(super::load(self.path)?, &opened.store);
        Ok(())
    }
}

/// Makes the API key, and goes on with it when it works.
fn make_key(opened: &mut Opened) -> Result<(), Vec<String>> {
    let Opened { config, store, secrets, owned, client, .. } = opened;
    let Some(token) = secrets.auth_token.clone() else { return Ok(()) };
    client.authenticate(&config.twilio.account_sid, &token);
    key::ensure(client, &config.site.name, secrets, owned, store).map_err(failed)?;
    login::use_key(opened)
}

/// Where credentials protect the webhooks and an API key works, nothing needs the auth token any more.
fn forget_token(opened: &mut Opened) -> Result<(), Vec<String>> {
    let is_needed = opened.config.webhook.protect == Protection::Signature || opened.secrets.api_key.is_none();
    if is_needed || opened.secrets.auth_token.is_none() || opened.store.has_lent_token() {
        return Ok(());
    }
    opened.secrets.auth_token = None;
    opened.save_token()?;
    if let Some(path) = opened.store.remove_bad_secrets().map_err(failed)? {
        super::print(&format!("{} is removed: the auth token may be in it\n", path.display()));
    }
    super::print(
        "the auth token is forgotten: the API key does the rest, and webhooks have credentials in their URLs\n",
    );
    Ok(())
}

/// What to enter into the phones.
fn plug_in(config: &Config) -> String {
    super::warn_of_lan(config);
    let servers: Vec<String> =
        config.lan.listen.iter().map(|at| format!("server {} port {}", at.ip(), at.port())).collect();
    let servers = if servers.is_empty() { "no server yet".to_owned() } else { servers.join(" or ") };
    let mut text = "plug in (README-client.md has the menus of common phones):\n".to_owned();
    for extension in &config.extensions {
        let name = &extension.name;
        let display = extension.display_name.as_ref().map(|display| format!(" ({display})")).unwrap_or_default();
        text += &format!("  {name}{display}: {servers}, user {name}; \"gateway handset {name}\" shows the password\n");
    }
    text
}
