//! `cargo demo`: the first call, both ways, with the real `gateway` binary against the simulator, told as it happens.
//!
//! `--once` ends with 0 or 1 after the table; without it everything stays up for a softphone until Ctrl-C.

mod environments;
mod gateway;
mod narrator;
mod sshd;
mod story;
mod table;
mod tunnel;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use gateway::Workplace;
use story::Story;
use table::Table;
use twilio_simulator::switches::CONTRARY;

/// The whole story takes less, builds not counted.
const LIMIT: Duration = Duration::from_secs(90);

/// The first call: a LAN handset talks to the PSTN through Twilio, both ways.
#[derive(Parser)]
struct Arguments {
    /// End after the table, with 0 when every step passed and 1 otherwise.
    #[arg(long)]
    once: bool,
    /// Tell the story again with every switch of the simulator turned, group by group.
    #[arg(long)]
    contrary: bool,
    /// Tell another story, once: the first set-up with two environments, from nothing to a ringing phone in each.
    #[arg(long)]
    environments: bool,
    /// Tell the story with webhooks that come in through this tunnel, once; ssh needs OpenSSH's sshd on this machine.
    #[arg(long, value_name = "DRIVER", conflicts_with = "environments")]
    tunnel: Option<Tunnel>,
    /// Switch of the simulator, such as crlf_pong=false (may be repeated).
    #[arg(long = "switch", value_name = "NAME=VALUE")]
    switches: Vec<String>,
}

/// What the webhooks come in through.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tunnel {
    /// The remote forward of a throw-away sshd on loopback.
    Ssh,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match tell(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn tell(arguments: &Arguments) -> Result<bool, String> {
    let binary = gateway::build().await?;
    if arguments.environments {
        let told = tokio::time::timeout(LIMIT, environments::tell(binary)).await;
        return told.unwrap_or_else(|_| Err(format!("the story took more than {} s", LIMIT.as_secs())));
    }
    let with_tunnel = arguments.tunnel == Some(Tunnel::Ssh);
    let once = arguments.once || arguments.contrary || with_tunnel;
    let mut passed = one_story(&binary, &arguments.switches, once, with_tunnel).await?;
    if arguments.contrary {
        for group in CONTRARY {
            println!("\nThe story again, with {}\n", group.join(", "));
            let switches: Vec<String> = group.iter().map(|&s| s.to_owned()).collect();
            passed &= one_story(&binary, &switches, true, with_tunnel).await?;
        }
    }
    Ok(passed)
}

/// Tells the story with a simulator and a gateway of its own; says whether every step passed.
async fn one_story(binary: &Path, switches: &[String], once: bool, with_tunnel: bool) -> Result<bool, String> {
    let workplace = Workplace::new().map_err(|e| format!("temporary directory: {e}"))?;
    let mut table = Table::default();
    let mut story = Story::begin(binary.to_owned(), workplace, switches, with_tunnel).await?;
    let told = tokio::select! {
        told = tokio::time::timeout(LIMIT, story.tell(&mut table)) => told,
        _ = tokio::signal::ctrl_c() => return Err("interrupted".to_owned()),
    };
    if told.is_err() {
        table.fail("all", format!("the story took more than {} s", LIMIT.as_secs()));
    }
    table.print();
    if !table.passed() {
        story.print_log_tail();
    }
    if !once {
        story.invite_softphone();
        let _ = tokio::signal::ctrl_c().await;
    }
    story.end().await;
    Ok(table.passed())
}
