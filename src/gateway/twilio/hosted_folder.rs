//! What stands in the folder: paths, sizes, contents' digests.

use std::fs::{self, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::disk::folder;
use gateway_account::hosted::{File, HostedError};
use gateway_core::hex::hex;

/// Most files of the folder.
pub const MAX_FILES: usize = 1000;

/// Largest file, in bytes: Twilio takes no larger one.
pub const MAX_FILE: u64 = 25 << 20;

/// Longest path at Twilio, in bytes (TWILIO.md "Assets").
pub const MAX_PATH: usize = 255;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// All files of a folder and its subfolders, sorted by path. Those whose name begins with a dot are left out.
pub fn scan(folder: &Path) -> Result<Vec<File>, HostedError> {
    let root = fs::canonicalize(folder).map_err(|error| refused(folder, format!("cannot be read: {error}")))?;
    let mut files = Vec::new();
    // Folders that are still to be read, each with its path at Twilio. Paths have a bound, so there is an end.
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, path)) = folders.pop() {
        let unread = |error: std::io::Error| refused(&folder, format!("cannot be read: {error}"));
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let source = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(refused(&source, "its name is not UTF-8; rename it"));
            };
            if name.starts_with('.') {
                continue;
            }
            let path = checked(&source, format!("{path}/{name}"))?;
            let metadata = resolved(&root, &source, &entry)?;
            if metadata.is_dir() {
                folders.push((source, path));
            } else if metadata.is_file() {
                if files.len() == MAX_FILES {
                    return Err(refused(&source, format!("there are more than {MAX_FILES} files; remove some")));
                }
                files.push(read(source, path)?);
            } else {
                return Err(refused(&source, "is neither a file nor a folder; remove it"));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What an entry is. A link may lead to a file in the folder: whatever else it leads to was hardly meant to be shown to
/// the world.
fn resolved(root: &Path, source: &Path, entry: &fs::DirEntry) -> Result<Metadata, HostedError> {
    let failed = |error: std::io::Error| refused(source, format!("cannot be read: {error}"));
    let metadata = entry.metadata().map_err(failed)?;
    if !metadata.is_symlink() {
        return Ok(metadata);
    }
    let target = fs::canonicalize(source).map_err(failed)?;
    let metadata = fs::metadata(&target).map_err(failed)?;
    match target.starts_with(root) && metadata.is_file() {
        true => Ok(metadata),
        false => {
            Err(refused(source, "is a link that does not lead to a file of this folder; put the file itself here"))
        }
    }
}

/// The path, if Twilio takes it and it is the same in every URL.
fn checked(source: &Path, path: String) -> Result<String, HostedError> {
    // RFC 3986 section 2.3
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if let Some(other) = path.chars().find(|c| !is_unreserved(*c)) {
        let way = "rename it, with letters, digits, \"-\", \".\", \"_\" and \"~\" only";
        return Err(refused(source, format!("{other:?} in its name is not fine in a URL; {way}")));
    }
    match path.len() > MAX_PATH {
        true => Err(refused(source, format!("its path has more than {MAX_PATH} characters; rename it"))),
        false => Ok(path),
    }
}

fn read(source: PathBuf, path: String) -> Result<File, HostedError> {
    let failed = |error: std::io::Error| refused(&source, format!("cannot be read: {error}"));
    let mut content = folder::open_file(&source).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let read = match content.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        bytes += read as u64;
        if bytes > MAX_FILE {
            let reason = format!("it has more than {} MB, the most that Twilio takes; make it smaller", MAX_FILE >> 20);
            return Err(refused(&source, reason));
        }
        digest.update(&chunk[..read]);
    }
    let sha256 = hex(&digest.finalize());
    Ok(File { path, source, bytes, sha256 })
}

