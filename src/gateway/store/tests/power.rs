//! Faults at every request of the store to its file system, and the power cut before, in and after each.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::super::*;
use crate::disk::fault::{Fault, FaultyDisk};
use gateway_account::owned::Upload;
use gateway_core::random::Random;
use gateway_core::secret::Secret;

const DIR: &str = "/var/lib/gateway";

/// The files that are saved in a test, each by its own way.
const FILES: [&str; 5] = [SECRETS, OWNED, BINDINGS, ANSWERS, "tunnel_key"];

/// Content of a length that differs.
fn text(number: u64) -> String {
    format!("{number}-{}", "x".repeat(number as usize * 37 % 400))
}

fn save(store: &Store, file: &'static str, number: u64) -> Result<(), StoreError> {
    match file {
        SECRETS => store.save_secrets(&Secrets { auth_token: Some(Secret::new(text(number))), ..Secrets::default() }),
        OWNED => {
            let upload = Upload { sha256: text(number), version_sid: "ZN".into() };
            let mut owned = Owned::default();
            owned.uploads.insert("f".to_owned(), upload);
            store.save_owned(&owned)
        }
        BINDINGS => store.save_bindings(&serde_json::to_string(&[text(number)]).unwrap()),
        ANSWERS => store.save_answers(&text(number)),
        _ => store.save_file(file, text(number).as_bytes()),
    }
}

/// What is loaded; never an error, and nothing odd about it.
fn load(store: &Store, file: &'static str) -> Option<String> {
    fn whole<T>(loaded: Result<Loaded<T>, StoreError>) -> T {
        let loaded = loaded.unwrap();
        assert_eq!(loaded.warning, None);
        loaded.value
    }
    match file {
        SECRETS => whole(store.secrets()).auth_token.map(|token| token.expose().clone()),
        OWNED => whole(store.owned()).uploads.get("f").map(|upload| upload.sha256.clone()),
        BINDINGS => whole(store.bindings()).map(|json| serde_json::from_str::<[String; 1]>(&json).unwrap()[0].clone()),
        ANSWERS => store.answers().unwrap(),
        _ => store.file(file).unwrap().map(|content| String::from_utf8(content).unwrap()),
    }
}

/// What each file may hold: `None` is "absent".
#[derive(Clone, Default)]
struct Allowed(BTreeMap<&'static str, Vec<Option<String>>>);

impl Allowed {
    fn values(&mut self, file: &'static str) -> &mut Vec<Option<String>> {
        self.0.entry(file).or_insert_with(|| vec![None])
    }

    fn check(&mut self, store: &Store, told: &str) {
        for file in FILES {
            let (found, values) = (load(store, file), self.values(file));
            assert!(values.contains(&found), "{told}: {file} holds {found:?}, not one of {values:?}");
        }
    }

    /// After a cut: each file is whole, old or new, and can be saved again.
    fn check_after_cut(&mut self, disk: &FaultyDisk, told: &str) -> usize {
        let left = disk.after_cut();
        for disk in &left {
            let store = Store::on(Box::new(disk.clone()), Path::new(DIR)).unwrap();
            self.check(&store, told);
            for file in FILES {
                save(&store, file, 999).unwrap();
                assert_eq!(load(&store, file), Some(text(999)), "{told}");
            }
        }
        left.len()
    }
}

/// A step of a run: a file, and the number of what is saved.
type Step = (&'static str, u64);

fn steps(seed: u64) -> Vec<Step> {
    let mut random = Random::from_number(seed);
    // Few contents, so that some are saved twice.
    (0..10).map(|_| (FILES[random.below(FILES.len() as u64) as usize], random.below(12))).collect()
}

fn opened(disk: &FaultyDisk) -> Store {
    Store::on(Box::new(disk.clone()), Path::new(DIR)).unwrap()
}

#[test]
fn what_was_saved_survives_a_power_cut_at_any_later_time() {
    for seed in 0..20 {
        let disk = FaultyDisk::default();
        let (store, mut allowed) = (opened(&disk), Allowed::default());
        for (file, number) in steps(seed) {
            save(&store, file, number).unwrap();
            *allowed.values(file) = vec![Some(text(number))];
            allowed.check_after_cut(&disk, "saved");
        }
    }
}

#[test]
fn a_power_cut_at_any_request_leaves_the_old_or_the_new_and_the_next_run_saves_again() {
    let (mut cuts, mut disks) = (0, 0);
    for seed in 0..20 {
        let steps = steps(seed);
        let disk = FaultyDisk::default();
        let store = opened(&disk);
        let opening = disk.requests();
        steps.iter().for_each(|(file, number)| save(&store, file, *number).unwrap());
        for request in 0..disk.requests() - opening {
            let disk = FaultyDisk::default();
            let (store, mut allowed) = (opened(&disk), Allowed::default());
            disk.fail_at(request, Fault::Cut);
            for (file, number) in &steps {
                match save(&store, file, *number) {
                    Ok(()) => *allowed.values(file) = vec![Some(text(*number))],
                    Err(_) => {
                        allowed.values(file).push(Some(text(*number)));
                        break;
                    }
                }
            }
            cuts += 1;
            disks += allowed.check_after_cut(&disk, &format!("seed {seed}, cut before request {request}"));
        }
    }
    println!("{cuts} cuts, {disks} states of the flash after them");
    assert!(cuts > 500 && disks > 2000);
}

#[test]
fn a_request_that_fails_loses_nothing_and_the_same_save_works_once_the_flash_does() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem];
    let errors = kinds.map(Fault::Error).into_iter();
    let torn = (1..=8).map(|eighths| Fault::Torn(ErrorKind::StorageFull, eighths));
    let faults: Vec<Fault> = errors.chain(torn).collect();
    let mut failures = 0;
    for seed in 0..4 {
        let steps = steps(seed);
        let disk = FaultyDisk::default();
        let store = opened(&disk);
        let opening = disk.requests();
        steps.iter().for_each(|(file, number)| save(&store, file, *number).unwrap());
        for request in 0..disk.requests() - opening {
            for fault in &faults {
                let disk = FaultyDisk::default();
                let (store, mut allowed) = (opened(&disk), Allowed::default());
                disk.fail_at(request, *fault);
                for (file, number) in &steps {
                    let told = format!("seed {seed}, {fault:?} at request {request}");
                    let mut failed = false;
                    if let Err(error) = save(&store, file, *number) {
                        (failed, failures) = (true, failures + 1);
                        assert_eq!(store.trouble(), Some(error.to_string()));
                        allowed.values(file).push(Some(text(*number)));
                        // The power may go while the flash is broken, too.
                        allowed.check(&store, &told);
                        allowed.check_after_cut(&disk, &told);
                        save(&store, file, *number).unwrap_or_else(|error| panic!("{told}: {error}"));
                    }
                    assert_eq!(store.trouble(), None);
                    *allowed.values(file) = vec![Some(text(*number))];
                    if failed {
                        allowed.check(&store, &told);
                        allowed.check_after_cut(&disk, &told);
                    }
                }
            }
        }
    }
    assert!(failures > 1000, "{failures}");
}

