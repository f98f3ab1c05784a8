//! The power goes after every step, and each boot runs the guard: whatever it finds is a binary that runs, and one that
//! is on trial has somebody who knows.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::upgrade::signature::Hasher;

const OLD: &str = "#!/bin/sh\necho old\n";
const NEW: &str = "#!/bin/sh\necho new\n";

/// A folder with a binary in it, and beside it what could be the new one; removed at the end.
struct Folder {
    dir: PathBuf,
    place: Place,
}

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gateway-upgrade-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let place = Place::of(dir.join("gateway"));
        fs::write(&place.binary, OLD).unwrap();
        fs::set_permissions(&place.binary, Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("downloaded"), NEW).unwrap();
        Folder { dir, place }
    }

    /// As the command does before it swaps.
    fn prepared(&self) -> Record {
        let copied = self.place.copy(&self.dir.join("downloaded")).unwrap();
        self.place.make_executable().unwrap();
        let old = sha256(&self.place.binary).unwrap();
        Record { old, new: copied.sha256, starts: 2, ..record::example() }
    }

    /// Swaps until the power goes after so many steps.
    fn swap_until(&self, steps: usize) -> bool {
        let record = self.prepared();
        self.place.swap(&record, &mut cut_after(steps)).is_ok()
    }

    /// As an init system does before each start.
    fn guard(&self) -> String {
        let guard = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/upgrade-guard");
        let said = Command::new("sh").arg(guard).arg(&self.place.binary).output().unwrap();
        assert!(said.status.success());
        String::from_utf8(said.stderr).unwrap()
    }

    /// What the binary is, and that it can be executed.
    fn in_place(&self) -> &'static str {
        let mode = fs::metadata(&self.place.binary).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o755);
        match fs::read_to_string(&self.place.binary).unwrap().as_str() {
            OLD => "old",
            NEW => "new",
            other => panic!("{other:?}"),
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.place.record().unwrap().map(|record| record.phase)
    }

    fn record(&self) -> Record {
        self.place.record().unwrap().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The power goes after so many steps.
fn cut_after(mut steps: usize) -> impl FnMut(Step) -> io::Result<()> {
    move |_| {
        if steps == 0 {
            return Err(io::Error::other("the power went"));
        }
        steps -= 1;
        Ok(())
    }
}

#[test]
fn a_swap_leaves_the_new_binary_in_place_and_the_old_one_beside_it() {
    let folder = Folder::new();
    let record = folder.prepared();
    let mut steps = Vec::new();
    let mut told = |step| {
        steps.push(step);
        Ok(())
    };
    folder.place.swap(&record, &mut told).unwrap();
    assert_eq!(steps, [Step::Linked, Step::Kept, Step::Written, Step::Recorded, Step::Swapped]);
    assert_eq!((folder.in_place(), folder.phase()), ("new", Some(Phase::Trial)));
    assert_eq!(fs::read_to_string(&folder.place.old).unwrap(), OLD);
    assert!(!folder.place.new.exists());
}

#[test]
fn a_power_cut_after_each_step_of_a_swap_leaves_the_old_binary_or_a_trial() {
    let mut found = Vec::new();
    for steps in 0.. {
        let folder = Folder::new();
        let is_whole = folder.swap_until(steps);
        folder.guard();
        found.push((folder.in_place(), folder.phase()));
        if folder.in_place() == "new" {
            let record = folder.record();
            assert_eq!((record.phase, record.starts), (Phase::Trial, 1));
            assert_eq!(sha256(&folder.place.old).unwrap(), record.old);
        } else {
            // Nothing is in the way of the next upgrade.
            assert!(folder.swap_until(99));
            assert_eq!((folder.in_place(), folder.phase()), ("new", Some(Phase::Trial)));
        }
        if is_whole {
            break;
        }
    }
    // The last but one is the cut right after the swap.
    let (old, new) = (("old", None), ("new", Some(Phase::Trial)));
    assert_eq!(found, [old, old, old, ("old", Some(Phase::Returned)), new, new]);
}

#[test]
fn a_power_cut_after_each_step_of_the_way_back_ends_with_the_old_binary() {
    for steps in 0.. {
        let folder = Folder::new();
        assert!(folder.swap_until(99));
        let is_whole = folder.place.back(&folder.record(), "it hangs", &mut cut_after(steps)).is_ok();
        // As often as it takes: each boot takes a start.
        for _ in 0..3 {
            folder.guard();
        }
        assert_eq!((folder.in_place(), folder.phase()), ("old", Some(Phase::Returned)), "after {steps} steps");
        assert_eq!(fs::read_to_string(&folder.place.old).unwrap(), OLD);
        if is_whole {
            assert_eq!(folder.record().reason, "it hangs");
            return;
        }
    }
}

#[test]
fn a_power_cut_after_each_step_of_keeping_ends_with_a_binary_that_was_healthy() {
    for steps in 0..2 {
        let folder = Folder::new();
        assert!(folder.swap_until(99));
        let _ = folder.place.end(&folder.record(), Phase::Kept, "", &mut cut_after(steps));
        folder.guard();
        assert_eq!(folder.in_place(), "new");
    }
    let folder = Folder::new();
    assert!(folder.swap_until(99));
    folder.place.end(&folder.record(), Phase::Kept, "", &mut cut_after(99)).unwrap();
    for _ in 0..5 {
        assert_eq!(folder.guard(), "");
    }
    assert_eq!((folder.in_place(), folder.phase()), ("new", Some(Phase::Kept)));
}

#[test]
fn the_guard_counts_starts_and_brings_the_old_binary_back() {
    let folder = Folder::new();
    assert!(folder.swap_until(99));
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
    assert!(folder.swap_until(99));
    fs::write(&folder.place.binary, "of the package manager").unwrap();
    assert!(folder.guard().starts_with("upgrade.dropped gateway: "));
    assert_eq!(folder.phase(), Some(Phase::Dropped));
    assert_eq!(fs::read_to_string(&folder.place.binary).unwrap(), "of the package manager");
}

#[test]
fn a_binary_that_is_gone_is_replaced_by_the_old_one_and_a_broken_record_does_nothing() {
    let folder = Folder::new();
    assert!(folder.swap_until(99));
    fs::remove_file(&folder.place.binary).unwrap();
    folder.guard();
    assert_eq!((folder.in_place(), folder.phase()), ("old", Some(Phase::Returned)));

    let folder = Folder::new();
    fs::write(&folder.place.record, "phase=trial\nstarts=many\n").unwrap();
    folder.guard();
    fs::write(&folder.place.record, [0xff, 0, 0xfe]).unwrap();
    folder.guard();
    assert_eq!(folder.in_place(), "old");
}

#[test]
fn a_second_upgrade_and_one_after_a_way_back_keep_the_binary_that_was_in_place() {
    let folder = Folder::new();
    assert!(folder.swap_until(99));
    folder.place.back(&folder.record(), "by hand", &mut cut_after(99)).unwrap();
    assert!(is_same(&folder.place.binary, &folder.place.old));
    assert!(folder.swap_until(99));
    assert_eq!((folder.in_place(), fs::read_to_string(&folder.place.old).unwrap().as_str()), ("new", OLD));
    folder.place.end(&folder.record(), Phase::Kept, "", &mut cut_after(99)).unwrap();
    fs::write(folder.dir.join("downloaded"), OLD).unwrap();
    assert!(folder.swap_until(99));
    assert_eq!((folder.in_place(), fs::read_to_string(&folder.place.old).unwrap().as_str()), ("old", NEW));
}

#[test]
fn a_copy_is_what_was_read_and_not_executable_before_it_is_checked() {
    let folder = Folder::new();
    let copied = folder.place.copy(&folder.dir.join("downloaded")).unwrap();
    assert_eq!(fs::metadata(&folder.place.new).unwrap().mode() & 0o777, 0o600);
    let mut hasher = Hasher::default();
    hasher.update(NEW.as_bytes());
    assert_eq!((copied.signed, copied.machine), (hasher.finish(), None));
    assert_eq!(copied.sha256, sha256(&folder.place.new).unwrap());
    folder.place.discard();
    assert!(!folder.place.new.exists());
}

#[test]
fn two_upgrades_at_once_are_one() {
    let folder = Folder::new();
    let lock = folder.place.try_lock().unwrap();
    assert!(lock.is_some());
    assert!(folder.place.try_lock().unwrap().is_none());
    drop(lock);
    assert!(folder.place.try_lock().unwrap().is_some());
}
