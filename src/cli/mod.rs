//! The command line: arguments to a command, a command to an exit code.

mod ask;
mod check;
mod dial;
mod handset;
mod reload;
mod run;
mod setup;
mod status;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Config};
use crate::log::Target;
use crate::random::Random;
use crate::store::{Loaded, Store};

/// Exit code of a command that could not do its work; clap's own for a wrong command line is 2.
const FAILURE: u8 = 1;

/// The box between ordinary SIP phones and Twilio.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, arg_required_else_help = true)]
struct Arguments {
    /// The config file
    #[arg(long, global = true, value_name = "PATH", default_value = "/etc/gateway/gateway.toml")]
    config: PathBuf,
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
    /// Make the Twilio account what the config says; safe to run again at any time
    Setup {
        /// Ask nothing; the auth token comes from TWILIO_AUTH_TOKEN or from the last set-up
        #[arg(long)]
        yes: bool,
        /// Show each request and its answer on stderr, secrets masked
        #[arg(long)]
        trace: bool,
    },
    /// Read a config file and tell all mistakes
    Check {
        /// The file, instead of --config
        file: Option<PathBuf>,
    },
    /// Show extensions, handsets, registrations and calls of the running service
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
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

/// Runs the command line of this process. Exit codes: 0 done, 1 failed, 2 wrong command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors to clap, and go to stdout with 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILURE));
        }
    };
    let path = arguments.config;
    let done = match arguments.command {
        Command::Run { log } => run::run(path, log.into()),
        Command::Setup { yes, trace } => setup::run(&path, yes, trace),
        Command::Check { file } => check::run(&file.unwrap_or(path)),
        Command::Status { json } => status::run(&path, json),
        Command::Reload => reload::run(&path),
        Command::Dial { extension, number, twiml } => dial::run(&path, &extension, &number, twiml),
        Command::Handset { extension, json, show_password } => handset::run(&path, &extension, json, show_password),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(lines) => {
            for line in lines {
                let _ = writeln!(std::io::stderr(), "gateway: {line}");
            }
            ExitCode::from(FAILURE)
        }
    }
}

/// One line of failure.
fn failed(error: impl std::fmt::Display) -> Vec<String> {
    vec![error.to_string()]
}

fn load(path: &std::path::Path) -> Result<Config, Vec<String>> {
    config::load(path).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn no_extension(config: &Config, path: &std::path::Path, name: &str) -> String {
    let names: Vec<&str> = config.extensions.iter().map(|extension| extension.name.as_str()).collect();
    match names.is_empty() {
        true => format!("extension {name} is not in {}; add an [[extension]]", path.display()),
        false => format!("extension {name} is not in {}; it has {}", path.display(), names.join(", ")),
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
    Store::open(&config.site.state_dir).map_err(failed)
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