/// What is in a file now; one that has grown over [`MAX_FILE`] is cut.
pub(super) fn content(file: &File) -> Result<Vec<u8>, HostedError> {
    let failed = |error: std::io::Error| refused(&file.source, format!("cannot be read: {error}"));
    let mut content = Vec::new();
    let mut opened = folder::open_file(&file.source).map_err(failed)?.take(MAX_FILE + 1);
    opened.read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

fn refused(path: &Path, reason: impl Into<String>) -> HostedError {
    HostedError::File { path: path.display().to_string(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("gateway-hosted-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn with(files: &[(&str, &str)]) -> Folder {
            let folder = Folder::new();
            files.iter().for_each(|(path, content)| folder.write(path, content));
            folder
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn refused(&self) -> String {
            let error = scan(&self.0).unwrap_err().to_string();
            let start = format!("hosted.assets: {}/", self.0.display());
            error.strip_prefix(&start).unwrap_or_else(|| panic!("{error}")).to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_is_its_files_and_those_of_its_subfolders_sorted_by_path() {
        let folder = Folder::with(&[("b.txt", "abc"), ("a/z.mp3", ""), ("a/b/c-1_~.wav", "x"), ("a.txt", "y")]);
        let files = scan(&folder.0).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(paths, ["/a.txt", "/a/b/c-1_~.wav", "/a/z.mp3", "/b.txt"]);
        // FIPS 180-2 appendix B.1: the digest of "abc".
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let source = folder.0.join("b.txt");
        assert_eq!(files[3], File { path: "/b.txt".to_owned(), source, bytes: 3, sha256 });
    }

    #[test]
    fn hidden_files_and_folders_are_left_out() {
        let folder = Folder::with(&[(".git/config", ""), ("a/.DS_Store", ""), ("a/b", "")]);
        let files = scan(&folder.0).unwrap();
        assert_eq!(files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["/a/b"]);
    }

    #[test]
    fn a_folder_that_is_not_there_names_itself() {
        let error = scan(Path::new("/nowhere/sounds")).unwrap_err().to_string();
        assert!(error.starts_with("hosted.assets: /nowhere/sounds: cannot be read: "), "{error}");
    }

    #[test]
    fn a_name_that_is_not_fine_in_a_url_is_refused_with_the_way_out() {
        for (name, shown) in [("a b.txt", "' '"), ("ü", "'ü'"), ("a?b", "'?'"), ("a%20b", "'%'")] {
            assert_eq!(
                Folder::with(&[(name, "")]).refused(),
                format!(
                    "{name}: {shown} in its name is not fine in a URL; rename it, with letters, digits, \"-\", \".\", \"_\" \
                     and \"~\" only"
                )
            );
        }
    }

    #[test]
    fn a_path_has_a_bound() {
        let at_most = format!("{}/{}", "a".repeat(200), "b".repeat(MAX_PATH - 202));
        let folder = Folder::with(&[(&at_most, "")]);
        assert_eq!(scan(&folder.0).unwrap()[0].path.len(), MAX_PATH);
        let reason = format!("{at_most}b: its path has more than 255 characters; rename it");
        assert_eq!(Folder::with(&[(&format!("{at_most}b"), "")]).refused(), reason);
    }

    #[test]
    fn a_file_has_a_bound() {
        let folder = Folder::with(&[("a.wav", "")]);
        let file = fs::File::options().write(true).open(folder.0.join("a.wav")).unwrap();
        // Sparse: it takes no space.
        file.set_len(MAX_FILE).unwrap();
        assert_eq!(scan(&folder.0).unwrap()[0].bytes, MAX_FILE);
        file.set_len(MAX_FILE + 1).unwrap();
        assert_eq!(folder.refused(), "a.wav: it has more than 25 MB, the most that Twilio takes; make it smaller");
    }

    #[test]
    fn the_number_of_files_has_a_bound() {
        let folder = Folder::new();
        for number in 0..MAX_FILES {
            fs::write(folder.0.join(number.to_string()), "").unwrap();
        }
        assert_eq!(scan(&folder.0).unwrap().len(), MAX_FILES);
        folder.write("one-more", "");
        assert!(folder.refused().ends_with(": there are more than 1000 files; remove some"));
    }

    #[test]
    fn a_link_leads_to_a_file_of_the_folder_or_nowhere() {
        let folder = Folder::with(&[("a/b", "x")]);
        symlink("a/b", folder.0.join("c")).unwrap();
        assert_eq!(scan(&folder.0).unwrap().iter().map(|file| &*file.path).collect::<Vec<_>>(), ["/a/b", "/c"]);
        for target in ["/etc/passwd", "..", "a", "."] {
            fs::remove_file(folder.0.join("c")).unwrap();
            symlink(target, folder.0.join("c")).unwrap();
            let reason = "c: is a link that does not lead to a file of this folder; put the file itself here";
            assert_eq!(folder.refused(), reason, "{target}");
        }
        fs::remove_file(folder.0.join("c")).unwrap();
        symlink("nowhere", folder.0.join("c")).unwrap();
        assert!(folder.refused().starts_with("c: cannot be read: "));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = Folder::new();
        let _socket = std::os::unix::net::UnixListener::bind(folder.0.join("s")).unwrap();
        assert_eq!(folder.refused(), "s: is neither a file nor a folder; remove it");
    }
}
