//! What another user may plant in its folder, for every request that root makes there.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::stat::mknod;
use nix::unistd::mkfifo;

use super::*;
use crate::disk::atomic::{self, Existing, Found};
use crate::disk::{Disk, Owner, RealDisk};

/// Nobody's user id on any machine that runs tests.
const STRANGER: u32 = 54_321;

const CONTENT: &[u8] = b"root:secret\n";

/// A folder of ours with a file that nobody may touch (`victim`), a folder (`elsewhere`) and a folder whose names another
/// user can change (`theirs`). Removed at the end.
struct Scene {
    base: PathBuf,
}

impl Scene {
    /// For everybody: a folder that each user can write.
    fn open_to_all() -> Scene {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gateway-folder-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let base = std::env::temp_dir().join(name);
        fs::create_dir(&base).unwrap();
        fs::set_permissions(&base, Permissions::from_mode(0o755)).unwrap();
        let scene = Scene { base };
        fs::write(scene.victim(), CONTENT).unwrap();
        fs::set_permissions(scene.victim(), Permissions::from_mode(0o644)).unwrap();
        fs::create_dir(scene.base.join("elsewhere")).unwrap();
        fs::create_dir(scene.theirs()).unwrap();
        fs::set_permissions(scene.theirs(), Permissions::from_mode(0o777)).unwrap();
        scene
    }

    /// For root: the folder of a service's user. `None`, with a word about it, for others.
    fn of_a_stranger() -> Option<Scene> {
        if !geteuid().is_root() {
            eprintln!("left out: only root can give a folder to another user");
            return None;
        }
        let scene = Scene::open_to_all();
        fs::set_permissions(scene.theirs(), Permissions::from_mode(0o700)).unwrap();
        chown(scene.theirs(), Some(STRANGER), Some(STRANGER)).unwrap();
        Some(scene)
    }

    fn all() -> impl Iterator<Item = Scene> {
        [Some(Scene::open_to_all()), Scene::of_a_stranger()].into_iter().flatten()
    }

    fn victim(&self) -> PathBuf {
        self.base.join("victim")
    }

    fn theirs(&self) -> PathBuf {
        self.base.join("theirs")
    }

    fn planted(&self) -> PathBuf {
        self.theirs().join("lock")
    }

    /// What the victim is: content, mode, owner.
    fn of_victim(&self) -> (Vec<u8>, u32, u32) {
        let metadata = fs::metadata(self.victim()).unwrap();
        (fs::read(self.victim()).unwrap(), metadata.mode() & 0o7777, metadata.uid())
    }

    fn clear(&self) {
        let _ = fs::remove_file(self.planted());
        let _ = fs::remove_dir(self.planted());
    }

    /// Puts one kind there; `false` where this user cannot.
    fn plant(&self, kind: &str) -> bool {
        self.clear();
        let path = self.planted();
        match kind {
            "link to a file" => symlink(self.victim(), &path).unwrap(),
            "link to nothing" => symlink(self.base.join("made"), &path).unwrap(),
            "link to a folder" => symlink(self.base.join("elsewhere"), &path).unwrap(),
            "link to a device" => symlink("/dev/zero", &path).unwrap(),
            "second name" => fs::hard_link(self.victim(), &path).unwrap(),
            "second name of a link" => {
                let link = self.base.join("link");
                let _ = fs::remove_file(&link);
                symlink(self.victim(), &link).unwrap();
                fs::hard_link(&link, &path).unwrap();
            }
            "pipe" => mkfifo(&path, Mode::from_bits_truncate(0o666)).unwrap(),
            "folder" => fs::create_dir(&path).unwrap(),
            "socket" => drop(UnixListener::bind(&path).unwrap()),
            "device" => return mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), 0x0105).is_ok(),
            other => panic!("{other}"),
        }
        let owner = if geteuid().is_root() { STRANGER } else { geteuid().as_raw() };
        // A second name has the owner of the first.
        if !kind.starts_with("second") {
            lchown(&path, Some(owner), None).unwrap();
        }
        true
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

const KINDS: [&str; 10] = [
    "link to a file",
    "link to nothing",
    "link to a folder",
    "link to a device",
    "second name",
    "second name of a link",
    "pipe",
    "folder",
    "socket",
    "device",
];

/// All that is done to what stands at a path.
fn touched(path: &Path) -> Vec<(&'static str, io::Result<()>)> {
    vec![
        ("lock", atomic::lock(path, &mut |_| panic!("nobody has it")).map(drop)),
        ("read", atomic::read(&RealDisk, path).map(drop)),
        ("open", RealDisk.open(path).map(drop)),
        ("set_mode", RealDisk.set_mode(path, 0o600)),
        ("give", RealDisk.give(path, path.parent().unwrap())),
        ("sync", RealDisk.sync(path)),
    ]
}

