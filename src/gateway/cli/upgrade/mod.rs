//! `gateway upgrade`: a new binary, its trial, and the way back.

mod judge;
mod look;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};

use super::{Done, failed};
use crate::net::control_socket::SOCKET;
use crate::upgrade::candidate::{self, StateCopy};
use crate::upgrade::elf::{self, Machine};
use crate::upgrade::record::{Phase, Record};
use crate::upgrade::signature::{self, Signature};
use crate::upgrade::swap::{Copied, Swap};
use crate::upgrade::trial::Before;
use crate::upgrade::{self, STARTS};
use gateway_core::config::Config;
use gateway_core::config::upgrade::PublicKey;

/// How long an upgrade waits for calls to end.
const CALLS: Duration = Duration::from_secs(600);

/// How often it looks whether they have.
const LOOK: Duration = Duration::from_secs(1);

/// What is done instead of putting FILE in place.
const WITHOUT_FILE: [&str; 4] = ["status", "back", "judge", "try"];

#[derive(Debug, Args)]
// Not `#[group(...)]`: that is a group of all fields, and so no option could be given beside the one that is chosen.
#[group(skip)]
#[command(group = ArgGroup::new("what").required(true).arg("file").args(WITHOUT_FILE))]
pub(super) struct UpgradeArguments {
    /// The new binary; its signature is beside it, FILE.minisig
    file: Option<PathBuf>,
    /// End calls in progress instead of waiting for them; an emergency call is waited for all the same
    #[arg(long, requires = "file", conflicts_with_all = WITHOUT_FILE)]
    now: bool,
    /// Take a lower version than this one, too
    #[arg(long, requires = "file", conflicts_with_all = WITHOUT_FILE)]
    downgrade: bool,
    /// Show what became of the last upgrade
    #[arg(long)]
    status: bool,
    /// Put the binary back that was there before the last upgrade
    #[arg(long)]
    back: bool,
    /// Look at a binary on trial until it is clear what becomes of it; for gateway-judge.service
    #[arg(long, hide = true)]
    judge: bool,
    /// Read config and state, and write the state again as this version does; what an upgrade asks a new binary to do
    #[arg(long, hide = true, value_name = "STATE")]
    r#try: Option<PathBuf>,
}

pub(super) fn run(path: &Path, environment: Option<&str>, arguments: &UpgradeArguments) -> Done {
    if let Some(state) = &arguments.r#try {
        super::load_selected(path, environment)?;
        return candidate::rewrite(state).map(drop);
    }
    let binary = upgrade::own_binary().map_err(failed)?;
    if arguments.judge {
        return judge::stand_by(&Swap::of(of_old(binary)));
    }
    let swap = Swap::of(binary);
    match &arguments.file {
        _ if arguments.status => status(&swap),
        Some(file) => install(path, environment, &swap, file, arguments),
        None => back(path, &swap),
    }
}

/// The judge is `gateway.old`, and judges `gateway`.
fn of_old(binary: PathBuf) -> PathBuf {
    match binary.extension().is_some_and(|extension| extension == "old") {
        true => binary.with_extension(""),
        false => binary,
    }
}

fn status(swap: &Swap) -> Done {
    match swap.standing().map_err(failed)? {
        Some(record) => super::print(&format!("{}\n", record.sentence())),
        None => super::print("there was no upgrade yet\n"),
    }
    Ok(())
}

fn install(path: &Path, environment: Option<&str>, swap: &Swap, file: &Path, arguments: &UpgradeArguments) -> Done {
    let config = super::load_selected(path, environment)?;
    let key = config.upgrade.public_key.as_ref().ok_or_else(|| {
        let way = "write public_key = \"RW…\", the second line of the minisign.pub of who builds your binaries";
        failed(format!("{} has no [upgrade] public_key to check the signature with; {way}", path.display()))
    })?;
    let signed = sign_of(file, key)?;
    let lock = swap.try_lock().map_err(failed)?;
    let lock = lock.ok_or_else(|| failed("another upgrade is at work; \"gateway upgrade --status\" tells of it"))?;
    if let Some(record) = swap.standing().map_err(failed)?
        && record.phase == Phase::Trial
    {
        return Err(failed(format!("{}; wait for it, or go back now: \"gateway upgrade --back\"", record.sentence())));
    }
    // A state that a set-up is changing must not be tried on.
    let store = super::open_store(&config)?;
    let _changes = store.lock(&mut |who| super::print(&format!("{who}\n"))).map_err(failed)?;
    let candidate = Candidate { swap, config: &config, path, environment, key, downgrade: arguments.downgrade };
    let record = candidate.check(file, &signed).and_then(|record| ready(&config, swap, record, arguments.now));
    let record = match record {
        Ok(record) => record,
        Err(lines) => {
            swap.discard();
            return Err(lines);
        }
    };
    swap.install(&record).map_err(failed)?;
    super::print(&format!("it is in place; {}\n", record.sentence()));
    judge::restart_and_judge(swap, &record, lock)
}

/// The signature beside a file.
fn sign_of(file: &Path, key: &PublicKey) -> Result<Signature, Vec<String>> {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    let path = PathBuf::from(name);
    let length = std::fs::metadata(&path).map(|metadata| metadata.len());
    if let Ok(length) = length
        && length > signature::MAX_FILE
    {
        return Err(failed(format!("{} is {length} bytes long and no signature of minisign", path.display())));
    }
    let text = std::fs::read(&path).map_err(|error| {
        failed(format!("{}: {error}; a binary is taken with its signature beside it only", path.display()))
    })?;
    let text = String::from_utf8_lossy(&text);
    Signature::parse(&text, key).map_err(|error| failed(format!("{}: the signature {error}", path.display())))
}

