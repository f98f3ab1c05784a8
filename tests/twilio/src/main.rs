//! The simulator as a program: starts everything on free ports, prints one JSON line, runs until Ctrl-C.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use serde_json::json;
use twilio_simulator::rest::account::AccountState;
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::{Options, StartError, Twilio};

/// A Twilio to test against.
#[derive(Parser)]
struct Arguments {
    /// Number that the account owns, in E.164 (may be repeated).
    #[arg(long = "number", default_value = "+15035550100")]
    numbers: Vec<String>,
    /// Address of this machine that everything listens on.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// Switch, such as crlf_pong=false (may be repeated); `--switches` lists them.
    #[arg(long = "switch", value_name = "NAME=VALUE")]
    switches: Vec<String>,
    /// Print the switches with their defaults and end.
    #[arg(long = "switches")]
    list: bool,
    /// Where the CA certificate is written.
    #[arg(long, default_value = "twilio-simulator-ca.pem")]
    ca_file: PathBuf,
    /// Write every event to stderr.
    #[arg(long)]
    verbose: bool,
    /// Write every REST request and its answer to this file, one JSON line each.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// PEM file of whom webhooks by https trust, instead of the known authorities.
    #[arg(long, value_name = "FILE")]
    webhook_ca: Option<PathBuf>,
    /// The account is a trial account.
    #[arg(long)]
    trial: bool,
    /// What is left to spend, in cents.
    #[arg(long, value_name = "CENTS", default_value_t = 4250, allow_negative_numbers = true)]
    balance: i64,
}

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let arguments = Arguments::parse();
    let mut switches = Switches::default();
    for assignment in &arguments.switches {
        switches.set(assignment)?;
    }
    if arguments.list {
        println!("{}", serde_json::to_string_pretty(&switches)?);
        return Ok(());
    }
    let Arguments { numbers, address, verbose: echo, ca_file, record, webhook_ca, trial, balance, .. } = arguments;
    let kind = if trial { "Trial" } else { "Full" };
    let account = AccountState { r#type: kind.to_owned(), balance_cents: balance, ..AccountState::default() };
    let options = Options { numbers, address, switches, echo, ca_file, record, webhook_ca, account };
    let numbers = options.numbers.clone();
    let twilio = Twilio::start(options).await?;
    let line = json!({
        "rest": format!("http://{}", twilio.rest_address),
        "sip": twilio.sip_address.to_string(),
        "control": format!("http://{}", twilio.control_address),
        "ca_file": twilio.ca_file,
        "account_sid": twilio.account.sid,
        "auth_token": twilio.account.token,
        "api_key": twilio.account.key.0,
        "api_secret": twilio.account.key.1,
        "numbers": numbers,
    });
    println!("{line}");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
