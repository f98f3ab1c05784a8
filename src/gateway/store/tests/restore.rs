//! The power cut at every request of a restore.

use std::io::ErrorKind;

use super::super::files::Fate;
use super::super::*;
use crate::disk::fault::{Fault, FaultyDisk};

const DIR: &str = "/var/lib/gateway";
const CONFIG: &str = "/etc/gateway/gateway.toml";
const KEY: &str = "/etc/gateway/key.pem";

/// A folder that is there, on a box that is new or was set up otherwise.
fn disk(had: bool) -> FaultyDisk {
    let disk = FaultyDisk::default();
    for dir in [DIR, "/etc/gateway"] {
        disk.make_dir(Path::new(dir), 0o700).unwrap();
    }
    if had {
        disk.put(Path::new(CONFIG), b"old config", 0o644);
        disk.put(&Path::new(DIR).join(SECRETS), b"{\"auth_token\": \"old\"}", 0o600);
        disk.put(&Path::new(DIR).join(ANSWERS), b"old answers", 0o600);
    }
    disk
}

fn restore(disk: &FaultyDisk) -> Result<(), StoreError> {
    let store = Store::on_any(Box::new(disk.clone()), Path::new(DIR))?;
    let outside = |path: &str, content, is_private| Outside { path: path.into(), content, is_private };
    store.restore(
        &[outside(CONFIG, b"new config", false), outside(KEY, b"new key", true)],
        &[(SECRETS, b"{\"auth_token\": \"new\"}"), (BINDINGS, b"[]")],
    )
}

/// All files but what is kept aside or half written.
fn found(disk: &FaultyDisk) -> Vec<Option<Vec<u8>>> {
    let inside = [SECRETS, BINDINGS, ANSWERS].map(|name| Path::new(DIR).join(name));
    let paths = [PathBuf::from(CONFIG), PathBuf::from(KEY)].into_iter().chain(inside);
    paths.map(|path| disk.read(&path).unwrap().map(|(content, _)| content)).collect()
}

#[test]
fn a_cut_at_any_request_of_a_restore_leaves_the_old_box_or_the_new_or_one_that_says_restore_again() {
    let (mut said, mut old_ones, mut new_ones) = (0, 0, 0);
    for had in [false, true] {
        let before = found(&disk(had));
        let whole = disk(had);
        let began = whole.requests();
        restore(&whole).unwrap();
        let (after, requests) = (found(&whole), whole.requests() - began);
        assert_eq!(after[0].as_deref(), Some(&b"new config"[..]));
        assert_eq!(after[4], None, "what the backup does not have goes");
        for request in 0..requests {
            let disk = disk(had);
            disk.fail_at(request, Fault::Cut);
            restore(&disk).unwrap_err();
            for left in disk.after_cut() {
                let now = found(&left);
                match Store::on(Box::new(left.clone()), Path::new(DIR)) {
                    Err(StoreError::HalfRestored { .. }) => said += 1,
                    Err(error) => panic!("{error}"),
                    Ok(_) if now == before => old_ones += 1,
                    Ok(_) => {
                        assert_eq!(now, after, "a half one, cut at request {request}");
                        new_ones += 1;
                    }
                }
                let was_whole = now == before;
                restore(&left).unwrap();
                assert_eq!(found(&left), after);
                Store::on(Box::new(left.clone()), Path::new(DIR)).unwrap();
                if had && was_whole {
                    let kept = left.read(&Path::new(DIR).join("secrets.json.old")).unwrap().unwrap().0;
                    assert_eq!(kept, b"{\"auth_token\": \"old\"}");
                }
            }
        }
    }
    assert!(said > 50 && old_ones > 20 && new_ones > 0, "{said} {old_ones} {new_ones}");
}

#[test]
fn what_was_there_is_kept_also_by_a_restore_that_goes_on_after_a_cut() {
    let whole = disk(true);
    let began = whole.requests();
    restore(&whole).unwrap();
    for request in 0..whole.requests() - began {
        let disk = disk(true);
        disk.fail_at(request, Fault::Cut);
        restore(&disk).unwrap_err();
        for left in disk.after_cut() {
            restore(&left).unwrap();
            // Only of a restore that was done is the former state the new one.
            let kept = left.read(&Path::new(DIR).join("secrets.json.old")).unwrap().unwrap().0;
            let config = left.read(Path::new("/etc/gateway/gateway.toml.old")).unwrap().unwrap().0;
            if left.read(&Path::new(DIR).join("answers.toml.old")).unwrap().is_some() {
                assert_eq!((&kept[..], &config[..]), (&b"{\"auth_token\": \"old\"}"[..], &b"old config"[..]));
            }
        }
    }
}

#[test]
fn a_full_or_broken_flash_is_an_error_and_the_same_restore_works_once_there_is_room() {
    let whole = disk(true);
    let began = whole.requests();
    restore(&whole).unwrap();
    for request in 0..whole.requests() - began {
        for fault in [Fault::Error(ErrorKind::StorageFull), Fault::Torn(ErrorKind::StorageFull, 4)] {
            let disk = disk(true);
            disk.fail_at(request, fault);
            restore(&disk).unwrap_err();
            restore(&disk).unwrap();
            assert_eq!(found(&disk)[0].as_deref(), Some(&b"new config"[..]));
        }
    }
}

#[test]
fn every_file_of_the_store_is_in_a_backup_or_left_out_for_a_reason() {
    for (name, fate) in files::ALL {
        assert_eq!(files::ALL.iter().filter(|(other, _)| *other == name).count(), 1, "{name}");
        assert!(fate == Fate::Taken || matches!(fate, Fate::Left(reason) if !reason.is_empty()), "{name}");
        assert!(!name.ends_with(".new") && !name.ends_with(".bad") && !name.ends_with(".old"));
    }
}

#[test]
#[should_panic(expected = "src/store/files.rs must say whether a backup takes new_file")]
fn a_file_that_nobody_decided_about_cannot_be_saved_by_any_test() {
    let _ = Store::on(Box::new(disk(false)), Path::new(DIR)).unwrap().save_file("new_file", b"");
}
