//! Torn writes: a cut at any byte leaves the old state or the new one.

mod power;
mod restore;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use gateway_core::secret::Secret;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gateway-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Folder(std::env::temp_dir().join(name))
    }

    fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o777
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn secrets(token: &str) -> Secrets {
    Secrets { auth_token: Some(Secret::new(token.to_owned())), ..Secrets::default() }
}

#[test]
fn an_empty_folder_is_an_empty_state() {
    let folder = Folder::new();
    let store = folder.store();
    assert_eq!(store.secrets().unwrap(), Loaded { value: Secrets::default(), warning: None });
    assert_eq!(store.owned().unwrap().value, Owned::default());
    assert_eq!(store.bindings().unwrap().value, None);
}

#[test]
fn nothing_in_the_folder_is_for_others() {
    let folder = Folder::new();
    let store = folder.store();
    store.save_secrets(&secrets("one")).unwrap();
    store.save_bindings("[1,2,3]").unwrap();
    assert_eq!(store.bindings().unwrap().value.as_deref(), Some("[1,2,3]"));
    assert_eq!(folder.mode(""), 0o700);
    assert_eq!(folder.mode(SECRETS), 0o600);
    assert_eq!(folder.mode(BINDINGS), 0o600);
}

#[test]
fn a_file_that_others_could_read_is_mended_and_told() {
    let folder = Folder::new();
    let store = folder.store();
    store.save_secrets(&secrets("one")).unwrap();
    fs::set_permissions(folder.0.join(SECRETS), fs::Permissions::from_mode(0o644)).unwrap();
    let loaded = store.secrets().unwrap();
    assert_eq!(loaded.value, secrets("one"));
    assert_eq!(
        loaded.warning.unwrap().to_string(),
        format!(
            "{} could be read by others; its mode is now 0600, consider new secrets",
            folder.0.join(SECRETS).display()
        )
    );
    assert_eq!(folder.mode(SECRETS), 0o600);
    assert_eq!(store.secrets().unwrap().warning, None);
}

#[test]
fn an_open_folder_is_closed() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    folder.store();
    assert_eq!(folder.mode(""), 0o700);
}

#[test]
fn a_cut_at_any_byte_of_a_write_leaves_the_old_state() {
    let folder = Folder::new();
    let store = folder.store();
    store.save_secrets(&secrets("old")).unwrap();
    let new = serde_json::to_vec_pretty(&secrets("new")).unwrap();
    for cut in 0..=new.len() {
        // What a power cut before the rename leaves: the old file, and a part of the new one beside it.
        fs::write(folder.0.join("secrets.json.new"), &new[..cut]).unwrap();
        assert_eq!(store.secrets().unwrap(), Loaded { value: secrets("old"), warning: None });
    }
    store.save_secrets(&secrets("new")).unwrap();
    assert_eq!(store.secrets().unwrap().value, secrets("new"));
    assert!(!folder.0.join("secrets.json.new").exists());
}

#[test]
fn a_leftover_that_cannot_be_written_to_does_not_stop_the_next_write() {
    let folder = Folder::new();
    let store = folder.store();
    let leftover = folder.0.join("secrets.json.new");
    fs::write(&leftover, "{").unwrap();
    fs::set_permissions(&leftover, fs::Permissions::from_mode(0o400)).unwrap();
    store.save_secrets(&secrets("one")).unwrap();
    assert_eq!(store.secrets().unwrap().value, secrets("one"));
}

#[test]
fn a_file_cut_at_any_byte_is_kept_aside_and_never_a_panic() {
    let folder = Folder::new();
    let store = folder.store();
    let whole = serde_json::to_vec_pretty(&secrets("sesame")).unwrap();
    for cut in 0..whole.len() {
        fs::write(folder.0.join(SECRETS), &whole[..cut]).unwrap();
        fs::set_permissions(folder.0.join(SECRETS), fs::Permissions::from_mode(0o600)).unwrap();
        let error = store.secrets().unwrap_err().to_string();
        assert!(error.contains("secrets.json cannot be understood (line ") && !error.contains("sesame"), "{error}");
        let loaded = store.secrets_or_none();
        assert_eq!(loaded.value, Secrets::default());
        let warning = loaded.warning.unwrap().to_string();
        assert!(warning.contains("secrets.json cannot be understood") && !warning.contains("sesame"), "{warning}");
        assert_eq!(fs::read(folder.0.join("secrets.json.bad")).unwrap(), &whole[..cut]);
        assert!(!folder.0.join(SECRETS).exists());
        // Out of sight is not mended: it never counts as empty for whoever would write it anew.
        let error = store.secrets().unwrap_err().to_string();
        assert!(error.contains("was kept aside as ") && error.contains("remove "), "{error}");
        assert_eq!(store.secrets_or_none().warning.unwrap().to_string(), error);
        fs::remove_file(folder.0.join("secrets.json.bad")).unwrap();
    }
}