#[test]
fn nothing_that_another_user_planted_is_opened_changed_or_given_away() {
    for scene in Scene::all() {
        let before = scene.of_victim();
        for kind in KINDS {
            if !scene.plant(kind) {
                eprintln!("left out: {kind}, which this user cannot make");
                continue;
            }
            for (request, result) in touched(&scene.planted()) {
                // A folder of theirs can be closed and synced: no harm to anybody.
                if kind == "folder" && ["set_mode", "sync"].contains(&request) {
                    result.unwrap();
                    continue;
                }
                let error = result.unwrap_err();
                assert!(is_refused(&error), "{kind}, {request}: {error}");
                let text = error.to_string();
                assert!(text.contains("theirs/lock is ") && text.contains("remove"), "{kind}, {request}: {text}");
                assert_eq!(scene.of_victim(), before, "{kind}, {request}");
                assert!(!scene.base.join("made").exists(), "{kind}, {request}");
            }
        }
    }
}

#[test]
fn what_is_written_takes_the_place_of_the_planted_name_and_of_nothing_else() {
    for scene in Scene::all() {
        let before = scene.of_victim();
        for kind in KINDS {
            for name in ["lock", "lock.new"] {
                if !scene.plant(kind) {
                    continue;
                }
                let path = scene.theirs().join("written");
                // What stands in the way of the file, or of the one that is prepared for it.
                let in_the_way = if name == "lock" { path.clone() } else { scene.theirs().join("written.new") };
                fs::rename(scene.planted(), &in_the_way).unwrap();
                match atomic::write(&RealDisk, &path, b"new") {
                    Err(error) => assert_eq!((kind, error.kind()), ("folder", ErrorKind::IsADirectory)),
                    Ok(()) => {
                        assert_eq!(fs::read(&path).unwrap(), b"new");
                        let written = fs::symlink_metadata(&path).unwrap();
                        let owner = fs::metadata(scene.theirs()).unwrap().uid();
                        assert!(written.is_file() && written.uid() == owner && written.mode() & 0o777 == 0o600);
                    }
                }
                for path in [path, in_the_way, scene.theirs().join("written.new")] {
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_dir(&path);
                }
                assert_eq!(scene.of_victim(), before, "{kind}");
                assert!(!scene.base.join("made").exists(), "{kind}");
            }
        }
    }
}

#[test]
fn no_request_passes_a_link_of_another_user_on_its_way() {
    for scene in Scene::all() {
        let before = scene.of_victim();
        // To the folder of the victim: its names would be root's.
        symlink(&scene.base, scene.planted()).unwrap();
        let victim = scene.planted().join("victim");
        let new = scene.planted().join("made");
        let mut results = touched(&victim);
        results.extend([
            ("write", atomic::write(&RealDisk, &victim, b"theirs")),
            ("write elsewhere", atomic::write_elsewhere(&RealDisk, &victim, b"theirs")),
            ("write config", atomic::write_config(&RealDisk, &victim, b"theirs", Existing::Replace)),
            ("write outside", atomic::write_outside(&RealDisk, &victim, b"theirs", Some(&scene.theirs()))),
            ("create", RealDisk.create(&new, &mut &b""[..], 0o600, Owner::Of(&scene.theirs()))),
            ("make folder", RealDisk.make_dir(&new, 0o700)),
            ("close folder", atomic::make_dir(&RealDisk, &scene.planted())),
            ("rename", RealDisk.rename(&victim, &new)),
            ("rename here", RealDisk.rename(&victim, &scene.theirs().join("mine"))),
            ("link", RealDisk.link(&victim, &new)),
            ("keep aside", atomic::keep_aside(&RealDisk, &victim).map(drop)),
            ("remove", RealDisk.remove(&victim)),
            ("mode", RealDisk.mode(&victim).map(drop)),
            ("up again", RealDisk.remove(&scene.planted().join("elsewhere/../victim"))),
        ]);
        for (request, result) in results {
            let error = result.expect_err(request);
            assert!(is_refused(&error), "{request}: {error}");
        }
        assert_eq!(scene.of_victim(), before);
        let left: Vec<_> = fs::read_dir(&scene.base).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}

#[test]
fn a_link_in_a_folder_of_ours_leads_on_and_one_behind_it_in_theirs_does_not() {
    for scene in Scene::all() {
        let link = scene.base.join("state");
        symlink("elsewhere/./../elsewhere", &link).unwrap();
        atomic::write(&RealDisk, &link.join("file"), b"new").unwrap();
        assert_eq!(fs::read(scene.base.join("elsewhere/file")).unwrap(), b"new");
        let to_file = scene.base.join("elsewhere/link");
        symlink(scene.base.join("elsewhere/file"), &to_file).unwrap();
        assert!(matches!(atomic::read(&RealDisk, &to_file), Ok(Found::Content(content, _)) if content == b"new"));
        // An admin's link to the service's folder is fine, and what its user planted there is not.
        let to_theirs = scene.base.join("to-theirs");
        symlink(scene.theirs(), &to_theirs).unwrap();
        drop(atomic::lock(&to_theirs.join("fine"), &mut |_| {}).unwrap());
        scene.plant("link to a file");
        assert!(is_refused(&atomic::lock(&to_theirs.join("lock"), &mut |_| {}).unwrap_err()));
        fs::remove_dir_all(scene.base.join("elsewhere")).unwrap();
    }
}

#[test]
fn links_that_lead_in_a_circle_end() {
    let scene = Scene::open_to_all();
    symlink("two", scene.base.join("one")).unwrap();
    symlink("one", scene.base.join("two")).unwrap();
    let error = open_file(&scene.base.join("one")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ELOOP as i32));
}