#[test]
fn a_damaged_file_is_kept_aside_also_when_the_power_goes_meanwhile() {
    let secrets = Path::new(DIR).join(SECRETS);
    for request in 0..3 {
        let disk = FaultyDisk::default();
        disk.put(&secrets, b"{\"auth_token\": \"sesame\", bro", 0o600);
        let store = opened(&disk);
        disk.fail_at(request, Fault::Cut);
        let loaded = store.secrets_or_none();
        // Whatever fails, the service goes on without them and says so.
        assert!(loaded.value == Secrets::default() && loaded.warning.is_some(), "{request}");
        for disk in disk.after_cut() {
            let loaded = opened(&disk).secrets_or_none();
            assert_eq!(loaded.value, Secrets::default());
            let (bad, _) = disk.read(&atomic::aside(&secrets)).unwrap().expect("it is kept, now or before");
            assert!(bad.starts_with(b"{\"auth_token\""));
        }
    }
}

#[test]
fn state_that_others_can_read_is_loaded_and_told_when_a_read_only_flash_keeps_it_so() {
    let secrets = Path::new(DIR).join(SECRETS);
    let disk = FaultyDisk::default();
    disk.put(&secrets, b"{\"auth_token\": \"sesame\"}", 0o644);
    let store = opened(&disk);
    disk.fail_at(0, Fault::Error(ErrorKind::ReadOnlyFilesystem));
    let loaded = store.secrets().unwrap();
    assert!(loaded.value.auth_token.is_some());
    let warning = loaded.warning.unwrap().to_string();
    assert!(
        warning.contains("is read-only") && warning.contains("chmod 600") && !warning.contains("sesame"),
        "{warning}"
    );
    // Once it can be written to.
    assert!(matches!(store.secrets().unwrap().warning, Some(Warning::Exposed { .. })));
}

#[test]
fn a_config_file_is_old_or_new_after_a_cut_at_any_request_and_the_former_one_is_kept() {
    let path = Path::new("/etc/gateway/gateway.toml");
    let content = |disk: &FaultyDisk, path: &Path| disk.read(path).unwrap().map(|(content, _)| content);
    let existing = |is_there| if is_there { Existing::Replace } else { Existing::Keep };
    for had in [false, true] {
        for request in 0..12 {
            let disk = FaultyDisk::default();
            if had {
                disk.put(path, b"old", 0o644);
                disk.put(&atomic::former(path), b"older", 0o644);
            }
            // The folder is there.
            disk.make_dir(path.parent().unwrap(), 0o755).unwrap();
            disk.fail_at(request, Fault::Cut);
            let done = atomic::write_config(&disk, path, b"new config", existing(had));
            for left in disk.after_cut() {
                let found = content(&left, path);
                match (&done, had) {
                    (Ok(()), _) => assert_eq!(found.as_deref(), Some(&b"new config"[..])),
                    (Err(_), true) => {
                        let found = found.expect("there always is one");
                        assert!(found == b"old" || found == b"new config", "{found:?}");
                        if found == b"new config" {
                            assert_eq!(content(&left, &atomic::former(path)).as_deref(), Some(&b"old"[..]));
                        }
                    }
                    (Err(_), false) => assert!(found.is_none_or(|found| found == b"new config")),
                }
                // Set-up goes on.
                let is_there = content(&left, path).is_some();
                atomic::write_config(&left, path, b"newer", existing(is_there)).unwrap();
                assert_eq!(content(&left, path).as_deref(), Some(&b"newer"[..]));
            }
        }
    }
}

#[test]
fn a_config_file_that_somebody_wrote_meanwhile_stays() {
    let path = Path::new("/etc/gateway/gateway.toml");
    let disk = FaultyDisk::default();
    disk.put(path, b"theirs", 0o644);
    let error = atomic::write_config(&disk, path, b"ours", Existing::Keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.read(path).unwrap().unwrap().0, b"theirs");
}