#[test]
fn broken_records_stay_where_they_are_and_are_an_error_each_time() {
    let folder = Folder::new();
    let store = folder.store();
    fs::write(folder.0.join(OWNED), "{").unwrap();
    for _ in 0..2 {
        let error = store.owned().unwrap_err().to_string();
        assert!(error.contains("twilio.json cannot be understood") && error.contains("put a good copy"), "{error}");
    }
    assert_eq!(fs::read(folder.0.join(OWNED)).unwrap(), b"{");
}

#[test]
fn a_lent_token_goes_before_the_one_on_disk_and_is_never_written() {
    let folder = Folder::new();
    let store = folder.store();
    store.save_secrets(&secrets("old")).unwrap();
    let lent = store.clone().with_lent_token(Some(Secret::new("sesame".to_owned())));
    let loaded = lent.secrets().unwrap().value;
    assert_eq!(loaded, secrets("sesame"));
    assert_eq!(store.secrets().unwrap().value, secrets("old"), "nobody asked for the old one to be forgotten yet");
    lent.save_secrets(&loaded).unwrap();
    assert_eq!(store.secrets().unwrap().value, Secrets::default());
    assert!(!format!("{lent:?}").contains("sesame"));
}

#[test]
fn garbage_of_the_right_shape_does_not_reach_the_warning() {
    let folder = Folder::new();
    let store = folder.store();
    fs::write(folder.0.join(SECRETS), br#"{"auth_token": {"sesame": 1}, "extensions": "sesame"}"#).unwrap();
    let error = store.secrets().unwrap_err().to_string();
    let warning = store.secrets_or_none().warning.unwrap().to_string();
    assert!(!error.contains("sesame") && !warning.contains("sesame"), "{error} {warning}");
}

#[test]
fn the_same_state_is_not_written_again() {
    use std::os::unix::fs::MetadataExt;
    let folder = Folder::new();
    let store = folder.store();
    store.save_secrets(&secrets("one")).unwrap();
    let before = fs::metadata(folder.0.join(SECRETS)).unwrap().ino();
    store.save_secrets(&secrets("one")).unwrap();
    assert_eq!(fs::metadata(folder.0.join(SECRETS)).unwrap().ino(), before);
    store.save_secrets(&secrets("two")).unwrap();
    assert_eq!(store.secrets().unwrap().value, secrets("two"));
}

#[test]
fn a_folder_that_cannot_be_made_names_itself_and_the_way_out() {
    let error = Store::open(Path::new("/proc/nowhere/gateway")).unwrap_err().to_string();
    assert!(error.starts_with("/proc/nowhere/gateway cannot be opened: "), "{error}");
    assert!(error.ends_with("check the owner and the space of its folder"), "{error}");
}

#[test]
fn a_lock_that_nobody_has_is_taken_without_a_word() {
    let folder = Folder::new();
    let store = folder.store();
    for _ in 0..2 {
        let lock = store.lock(&mut |told| panic!("{told}")).unwrap();
        assert_eq!(fs::read_to_string(folder.0.join(LOCK)).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(folder.mode(LOCK), 0o600);
        drop(lock);
    }
}

#[test]
fn whoever_waits_for_a_lock_is_told_once_for_whom() {
    let folder = Folder::new();
    let store = folder.store();
    // Locks are of open files, so a second one in this process is as good as another command's. A long leftover shows
    // that the file is cut.
    fs::write(folder.0.join(LOCK), "123456789\n").unwrap();
    let mut held = Some(store.lock(&mut |told| panic!("{told}")).unwrap());
    let mut told = Vec::new();
    store
        .lock(&mut |reason| {
            told.push(reason.to_owned());
            held.take();
        })
        .unwrap();
    assert_eq!(told, [format!("another gateway command (pid {}) is at work; waiting for it", std::process::id())]);
}

#[test]
fn the_last_time_is_what_was_written_and_not_when() {
    let folder = Folder::new();
    let store = folder.store();
    assert_eq!(store.last_time().unwrap(), Loaded { value: None, warning: None });
    store.save_last_time(WallClock(4_000_000_000)).unwrap();
    assert_eq!(store.last_time().unwrap().value, Some(WallClock(4_000_000_000)));
    for broken in ["", "soon", "-1", "[4]"] {
        fs::write(folder.0.join(TIME), broken).unwrap();
        let loaded = store.last_time().unwrap();
        assert!(loaded.value.is_none() && loaded.warning.is_some(), "{broken:?}");
    }
}

#[test]
fn secrets_that_were_kept_aside_can_be_removed_with_the_token_in_them() {
    let folder = Folder::new();
    let store = folder.store();
    assert_eq!(store.remove_bad_secrets().unwrap(), None);
    fs::write(folder.0.join(SECRETS), r#"{"auth_token": "sesame", broken"#).unwrap();
    assert!(store.secrets_or_none().warning.is_some());
    let bad = folder.0.join("secrets.json.bad");
    assert_eq!(folder.mode("secrets.json.bad"), 0o600);
    assert_eq!(store.remove_bad_secrets().unwrap().as_ref(), Some(&bad));
    assert!(!bad.exists());
}
