//! The command line: arguments to a command, a command to an exit code. [`arguments`] is how it is written.

mod account;
mod apply;
mod arguments;
mod ask;
mod backup;
mod check;
mod destroy;
mod dial;
mod extension;
mod handset;
mod history;
mod in_force;
mod metrics;
mod number;
mod passphrase;
mod plan;
mod promote;
mod reload;
mod restore;
mod run;
mod setup;
mod show;
mod spend;
mod status;
mod tunnel;
mod undo;
mod upgrade;

use std::io::Write;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config_file;
use crate::net::clock::Clock;
use crate::store::{Loaded, Store};
use arguments::{Arguments, Command, Extension, Number, Spend, Tunnel};
use gateway_core::config::Config;
use gateway_core::random::Random;

/// Exit code of a command that could not do its work.
const FAILURE: u8 = 1;

/// Exit code of `gateway plan` when there is something to change.
const CHANGES: u8 = 2;

/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h): clap's own, 2, would look like a plan with changes.
const USAGE: u8 = 64;

/// A command's answer: `Err` holds the lines to print, each behind `gateway: `.
type Done = Result<(), Vec<String>>;

/// Runs the command line of this process. Exit codes: [`arguments::EXIT_CODES`].
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(exit_code(&error));
        }
    };
    match run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(lines) => {
            lines.iter().for_each(|line| account::print_note(line));
            ExitCode::from(FAILURE)
        }
    }
}

/// Help and version are errors to clap, and go to stdout with 0.
fn exit_code(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => USAGE,
    }
}

/// The exit code of a command that did its work.
fn run(arguments: Arguments) -> Result<u8, Vec<String>> {
    let path = arguments.config;
    let environment = arguments.environment.as_deref();
    let done = match arguments.command {
        Command::Run { log } => run::run(path, environment, log.into()),
        Command::Setup(arguments) => return setup::run(&path, environment, &arguments),
        Command::Plan { json, trace } => {
            let changes = plan::run(&path, environment, json, trace)?;
            return Ok(if changes { CHANGES } else { 0 });
        }
        Command::Apply { yes, buy, trace } => apply::run(&path, environment, &buy, yes, trace),
        Command::Undo { yes, trace } => undo::run(&path, yes, trace),
        Command::Destroy { yes, prod, trace } => destroy::run(&path, environment, yes.as_deref(), prod, trace),
        Command::Promote { from: Some(from), to: Some(to), yes, trace, .. } => {
            promote::forth(&path, &from, &to, yes, trace)
        }
        Command::Promote { back: Some(back), yes, trace, .. } => promote::back(&path, &back, yes, trace),
        // Unreachable by what clap demands, and no reason to panic.
        Command::Promote { .. } => Err(failed("say what to promote: \"gateway promote stage prod\"")),
        Command::Extension { what: Extension::List { json } } => extension::list(&path, json),
        Command::Extension { what: Extension::Rotate { name, trace } } => {
            extension::rotate(&path, environment, &name, trace)
        }
        Command::Number { what } => number::run(&path, what),
        Command::Check { file, account: false, .. } => check::run(&file.unwrap_or(path)),
        Command::Check { file, account: true, json, trace } => {
            check::account(&file.unwrap_or(path), environment, json, trace)
        }
        Command::Status { json, drift } => status::run(&path, json, drift),
        Command::Spend { what, json } => {
            let wish = match what {
                None => spend::Wish::Show,
                Some(Spend::Resume) => spend::Wish::Resume,
            };
            spend::run(&path, wish, json)
        }
        Command::Tunnel { what: Tunnel::Status { json } } => tunnel::status(&path, json),
        Command::Tunnel { what: Tunnel::Key } => tunnel::key(&path),
        Command::Tunnel { what: Tunnel::AcceptHostKey { yes } } => tunnel::accept_host_key(&path, yes.as_deref()),
        Command::Upgrade(arguments) => upgrade::run(&path, environment, &arguments),
        Command::History { subject, since, code, json } => history::run(&path, subject, since, code, json),
        Command::Metrics => metrics::run(&path),
        Command::Backup(arguments) => backup::run(&path, &arguments),
        Command::Restore(arguments) => restore::run(&path, &arguments),
        Command::Reload => reload::run(&path),
        Command::Dial { extension, number, twiml } => dial::run(&path, environment, &extension, &number, twiml),
        Command::Handset { extension, json, show_password } => {
            handset::run(&path, environment, &extension, json, show_password)
        }
    };
    done.map(|()| 0)
}

/// One line of failure.
fn failed(error: impl std::fmt::Display) -> Vec<String> {
    vec![error.to_string()]
}

fn load(path: &std::path::Path) -> Result<Config, Vec<String>> {
    config_file::load(path).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The config of the environment that `--environment` names, else of the one that the file says.
fn load_selected(path: &std::path::Path, environment: Option<&str>) -> Result<Config, Vec<String>> {
    let config = load(path)?;
    match environment {
        Some(name) => config.selected(name).map_err(failed),
        None => Ok(config),
    }
}

fn no_extension(config: &Config, path: &std::path::Path, name: &str) -> String {
    let names: Vec<&str> = config.extensions.iter().map(|extension| extension.name.as_str()).collect();
    match names.is_empty() {
        true => format!("extension {name} is not in {}; add an [[extension]]", path.display()),
        false => format!("extension {name} is not in {}; it has {}", path.display(), names.join(", ")),
    }
}

/// Tells on stderr what is no failure.
fn warn(lines: &[String]) {
    for line in lines {
        account::print_note(&format!("warning: {line}"));
    }
}

/// Tells that handsets could not reach a service that runs here now.
fn warn_of_lan(config: &Config) {
    if let Some(warning) = config.lan.warning() {
        warn(&[format!("lan: {warning}")]);
    }
}

/// Prints to stdout. A reader that went away (`| head`) is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(show::printable(text).as_bytes());
}

/// Writes a line to stderr, beside what the command prints.
fn print_error(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", show::printable(line));
}

/// Tells what was odd about a state file.
fn told<T>(loaded: Loaded<T>) -> T {
    if let Some(warning) = loaded.warning {
        warn(&[warning.to_string()]);
    }
    loaded.value
}

fn open_store(config: &Config) -> Result<Store, Vec<String>> {
    let store = Store::open(&config.site.state_dir).map_err(failed)?;
    Ok(store.with_lent_token(account::lent_token()))
}

/// The clock of this command: what SNTP said to one part of it counts for all.
fn clock(store: &Store) -> Result<Clock, Vec<String>> {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    let recorded = store.last_time().map_err(failed)?.value;
    Ok(CLOCK.get_or_init(|| Clock::start(recorded)).clone())
}

/// The only place where the commands get randomness.
fn random() -> Result<Random, Vec<String>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| failed(format!("the system gives no random numbers: {error}")))?;
    Ok(Random::new(seed))
}

#[cfg(test)]
mod tests;
