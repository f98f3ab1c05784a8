//! The command line as it is written: commands, their options and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{backup, history, restore, setup, upgrade};
use crate::log::Target;

/// Stands below the help of all commands.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 done or nothing to do, 1 failed, 64 wrong command line; \
                          of plan also 2: there is something to change; \
                          of setup also 3: done, and the proof failed.";

/// The box between ordinary SIP phones and Twilio.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The config file
    #[arg(long, global = true, value_name = "PATH", default_value = "/etc/gateway/gateway.toml")]
    pub config: PathBuf,
    /// The environment that is meant, of those in the config
    #[arg(long, global = true, value_name = "NAME")]
    pub environment: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    /// Show what phones used outside of what they may, and whether a spending limit has stopped that
    Spend {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        what: Option<Spend>,
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

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Spend {
    /// Let phones call outside again, before the period of the spending limit ends
    Resume,
}

#[derive(Debug, Subcommand)]
pub(super) enum Extension {
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
pub(super) enum Tunnel {
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
pub(super) enum Number {
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
pub(super) struct Trace {
    /// Show each request and its answer on stderr, secrets masked
    #[arg(long)]
    pub trace: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Log {
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