/// All that is asked of a new binary before anything is replaced.
struct Candidate<'a> {
    swap: &'a Swap,
    config: &'a Config,
    path: &'a Path,
    environment: Option<&'a str>,
    key: &'a PublicKey,
    downgrade: bool,
}

impl Candidate<'_> {
    fn check(&self, file: &Path, signed: &Signature) -> Result<Record, Vec<String>> {
        let copied = self.swap.copy(file).map_err(failed)?;
        let comment = signed
            .verify(self.key, &copied.signed)
            .map_err(|error| failed(format!("{}: the signature {error}", file.display())))?;
        super::print(&format!("the signature is right: {}\n", comment.escape_debug()));
        self.is_for_this_machine(file, &copied)?;
        let old = self.swap.sha256(&self.swap.binary).map_err(failed)?;
        if old == copied.sha256 {
            return Err(failed(format!("{} is the binary that is in place already", file.display())));
        }
        self.swap.make_executable().map_err(failed)?;
        let (from, to) = (env!("CARGO_PKG_VERSION"), candidate::version(&self.swap.new).map_err(failed)?);
        if candidate::is_lower(&to, from) && !self.downgrade {
            return Err(failed(format!("{to} is lower than {from}, which is in place; --downgrade takes it")));
        }
        self.lives_with_what_is_here()?;
        super::print(&format!("{to} runs here, reads the config and the state, and {from} reads its state\n"));
        Ok(Record {
            phase: Phase::Trial,
            reason: String::new(),
            old,
            new: copied.sha256,
            from: from.to_owned(),
            to,
            starts: STARTS,
            within: self.config.upgrade.within,
            before: Before::default(),
            socket: self.config.site.run_dir.join(SOCKET),
            lan: self.config.lan.listen.clone(),
            restart: judge::restart_command(&self.config.upgrade.restart)?,
        })
    }

    fn is_for_this_machine(&self, file: &Path, copied: &Copied) -> Result<(), Vec<String>> {
        let mut head = [0; elf::HEAD];
        let read = File::open(&self.swap.binary).and_then(|mut binary| binary.read_exact(&mut head));
        match (copied.machine, read.ok().and_then(|()| Machine::parse(&head))) {
            (None, _) => Err(failed(format!("{} is no program", file.display()))),
            (Some(theirs), Some(ours)) if theirs != ours => {
                Err(failed(format!("{} is for {theirs}, and this machine is {ours}", file.display())))
            }
            _ => Ok(()),
        }
    }

    /// Config and state of this version load in the new one; and what it writes loads in this one, for the way back.
    fn lives_with_what_is_here(&self) -> Result<(), Vec<String>> {
        let copy = StateCopy::of(&self.config.site.state_dir).map_err(failed)?;
        let before = candidate::read(copy.dir())?;
        candidate::try_on(&self.swap.new, self.path, self.environment, &copy).map_err(failed)?;
        candidate::compare(&before, &copy).map_err(|lines| {
            let told =
                |line: &String| format!("there would be no way back from the state that the new binary writes: {line}");
            lines.iter().map(told).collect()
        })
    }
}

/// Waits for calls to end, and writes down what is healthy now.
fn ready(config: &Config, swap: &Swap, record: Record, now: bool) -> Result<Record, Vec<String>> {
    let began = Instant::now();
    let mut told = 0;
    loop {
        let Some((status, pid)) = look::status(&record.socket).map_err(failed)? else {
            super::print("the service does not run; it will be started\n");
            return Ok(record);
        };
        if let Ok(running) = upgrade::binary_of(pid)
            && running != swap.binary
        {
            let (running, own) = (running.display(), swap.binary.display());
            return Err(failed(format!("the service runs {running}, and this is {own}: run \"{running} upgrade\"")));
        }
        let calls = status.calls.len();
        let emergencies = status.calls.iter().filter(|call| call.is_emergency()).count();
        if calls == 0 || now && emergencies == 0 {
            break;
        }
        if began.elapsed() >= CALLS && emergencies == 0 {
            let way = "run it again later, or with --now, which ends them";
            return Err(failed(format!("calls in progress: {calls}, also after {} min; {way}", CALLS.as_secs() / 60)));
        }
        if calls != told {
            super::print(&match emergencies {
                0 => format!("waiting for {calls} to end, --now does not: calls in progress\n"),
                _ => "waiting for an emergency call to end, however long it takes\n".to_owned(),
            });
            told = calls;
        }
        std::thread::sleep(LOOK);
    }
    let before = Before::of(&look::look(&record.socket, &config.lan.listen, &swap.binary));
    Ok(Record { before, ..record })
}

fn back(path: &Path, swap: &Swap) -> Done {
    let record = swap.record().map_err(failed)?;
    let record = record.ok_or_else(|| failed("there was no upgrade to go back from"))?;
    if !swap.old.exists() || swap.keeps_itself() {
        return Err(failed(format!("no other binary is kept as {}", swap.old.display())));
    }
    // A judge that is at work has nothing left to judge, and ends.
    let restart = match super::load(path) {
        Ok(config) => judge::restart_command(&config.upgrade.restart)?,
        // The way back must not hang on a file.
        Err(_) => record.restart.clone(),
    };
    let record = Record { restart, ..record };
    let told = judge::bring_back(swap, &record, "somebody asked for it")?;
    super::print(&format!("{}\n", told.join("\n")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judge_is_the_old_binary_and_judges_the_one_in_place() {
        assert_eq!(of_old("/usr/bin/gateway.old".into()), PathBuf::from("/usr/bin/gateway"));
        assert_eq!(of_old("/usr/bin/gateway".into()), PathBuf::from("/usr/bin/gateway"));
    }
}