#[test]
fn in_a_folder_for_everybody_only_what_is_our_own_is_passed() {
    let scene = Scene::open_to_all();
    // As /tmp is.
    fs::set_permissions(scene.theirs(), Permissions::from_mode(0o1777)).unwrap();
    let ours = scene.theirs().join("ours");
    fs::create_dir(&ours).unwrap();
    symlink(scene.victim(), ours.join("link")).unwrap();
    open_file(&ours.join("link")).unwrap();
    symlink(&ours, scene.theirs().join("link")).unwrap();
    assert!(is_refused(&open_file(&scene.theirs().join("link/link")).unwrap_err()));
    if geteuid().is_root() {
        chown(&ours, Some(STRANGER), None).unwrap();
        assert!(is_refused(&open_file(&ours.join("link")).unwrap_err()));
    } else {
        eprintln!("left out: only root can give a folder to another user");
    }
}

#[test]
fn a_second_name_of_the_folders_owners_own_file_is_no_harm() {
    let Some(scene) = Scene::of_a_stranger() else { return };
    // What a restore that was cut leaves.
    fs::write(scene.planted(), "kept").unwrap();
    chown(scene.planted(), Some(STRANGER), None).unwrap();
    fs::hard_link(scene.planted(), scene.theirs().join("lock.old")).unwrap();
    open_file(&scene.planted()).unwrap();
}

#[test]
fn a_lock_that_root_left_is_given_to_the_folders_owner_and_nothing_that_stood_in_it() {
    let Some(scene) = Scene::of_a_stranger() else { return };
    // The other name of a file is gone, as passwd(1) removes the former /etc/shadow: nothing tells what it was.
    fs::write(scene.planted(), CONTENT).unwrap();
    let mut theirs = File::open(scene.planted()).unwrap();
    drop(atomic::lock(&scene.planted(), &mut |_| {}).unwrap());
    assert_eq!(fs::metadata(scene.planted()).unwrap().uid(), STRANGER);
    let mut content = String::new();
    theirs.read_to_string(&mut content).unwrap();
    assert_eq!(content, format!("{}\n", std::process::id()));
}

#[test]
fn a_socket_is_reached_by_what_it_is_and_not_by_what_its_name_leads_to() {
    for scene in Scene::all() {
        let spot = |name: &str| Spot::of(&scene.theirs().join(name), Last::Target);
        let listener = UnixListener::bind(scene.base.join("of-root")).unwrap();
        symlink(scene.base.join("of-root"), scene.planted()).unwrap();
        assert!(is_refused(&spot("lock").and_then(|spot| spot.socket()).unwrap_err()));
        scene.clear();
        fs::hard_link(scene.base.join("of-root"), scene.planted()).unwrap();
        assert!(is_refused(&spot("lock").unwrap().socket().unwrap_err()));
        for kind in ["pipe", "folder", "link to a device"] {
            scene.plant(kind);
            assert!(is_refused(&spot("lock").and_then(|spot| spot.socket()).unwrap_err()), "{kind}");
        }
        drop(listener);
        let listener = UnixListener::bind(spot("own").unwrap().path_to_bind()).unwrap();
        let reached = spot("own").unwrap().socket().unwrap();
        // Whatever the name means by now.
        fs::rename(scene.theirs().join("own"), scene.theirs().join("moved")).unwrap();
        std::os::unix::net::UnixStream::connect(&reached.path).unwrap();
        drop(listener);
    }
}
