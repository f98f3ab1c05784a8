//! A backup is taken whole or not at all.

use super::tar::Entry;
use super::*;
use crate::office::OfficeFile;
use gateway_core::config::Host;

const PASSPHRASE: &str = "correct horse battery";

fn backup() -> Backup {
    let about = Backup::about("office", WallClock(1_800_000_000));
    let key = NamedFile { content: b"key".to_vec(), is_private: true };
    let state = BTreeMap::from([
        (files::SECRETS, b"{\"auth_token\": \"sesame\"}".to_vec()),
        (files::TUNNEL_KEY, b"-----BEGIN".to_vec()),
    ]);
    Backup { about, config: "[site]\n".to_owned(), named: BTreeMap::from([("tls/key.pem".to_owned(), key)]), state }
}

/// A backup of these files, as somebody with the passphrase may make one.
fn sealed(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(name, content): &(&str, &str)| Entry {
        name: (*name).to_owned(),
        mode: 0o600,
        content: content.as_bytes().to_vec(),
    };
    let entries: Vec<Entry> = entries.iter().map(entry).collect();
    age::encrypt(&tar::write(&entries, 0).unwrap(), PASSPHRASE, 0, &mut Random::from_number(1)).unwrap()
}

fn refused(entries: &[(&str, &str)]) -> String {
    match Backup::open(&sealed(entries), PASSPHRASE, 0) {
        Ok(_) => panic!("taken: {entries:?}"),
        Err(error) => error.to_string(),
    }
}

const OURS: (&str, &str) = ("backup.json", r#"{"format": 1, "gateway": "0.1.0"}"#);

#[test]
fn what_was_sealed_is_opened() {
    let sealed = backup().seal(PASSPHRASE, 0, &mut Random::from_number(1)).unwrap();
    let opened = Backup::open(&sealed, PASSPHRASE, 0).unwrap();
    assert!(opened == backup());
    let names: Vec<String> = opened.list().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config/gateway.toml", "config/tls/key.pem", "state/secrets.json", "state/tunnel_key"]);
    let text = String::from_utf8_lossy(&sealed).into_owned();
    assert!(!text.contains("sesame") && !text.contains("secrets.json"), "{text}");
}

#[test]
fn a_backup_of_a_newer_version_is_refused_with_the_way_out() {
    for about in [r#"{"format": 2, "gateway": "0.9.0", "shape": []}"#, r#"{"format": 1, "gateway": "99.0.0"}"#] {
        let told = refused(&[("backup.json", about), ("config/gateway.toml", ""), ("more", "of it")]);
        assert!(told.starts_with("was made by gateway ") && told.contains("upgrade this box first"), "{told}");
    }
}

#[test]
fn what_is_no_part_of_a_backup_is_refused_by_its_name() {
    let config = ("config/gateway.toml", "[site]");
    for name in ["state/lock", "state/secrets.json.bad", "state/answers.toml", "state/x/y", "etc/passwd", "notes.txt"] {
        assert_eq!(refused(&[OURS, config, (name, "")]), format!("holds {name:?}, which is no part of a backup"));
    }
    assert_eq!(refused(&[OURS]), "holds no config/gateway.toml");
    assert_eq!(refused(&[config]), "holds no backup.json");
}

#[test]
fn a_state_that_cannot_be_read_is_refused_without_repeating_it() {
    let config = ("config/gateway.toml", "[site]");
    let told = refused(&[OURS, config, ("state/secrets.json", "{\"auth_token\": sesame")]);
    assert!(told.starts_with("holds a state/secrets.json that cannot be understood (line 1"), "{told}");
    assert!(!told.contains("sesame"), "{told}");
}

#[test]
fn only_files_that_the_config_names_may_lie_beside_it() {
    let office = OfficeFile::new()
        .table("twilio")
        .with("ca_file", "tls/ca.pem")
        .table("hosted")
        .with("assets", "assets")
        .table("emergency")
        .with("failure_sound", "no-line.wav");
    let config = config::parse(&office.to_string(), "/etc/gateway/gateway.toml", &Host::default()).unwrap();
    let with = |path: &str| {
        let file = NamedFile { content: Vec::new(), is_private: false };
        let backup = Backup { named: BTreeMap::from([(path.to_owned(), file)]), ..backup() };
        backup.is_named_by(&config, Path::new("/etc/gateway")).map_err(|error| error.to_string())
    };
    assert_eq!(with("tls/ca.pem"), Ok(()));
    assert_eq!(with("assets/a/b.mp3"), Ok(()));
    assert_eq!(with("no-line.wav"), Ok(()));
    for path in ["tls/other.pem", "assets", "assetsx", "cron.d/job"] {
        assert_eq!(with(path), Err(format!("holds {:?}, which is no part of a backup", format!("config/{path}"))));
    }
}

#[test]
fn a_passphrase_that_can_be_guessed_is_told_and_not_repeated() {
    assert_eq!(passphrase_mistake(PASSPHRASE), None);
    let told = passphrase_mistake("sesame").unwrap();
    assert_eq!(told, "has 6 characters and needs 12; write some words that do not belong together");
    assert!(passphrase_mistake(&"x".repeat(1025)).unwrap().contains("1024 bytes"));
    assert!(passphrase_mistake("correct\nhorse battery").is_some());
}
