//! The command line: arguments to a command, a command to an exit code.

mod account;
mod apply;
mod ask;
mod backup;
mod check;
mod destroy;
mod dial;
mod extension;
mod handset;
mod history;
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
mod status;
mod tunnel;
mod undo;
mod upgrade;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Config};
use crate::log::Target;
use crate::net::clock::Clock;
use crate::random::Random;
use crate::store::{Loaded, Store};

/// Exit code of a command that could not do its work.
const FAILURE: u8 = 1;

/// Exit code of `gateway plan` when there is something to change.
const CHANGES: u8 = 2;

/// Exit code of a wrong command line (`EX_USAGE` of sysexits.h): clap's own, 2, would look like a plan with changes.
const USAGE: u8 = 64;

/// Stands below the help of all commands.
const EXIT_CODES: &str = "Exit codes: 0 done or nothing to do, 1 failed, 64 wrong command line; \
                          of plan also 2: there is something to change; \
                          of setup also 3: done, and the proof failed.";

/// The box between ordinary SIP phones and Twilio.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    /// The config file
    #[arg(long, global = true, value_name = "PATH", default_value = "/etc/gateway/gateway.toml")]
    config: PathBuf,
    /// The environment that is meant, of those in the config
    #[arg(long, global = true, value_name = "NAME")]
    environment: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Run {
        /// Where the log goes
        #[arg(long, value_enum, default_value_t = Log::Auto)]
        log: Log,
    },
    /// Ask for what the config must say and write it, unless it is there; make the Twilio account what it says; prove it
    ///
    /// Safe to run again at any time.
    Setup(Box<setup::SetupArguments>),
    /// Show what would change at Twilio, and change nothing; exit code 0: nothing, 2: something, 1: failed
    Plan {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Make the Twilio account what the config says, after a question; stopped anywhere, it goes on when run again
    Apply {
        /// Ask nothing
        #[arg(long)]
        yes: bool,
        /// A number of the config that may be bought; may be given more than once
        #[arg(long, value_name = "NUMBER")]
        buy: Vec<String>,
        #[command(flatten)]
        trace: Trace,
    },
    /// Go back over the last apply
    Undo {
        /// Ask nothing
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Remove what is ours of the environment that --environment names; numbers stay in the account
    Destroy {
        /// Ask nothing; repeats the environment's name
        #[arg(long, value_name = "NAME")]
        yes: Option<String>,
        /// Needed for the environment "prod"
        #[arg(long)]
        prod: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Point one environment at what another one runs: "promote stage prod"; and back: "promote --back prod"
    Promote {
        /// Whose URLs and hosted build are taken
        #[arg(required_unless_present = "back")]
        from: Option<String>,
        /// Which environment gets them
        #[arg(required_unless_present = "back")]
        to: Option<String>,
        /// Take the last promotion of this environment back
        #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "to"])]
        back: Option<String>,
        /// Ask nothing
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Show extensions, or give one another password at Twilio
    Extension {
        #[command(subcommand)]
        what: Extension,
    },
    /// Show, find, buy and release phone numbers
    Number {
        #[command(subcommand)]
        what: Number,
    },
    /// Read a config file and tell all mistakes; with --account, look for what does not fit together at Twilio
    Check {
        /// The file, instead of --config
        file: Option<PathBuf>,
        /// Look at the account: lists, domains, numbers, extensions, addresses and URLs. Exit code 1 when a finding is an
        /// error
        #[arg(long)]
        account: bool,
        /// Findings as JSON
        #[arg(long, requires = "account")]
        json: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Show extensions, handsets, registrations and calls of the running service
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Compare the account with the config first, now
        #[arg(long)]
        drift: bool,
    },
    /// Show the tunnel that Twilio's requests come through, and what its SSH server has to know
    Tunnel {
        #[command(subcommand)]
        what: Tunnel,
    },
    /// Put a new binary in place, if it is signed and can live with the config and state that are here; the old one comes
    /// back when the new one does not become healthy
    Upgrade(upgrade::UpgradeArguments),
    /// Show what happened: faults, calls, the tunnel's states; also of the time before a restart, and with the service down
    History {
        /// Only what mentions it: a part of the codes (tunnel, call, trunk), an extension, a number, an address
        #[arg(value_name = "SUBJECT", allow_hyphen_values = true)]
        subject: Option<String>,
        /// Only what is not older: 30m, 2h, 7d
        #[arg(long, value_name = "TIME", value_parser = history::span_of)]
        since: Option<Duration>,
        /// Only events of this code, or of all that begin with it: tunnel.down, tunnel
        #[arg(long)]
        code: Option<String>,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Show the running service's figures as Prometheus reads them
    Metrics,
    /// Write config, credentials and state into one encrypted file, from which a new box takes over; also while the service
    /// runs
    Backup(backup::BackupArguments),
    /// Put the config, credentials and state of a backup on this box; phones and Twilio notice nothing
    Restore(restore::RestoreArguments),
    /// Read the config file again in the running service; with mistakes in it, the old one stays
    Reload,
    /// Show what becomes of a call, without making it
    Dial {
        /// Who dials
        extension: String,
        /// What is dialled
        #[arg(allow_hyphen_values = true)]
        number: String,
        /// Show the TwiML that Twilio would get, too
        #[arg(long)]
        twiml: bool,
    },
    /// Show what to enter into the phone of an extension
    Handset {
        extension: String,
        /// As JSON, password included
        #[arg(long)]
        json: bool,
        /// Show the password also when the output is no terminal
        #[arg(long)]
        show_password: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Extension {
    /// Show all extensions and which of their passwords there are
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Another password at Twilio; calls in progress go on, and the phone's own password stays
    Rotate {
        name: String,
        #[command(flatten)]
        trace: Trace,
    },
}

#[derive(Debug, Subcommand)]
enum Tunnel {
    /// Show whether Twilio can reach this box, since when, and what to do if not; exit code 1 when it cannot
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the line for ~/.ssh/authorized_keys on the SSH server; the key is made when there is none
    Key,
    /// Take another host key of the SSH server than the one that is known, after a question
    AcceptHostKey {
        /// Ask nothing; repeats the new fingerprint, SHA256:…
        #[arg(long, value_name = "FINGERPRINT")]
        yes: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Number {
    /// Show the numbers of the account, what uses them, and the state of their emergency addresses
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Show numbers that can be bought
    Find {
        /// ISO 3166 code
        #[arg(long, default_value = "US")]
        country: String,
        /// Three digits, US and CA
        #[arg(long)]
        area_code: Option<String>,
        /// At least two digits that it shall contain; * stands for any one
        #[arg(long)]
        contains: Option<String>,
        /// Numbers that are free for callers
        #[arg(long)]
        toll_free: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Buy a number, after a question
    Buy {
        /// +15035550123
        number: String,
        /// Ask nothing
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        trace: Trace,
    },
    /// Give a number back to Twilio for ever, after a question
    Release {
        /// +15035550123
        number: String,
        /// Ask nothing; repeats the number
        #[arg(long, value_name = "NUMBER")]
        yes: Option<String>,
        #[command(flatten)]
        trace: Trace,
    },
}

#[derive(Clone, Copy, Debug, Args)]
struct Trace {
    /// Show each request and its answer on stderr, secrets masked
    #[arg(long)]
    trace: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    /// The system log when stderr is no terminal, else stderr
    Auto,
    Syslog,
    Stderr,
}

impl From<Log> for Target {
    fn from(log: Log) -> Target {
        match log {
            Log::Auto => Target::Auto,
            Log::Syslog => Target::Syslog,
            Log::Stderr => Target::Stderr,
        }
    }
}

/// A command's answer: `Err` holds the lines to print, each behind `gateway: `.
type Done = Result<(), Vec<String>>;

/// Runs the command line of this process. Exit codes: [`EXIT_CODES`].
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
            for line in lines {
                let _ = writeln!(std::io::stderr(), "gateway: {line}");
            }
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
            let changes = plan::run(&path, environment, json, trace.trace)?;
            return Ok(if changes { CHANGES } else { 0 });
        }
        Command::Apply { yes, buy, trace } => apply::run(&path, environment, &buy, yes, trace.trace),
        Command::Undo { yes, trace } => undo::run(&path, yes, trace.trace),
        Command::Destroy { yes, prod, trace } => destroy::run(&path, environment, yes.as_deref(), prod, trace.trace),
        Command::Promote { from: Some(from), to: Some(to), yes, trace, .. } => {
            promote::forth(&path, &from, &to, yes, trace.trace)
        }
        Command::Promote { back: Some(back), yes, trace, .. } => promote::back(&path, &back, yes, trace.trace),
        // Unreachable by what clap demands, and no reason to panic.
        Command::Promote { .. } => Err(failed("say what to promote: \"gateway promote stage prod\"")),
        Command::Extension { what: Extension::List { json } } => extension::list(&path, json),
        Command::Extension { what: Extension::Rotate { name, trace } } => {
            extension::rotate(&path, environment, &name, trace.trace)
        }
        Command::Number { what } => number::run(&path, what),
        Command::Check { file, account: false, .. } => check::run(&file.unwrap_or(path)),
        Command::Check { file, account: true, json, trace } => {
            check::account(&file.unwrap_or(path), environment, json, trace.trace)
        }
        Command::Status { json, drift } => status::run(&path, json, drift),
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
    config::load(path).map_err(|errors| errors.iter().map(ToString::to_string).collect())
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
        let _ = writeln!(std::io::stderr(), "gateway: warning: {line}");
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
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Tells what was odd about a state file.
fn told<T>(loaded: Loaded<T>) -> T {
    if let Some(warning) = loaded.warning {
        let _ = writeln!(std::io::stderr(), "gateway: warning: {warning}");
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
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_has_another_exit_code_than_a_plan_with_changes() {
        for line in [&["gateway", "plam"][..], &["gateway", "destroy", "--yes"], &["gateway"], &["gateway", "promote"]]
        {
            assert_eq!(exit_code(&Arguments::try_parse_from(line).unwrap_err()), USAGE, "{line:?}");
        }
        assert_eq!(exit_code(&Arguments::try_parse_from(["gateway", "--help"]).unwrap_err()), 0);
        assert_eq!(exit_code(&Arguments::try_parse_from(["gateway", "--version"]).unwrap_err()), 0);
    }

    #[test]
    fn a_number_may_begin_with_plus_star_or_minus() {
        for number in ["+15035551212", "*", "#", "-1"] {
            let arguments = Arguments::try_parse_from(["gateway", "dial", "101", number]).unwrap();
            assert!(matches!(arguments.command, Command::Dial { number: dialled, .. } if dialled == number));
        }
    }

    #[test]
    fn the_config_may_be_named_before_and_behind_the_command() {
        for line in [["gateway", "--config", "x", "check"], ["gateway", "check", "--config", "x"]] {
            assert_eq!(Arguments::try_parse_from(line).unwrap().config, PathBuf::from("x"));
        }
    }
}
