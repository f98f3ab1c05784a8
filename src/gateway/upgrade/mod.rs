//! A new binary in place of this one, and the way back: `gateway upgrade FILE`.
//!
//! A new binary is checked before anything is touched: its signature ([`signature`]), the machine it is for ([`elf`]), and
//! whether it runs and can live with the config and the state that are here ([`candidate`]). Then it is put in place and
//! is on trial ([`swap`], [`record`]): it has some starts and some seconds to become healthy ([`trial`]), else the old
//! one comes back. Who brings it back is never the new binary itself: `upgrade-guard`, a script that the init system runs
//! before each start, counts the starts, and the old binary, as `gateway upgrade --judge`, looks at the clock.

pub mod candidate;
pub mod elf;
pub mod record;
pub mod signature;
pub mod swap;
pub mod trial;

use std::path::{Path, PathBuf};

use record::{Phase, Record};

/// What Linux puts behind the path of a program whose file has been replaced (proc(5), `/proc/[pid]/exe`).
const REPLACED: &str = " (deleted)";

/// The binary that this process runs, by the path it was started from. After an upgrade another file is there.
pub fn own_binary() -> std::io::Result<PathBuf> {
    Ok(without_mark(std::env::current_exe()?))
}

fn without_mark(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(REPLACED)) {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

/// The program that a process runs, as [`own_binary`].
pub fn binary_of(pid: u32) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).map(without_mark)
}

/// The trial that this binary is on, in a sentence; `None` at other times.
pub fn on_trial() -> Option<String> {
    let binary = own_binary().ok()?;
    // The old one, as judge, is beside it.
    let swap = swap::Swap::of(binary);
    let record = swap.record().ok()??;
    // A swap that failed can leave the record of a trial; what is in place is the old one then.
    (record.phase == Phase::Trial && !swap.keeps_itself()).then(|| record.sentence())
}

/// Times that a binary on trial may be started. A power cut takes one.
pub const STARTS: u32 = 3;

/// A file could not be read, written or moved.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be {doing}: {source}{}", way_out(source))]
pub struct FileError {
    path: String,
    doing: &'static str,
    source: std::io::Error,
}

impl FileError {
    /// `doing` is a participle: "written".
    pub fn new(path: &Path, doing: &'static str, source: std::io::Error) -> Self {
        FileError { path: path.display().to_string(), doing, source }
    }
}

fn way_out(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => "; run the command as root",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room there",
        ErrorKind::ReadOnlyFilesystem => "; remount the file system for writing first",
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => "",
        // Of the system and without a name of Rust's: EIO, for one.
        _ if error.raw_os_error().is_some() => {
            "; what the kernel says of the disk (dmesg) may tell more; then try again"
        }
        _ => "",
    }
}

/// A record as it is shown when it is no trial any more, and when it is.
impl Record {
    /// What became of the last upgrade, in one sentence.
    pub fn sentence(&self) -> String {
        let (from, to) = (&self.from, &self.to);
        match self.phase {
            Phase::Trial => format!(
                "{to} is on trial, in place of {from}: it returns when the new one is not healthy within {} s, or after {} more starts",
                self.within.as_secs(),
                self.starts
            ),
            Phase::Kept => format!("{to} was kept, in place of {from}"),
            Phase::Returned => format!("{from} came back, in place of {to}: {}", self.reason),
            Phase::Dropped => format!("the trial of {to} was dropped: {}", self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_replaced_program_is_the_one_that_it_was_started_from() {
        assert_eq!(without_mark("/usr/bin/gateway (deleted)".into()), PathBuf::from("/usr/bin/gateway"));
        assert_eq!(without_mark("/usr/bin/gateway".into()), PathBuf::from("/usr/bin/gateway"));
    }
}
