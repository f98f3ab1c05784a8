//! An upgrade on a real disk, with the guard that each boot runs.

mod fault;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::upgrade::record;

pub(super) const OLD: &str = "#!/bin/sh\necho old\n";
pub(super) const NEW: &str = "#!/bin/sh\necho new\n";

/// A folder with a binary in it, and beside it what could be the new one; removed at the end.
pub(super) struct Folder {
    pub dir: PathBuf,
    pub swap: Swap,
}

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gateway-upgrade-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let swap = Swap::of(dir.join("gateway"));
        fs::write(&swap.binary, OLD).unwrap();
        fs::set_permissions(&swap.binary, Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("downloaded"), NEW).unwrap();
        Folder { dir, swap }
    }

    fn swap(&self) {
        upgrade(&self.swap, &self.dir.join("downloaded")).unwrap();
    }

    /// As an init system does before each start.
    pub fn guard(&self) -> String {
        let guard = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/upgrade-guard");
        let said = Command::new("sh").arg(guard).arg(&self.swap.binary).output().unwrap();
        assert!(said.status.success());
        String::from_utf8(said.stderr).unwrap()
    }

    /// What the binary is, and that it can be executed.
    pub fn in_place(&self) -> &'static str {
        let mode = fs::metadata(&self.swap.binary).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o755);
        match fs::read_to_string(&self.swap.binary).unwrap().as_str() {
            OLD => "old",
            NEW => "new",
            other => panic!("{other:?}"),
        }
    }

    pub fn phase(&self) -> Option<Phase> {
        self.swap.record().unwrap().map(|record| record.phase)
    }

    pub fn record(&self) -> Record {
        self.swap.record().unwrap().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// As the command does.
pub(super) fn upgrade(swap: &Swap, downloaded: &Path) -> Result<(), FileError> {
    let prepared = (|| {
        let copied = swap.copy(downloaded)?;
        swap.make_executable()?;
        Ok(Record { old: swap.sha256(&swap.binary)?, new: copied.sha256, starts: 2, ..record::example() })
    })();
    if prepared.is_err() {
        swap.discard();
    }
    swap.install(&prepared?)
}

/// As the judge does.
pub(super) fn back(swap: &Swap, record: &Record, reason: &str) -> Result<(), FileError> {
    swap.put_back()?;
    swap.end(record, Phase::Returned, reason)
}

#[test]
fn a_swap_leaves_the_new_binary_in_place_and_the_old_one_beside_it() {
    let folder = Folder::new();
    folder.swap();
    assert_eq!((folder.in_place(), folder.phase()), ("new", Some(Phase::Trial)));
    assert_eq!(fs::read_to_string(&folder.swap.old).unwrap(), OLD);
    assert!(!folder.swap.new.exists());
}

#[test]
fn a_way_back_leaves_the_old_binary_and_the_reason_and_one_that_is_kept_stays() {
    let folder = Folder::new();
    folder.swap();
    back(&folder.swap, &folder.record(), "it hangs").unwrap();
    assert_eq!((folder.in_place(), folder.phase()), ("old", Some(Phase::Returned)));
    assert_eq!(folder.record().reason, "it hangs");
    folder.swap();
    folder.swap.end(&folder.record(), Phase::Kept, "").unwrap();
    for _ in 0..5 {
        assert_eq!(folder.guard(), "");
    }
    assert_eq!((folder.in_place(), folder.phase()), ("new", Some(Phase::Kept)));
}

#[test]
fn the_guard_counts_starts_and_brings_the_old_binary_back() {
    let folder = Folder::new();
    folder.swap();
    for left in [1, 0] {
        assert!(folder.guard().ends_with(&format!("starts left after this one: {left}\n")));
        assert_eq!((folder.in_place(), folder.record().starts), ("new", left));
    }
    let said = folder.guard();
    assert!(said.starts_with("upgrade.returned gateway: ") && said.contains("0.1.0 comes back"), "{said}");
    assert_eq!((folder.in_place(), folder.phase()), ("old", Some(Phase::Returned)));
    assert_eq!(folder.record().reason, "it did not become healthy in the starts that it had");
    assert_eq!(folder.guard(), "");
}

#[test]
fn a_binary_of_somebody_else_ends_the_trial() {
    let folder = Folder::new();
    folder.swap();
    fs::write(&folder.swap.binary, "of the package manager").unwrap();
    assert!(folder.guard().starts_with("upgrade.dropped gateway: "));
    assert_eq!(folder.phase(), Some(Phase::Dropped));
    assert_eq!(fs::read_to_string(&folder.swap.binary).unwrap(), "of the package manager");
}

#[test]
fn a_binary_that_is_gone_is_replaced_by_the_old_one_and_a_broken_record_does_nothing() {
    let folder = Folder::new();
    folder.swap();
    fs::remove_file(&folder.swap.binary).unwrap();
    folder.guard();
    assert_eq!((folder.in_place(), folder.phase()), ("old", Some(Phase::Returned)));

    let folder = Folder::new();
    fs::write(&folder.swap.record, "phase=trial\nstarts=many\n").unwrap();
    folder.guard();
    fs::write(&folder.swap.record, [0xff, 0, 0xfe]).unwrap();
    folder.guard();
    assert_eq!(folder.in_place(), "old");
}

#[test]
fn a_second_upgrade_and_one_after_a_way_back_keep_the_binary_that_was_in_place() {
    let folder = Folder::new();
    folder.swap();
    back(&folder.swap, &folder.record(), "by hand").unwrap();
    assert!(folder.swap.keeps_itself());
    folder.swap();
    assert_eq!((folder.in_place(), fs::read_to_string(&folder.swap.old).unwrap().as_str()), ("new", OLD));
    folder.swap.end(&folder.record(), Phase::Kept, "").unwrap();
    fs::write(folder.dir.join("downloaded"), OLD).unwrap();
    folder.swap();
    assert_eq!((folder.in_place(), fs::read_to_string(&folder.swap.old).unwrap().as_str()), ("old", NEW));
}

#[test]
fn a_copy_is_what_was_read_and_not_executable_before_it_is_checked() {
    let folder = Folder::new();
    let copied = folder.swap.copy(&folder.dir.join("downloaded")).unwrap();
    assert_eq!(fs::metadata(&folder.swap.new).unwrap().mode() & 0o777, 0o600);
    let mut hasher = Hasher::default();
    hasher.update(NEW.as_bytes());
    assert_eq!((copied.signed, copied.machine), (hasher.finish(), None));
    assert_eq!(copied.sha256, folder.swap.sha256(&folder.swap.new).unwrap());
    folder.swap.discard();
    assert!(!folder.swap.new.exists());
}

#[test]
fn two_upgrades_at_once_are_one() {
    let folder = Folder::new();
    let lock = folder.swap.try_lock().unwrap();
    assert!(lock.is_some());
    assert!(folder.swap.try_lock().unwrap().is_none());
    drop(lock);
    assert!(folder.swap.try_lock().unwrap().is_some());
}
