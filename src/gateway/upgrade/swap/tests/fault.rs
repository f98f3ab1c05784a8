//! A fault at every request of an upgrade to its disk, and the power cut at each; each boot runs the guard. Whatever is
//! found is a binary that runs, one on trial has somebody who knows, and nothing is in the way of the next upgrade.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use super::super::*;
use super::{Folder, NEW, OLD, back, upgrade};
use crate::disk::fault::{Fault, FaultyDisk, Files};

const BINARY: &str = "/usr/bin/gateway";
const DOWNLOADED: &str = "/tmp/downloaded";

/// Boots until whatever is on trial has used up its starts, and one more.
const BOOTS: usize = 4;

/// One box: its disk, and what is there of its binaries.
struct Router {
    disk: FaultyDisk,
    swap: Swap,
}

impl Router {
    fn on(disk: FaultyDisk) -> Router {
        let swap = Swap::on(Arc::new(disk.clone()), BINARY.into());
        Router { disk, swap }
    }

    fn new(has_links: bool) -> Router {
        let disk = FaultyDisk::default();
        let disk = if has_links { disk } else { disk.without_links() };
        disk.put(Path::new(BINARY), OLD.as_bytes(), 0o755);
        disk.put(Path::new(DOWNLOADED), NEW.as_bytes(), 0o644);
        Router::on(disk)
    }

    /// One with the new binary on trial.
    fn on_trial(has_links: bool) -> Router {
        let new = Router::new(has_links);
        new.upgrade().unwrap();
        new
    }

    fn upgrade(&self) -> Result<(), FileError> {
        upgrade(&self.swap, Path::new(DOWNLOADED))
    }

    fn back(&self) -> Result<(), FileError> {
        let record = self.swap.record()?.unwrap();
        back(&self.swap, &record, "it hangs")
    }

    fn content(&self, path: &Path) -> Option<String> {
        let (content, _) = self.disk.files().get(path)?.clone();
        Some(String::from_utf8(content).unwrap())
    }

