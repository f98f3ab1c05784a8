//! Restarts the service on a new binary, looks at it, and brings the old one back.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::{Done, failed};
use super::look;
use crate::log::{self, Target};
use crate::upgrade::record::{Phase, Record};
use crate::upgrade::swap::{Lock, Swap};
use crate::upgrade::trial::{Judge, Verdict};
use gateway_core::event::{Code, Event};

/// How often the service is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Where systemd says that it runs this machine (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// OpenWrt's, and that of other init systems.
const INIT_SCRIPT: &str = "/etc/init.d/gateway";

/// What restarts the service here, program and arguments: the configured one, else what the init system wants.
pub(super) fn restart_command(configured: &[String]) -> Result<Vec<String>, Vec<String>> {
    let argv: &[&str] = match configured {
        // Not waited for: a new binary that hangs would hold us for as long as systemd waits for it.
        [] if Path::new(SYSTEMD).exists() => &["systemctl", "--no-block", "restart", "gateway.service"],
        [] if Path::new(INIT_SCRIPT).exists() => &[INIT_SCRIPT, "restart"],
        [] => {
            let way = "write [upgrade] restart = [\"program\", \"argument\"]";
            return Err(failed(format!("neither systemd nor {INIT_SCRIPT} is here to restart the service; {way}")));
        }
        configured => return Ok(configured.to_vec()),
    };
    Ok(argv.iter().map(|argument| (*argument).to_owned()).collect())
}

fn restart(record: &Record) -> Result<(), String> {
    let Some((program, arguments)) = record.restart.split_first() else { return Err("nothing restarts it".to_owned()) };
    let command = record.restart.join(" ");
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("\"{command}\" failed, {status}")),
        Err(error) => Err(format!("\"{command}\" cannot be started: {error}")),
    }
}

/// Of the command that put a binary in place.
pub(super) fn restart_and_judge(swap: &Swap, record: &Record, lock: Lock) -> Done {
    if let Err(error) = restart(record) {
        return go_back(swap, record, &error);
    }
    judge(swap, &lock)
}

/// Of the unit: waits until nobody else judges, then judges what is on trial still, after a power cut or when the command
/// was killed.
pub(super) fn stand_by(swap: &Swap) -> Done {
    let lock = swap.lock().map_err(failed)?;
    match swap.standing().map_err(failed)? {
        Some(record) if record.phase == Phase::Trial => judge(swap, &lock),
        _ => Ok(()),
    }
}

/// Looks until it is clear. What the guard did meanwhile is in the record. Only who has the lock may do this.
fn judge(swap: &Swap, _: &Lock) -> Done {
    let began = Instant::now();
    let mut judge: Option<Judge> = None;
    loop {
        let record = swap.record().map_err(failed)?;
        let record = record.ok_or_else(|| failed("the record of the upgrade is gone, or was written over"))?;
        if record.phase != Phase::Trial {
            return ended(swap, &record);
        }
        let judge = judge.get_or_insert_with(|| Judge::new(record.before, record.within));
        match judge.look(began.elapsed(), &look::look(&record.socket, &record.lan, &swap.binary)) {
            Verdict::Wait => std::thread::sleep(LOOK),
            Verdict::Keep => {
                swap.end(&record, Phase::Kept, "").map_err(|error| {
                    let way = "it stays on trial until that is mended and the service is restarted";
                    failed(format!("{} is healthy, but {error}; {way}", record.to))
                })?;
                let old = swap.old.display();
                let text = format!("{} is healthy and kept; {} stays as {old}", record.to, record.from);
                log(Code::UpgradeKept, &text);
                super::super::print(&format!("{text}, for \"gateway upgrade --back\"\n"));
                return Ok(());
            }
            Verdict::Return(reason) => return go_back(swap, &record, &reason),
        }
    }
}

/// The guard ended the trial, or `--back` did.
fn ended(swap: &Swap, record: &Record) -> Done {
    // Unless it took a swap that was about to be made for one that had not been: then the new one has nobody to judge it.
    let is_new = swap.sha256(&swap.binary).map_err(failed)? == record.new;
    match record.phase {
        Phase::Returned if is_new => go_back(swap, record, &record.reason),
        Phase::Returned => Err(came_back(swap, record, Ok(())).unwrap_or_else(|lines| lines)),
        _ => Err(failed(record.sentence())),
    }
}

/// The new binary is no good: the old one comes back. That is a failure of the upgrade.
fn go_back(swap: &Swap, record: &Record, reason: &str) -> Done {
    Err(bring_back(swap, record, reason).unwrap_or_else(|lines| lines))
}

/// Brings the old binary back, starts it, and looks whether it is healthy: what there is to say, as an error if it is not.
pub(super) fn bring_back(swap: &Swap, record: &Record, reason: &str) -> Result<Vec<String>, Vec<String>> {
    let put_back = swap.put_back();
    if let Err(error) = &put_back
        && !swap.is_old(record).unwrap_or(false)
    {
        let way = "the new binary is in place and on trial still; each restart of the service tries it again";
        return Err(vec![error.to_string(), way.to_owned()]);
    }
    // The guard writes it at the next start when we cannot: the old binary, which is in place, is to run all the same.
    if let Err(error) = put_back.and_then(|()| swap.end(record, Phase::Returned, reason)) {
        log(Code::UpgradeUnwritten, &error.to_string());
        super::super::warn(&[error.to_string()]);
    }
    let record = Record { phase: Phase::Returned, reason: reason.to_owned(), ..record.clone() };
    log(Code::UpgradeReturned, &record.sentence());
    came_back(swap, &record, restart(&record))
}

/// What there is to say when the old binary is in place and was, or was not, started.
fn came_back(swap: &Swap, record: &Record, started: Result<(), String>) -> Result<Vec<String>, Vec<String>> {
    match started.and_then(|()| healthy_again(swap, record)) {
        Ok(()) => Ok(vec![record.sentence(), format!("{} is healthy again", record.from)]),
        Err(error) => Err(vec![record.sentence(), format!("{} is in place, but {error}", record.from)]),
    }
}

fn healthy_again(swap: &Swap, record: &Record) -> Result<(), String> {
    let began = Instant::now();
    let mut judge = Judge::new(record.before, record.within);
    loop {
        match judge.look(began.elapsed(), &look::look(&record.socket, &record.lan, &swap.binary)) {
            Verdict::Wait => std::thread::sleep(LOOK),
            Verdict::Keep => return Ok(()),
            Verdict::Return(reason) => return Err(format!("it is {reason}")),
        }
    }
}

/// The system log, where there is one, hears of it whoever runs this; stdout and stderr do in other words.
fn log(code: Code, text: &str) {
    if log::init(Target::Syslog).is_ok() {
        log::write(&Event::new(code, "gateway", text));
    }
}