    /// What would start now; and it can be executed.
    fn in_place(&self, told: &str) -> &'static str {
        assert_eq!(self.disk.files()[&self.swap.binary].1, 0o755, "{told}");
        match self.content(&self.swap.binary).unwrap().as_str() {
            OLD => "old",
            NEW => "new",
            other => panic!("{told}: {other:?}"),
        }
    }

    /// The record says what is in place, and the way back from the new binary is there.
    fn is_told(&self, told: &str) {
        let phase = self.swap.standing().unwrap().map(|record| record.phase);
        match self.in_place(told) {
            "old" => assert_ne!(phase, Some(Phase::Trial), "{told}"),
            _ => {
                assert!(matches!(phase, Some(Phase::Trial | Phase::Kept)), "{told}: {phase:?}");
                assert_eq!(self.content(&self.swap.old).as_deref(), Some(OLD), "{told}");
                assert_eq!(self.disk.files()[&self.swap.old].1, 0o755, "{told}");
            }
        }
    }

    fn names(&self) -> BTreeSet<String> {
        self.disk.files().keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// A box as the power cut leaves it, on a real disk for the guard.
    fn real(&self) -> Folder {
        let folder = Folder::new();
        for (path, (content, mode)) in self.disk.files().iter().filter(|(path, _)| path.starts_with("/usr/bin")) {
            let path = folder.dir.join(path.file_name().unwrap());
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        folder
    }
}

/// Boots of what power cuts left, each once.
#[derive(Default)]
struct Boots(BTreeSet<Files>);

impl Boots {
    /// The power goes now: after one boot the binary is told, and after some more `last` is in place, whichever was.
    fn after_cut(&mut self, cut: &Router, last: &[&str], told: &str) {
        for left in cut.disk.after_cut() {
            if !self.0.insert(left.files()) {
                continue;
            }
            let left = Router::on(left);
            left.in_place(told);
            let folder = left.real();
            folder.guard();
            let (is_new, phase) = (folder.in_place() == "new", folder.phase());
            assert_eq!(is_new, matches!(phase, Some(Phase::Trial | Phase::Kept)), "{told}: {phase:?}");
            (1..BOOTS).for_each(|_| drop(folder.guard()));
            assert!(last.contains(&folder.in_place()), "{told}: {}", folder.in_place());
            // Nothing is in the way of the next upgrade.
            if folder.in_place() == "old" {
                upgrade(&folder.swap, &folder.dir.join("downloaded")).unwrap_or_else(|error| panic!("{told}: {error}"));
                assert_eq!((folder.in_place(), folder.phase()), ("new", Some(Phase::Trial)), "{told}");
            }
        }
    }
}

/// Every fault but the power cut.
fn faults() -> Vec<Fault> {
    let kinds = [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem];
    let torn = (1..=8).map(|eighths| Fault::Torn(ErrorKind::StorageFull, eighths));
    kinds.map(Fault::Error).into_iter().chain(kinds.map(Fault::Lasting)).chain(torn).collect()
}

/// Runs an act on a new box with a fault at each of its requests; `check` sees each one that failed, and why.
fn with_faults(
    start: fn(bool) -> Router,
    act: fn(&Router) -> Result<(), FileError>,
    faults: &[Fault],
    mut check: impl FnMut(&Router, &FileError, &str),
) {
    for has_links in [true, false] {
        let whole = start(has_links);
        let began = whole.disk.requests();
        act(&whole).unwrap();
        let requests = whole.disk.requests() - began;
        let mut failures = 0;
        for request in 0..requests {
            for fault in faults {
                let faulty = start(has_links);
                faulty.disk.fail_at(request, *fault);
                let told = format!("{fault:?} at request {request} of {requests}, links: {has_links}");
                if let Err(error) = act(&faulty) {
                    failures += 1;
                    check(&faulty, &error, &told);
                }
            }
        }
        assert!(failures >= (requests - 1) * faults.len() / 2, "{failures} failures of {requests} requests");
    }
}

/// An error names the file and the way out.
fn is_helpful(error: &FileError, told: &str) {
    let error = error.to_string();
    assert!(error.starts_with(BINARY) && error.contains(" cannot be ") && error.contains("; "), "{told}: {error}");
}

#[test]
fn an_upgrade_that_a_fault_stops_leaves_the_old_binary_or_a_trial_and_the_same_upgrade_works_later() {
    let mut boots = Boots::default();
    with_faults(Router::new, Router::upgrade, &faults(), |faulty, error, told| {
        is_helpful(error, told);
        faulty.is_told(told);
        boots.after_cut(faulty, &["old"], told);
        faulty.disk.mend();
        faulty.is_told(told);
        if !told.contains("Lasting") {
            assert_eq!(faulty.in_place(told), "old", "{told}");
            let known = ["downloaded", "gateway", "gateway.old", "gateway.upgrade"];
            assert!(faulty.names().iter().all(|name| known.contains(&name.as_str())), "{told}: {:?}", faulty.names());
        }
        if faulty.in_place(told) == "new" {
            // It could not be taken back: that is a trial, which says so and has a way back.
            faulty.back().unwrap();
        }
        faulty.upgrade().unwrap_or_else(|error| panic!("{told}: {error}"));
        assert_eq!(faulty.in_place(told), "new", "{told}");
        faulty.is_told(told);
    });
}

#[test]
fn a_power_cut_at_each_request_of_an_upgrade_leaves_a_binary_that_runs_and_is_told() {
    let mut boots = Boots::default();
    with_faults(Router::new, Router::upgrade, &[Fault::Cut], |cut, _, told| boots.after_cut(cut, &["old"], told));
    boots.after_cut(&Router::on_trial(true), &["old"], "on trial");
    assert!(boots.0.len() > 20, "{}", boots.0.len());
}

#[test]
fn a_way_back_that_a_fault_stops_is_gone_again() {
    let mut boots = Boots::default();
    with_faults(Router::on_trial, Router::back, &faults(), |faulty, error, told| {
        is_helpful(error, told);
        faulty.is_told(told);
        boots.after_cut(faulty, &["old"], told);
        faulty.disk.mend();
        faulty.back().unwrap_or_else(|error| panic!("{told}: {error}"));
        let record = faulty.swap.record().unwrap().unwrap();
        assert_eq!((faulty.in_place(told), record.phase), ("old", Phase::Returned), "{told}");
        assert_eq!(record.reason, "it hangs");
        faulty.is_told(told);
    });
    with_faults(Router::on_trial, Router::back, &[Fault::Cut], |cut, _, told| boots.after_cut(cut, &["old"], told));
}

#[test]
fn a_binary_that_was_healthy_stays_whatever_becomes_of_its_record() {
    let mut boots = Boots::default();
    let keep = |on_trial: &Router| on_trial.swap.end(&on_trial.swap.record()?.unwrap(), Phase::Kept, "");
    let mut all = faults();
    all.push(Fault::Cut);
    with_faults(Router::on_trial, keep, &all, |faulty, error, told| {
        is_helpful(error, told);
        assert_eq!(faulty.in_place(told), "new", "{told}");
        // Nobody starts the judge here, who would write it again.
        boots.after_cut(faulty, &["old", "new"], told);
        faulty.disk.mend();
        faulty.is_told(told);
    });
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_nothing_is_replaced() {
    for unreadable in [DOWNLOADED, BINARY] {
        let worn = Router::new(true);
        worn.disk.wear_out(Path::new(unreadable));
        let error = worn.upgrade().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{unreadable} cannot be read: Input/output error")), "{error}");
        assert!(error.contains("dmesg"), "{error}");
        assert_eq!(worn.names(), ["downloaded", "gateway"].map(str::to_owned).into());
    }
    // Where the old one is a copy, it has to be read for the way back.
    let worn = Router::on_trial(false);
    worn.disk.wear_out(&worn.swap.old);
    let error = worn.back().unwrap_err().to_string();
    assert!(error.starts_with("/usr/bin/gateway.old cannot be read: "), "{error}");
    assert_eq!(worn.in_place(""), "new");
    worn.disk.wear_out(&worn.swap.record);
    let error = worn.swap.standing().unwrap_err().to_string();
    assert!(error.starts_with("/usr/bin/gateway.upgrade cannot be read: "), "{error}");
}
