//! `gateway backup FILE`

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use super::{Done, account, failed, passphrase, told};
use crate::backup::named::{Named, below, named};
use crate::backup::{Backup, MAX_CONTENT, NamedFile};
use crate::disk::folder;
use crate::store::files::{self, Fate};
use crate::store::{self, Store};
use crate::twilio::hosted_folder::scan;
use gateway_core::config::Config;
use gateway_core::time::WallClock;

/// Memory that scrypt is given where the kernel does not say how much there is, in bytes.
const UNKNOWN_MEMORY: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// Where the backup goes; only its owner can read it
    file: PathBuf,
    /// A file with the passphrase as its one line; - is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Replace FILE
    #[arg(long)]
    force: bool,
}

pub(super) fn run(path: &Path, arguments: &BackupArguments) -> Done {
    let file = arguments.file.as_path();
    if file.exists() && !arguments.force {
        return Err(failed(format!("{} is there; --force replaces it", file.display())));
    }
    let config = super::load(path)?;
    let passphrase = passphrase::new(arguments.passphrase_file.as_deref())?;
    let store = super::open_store(&config)?;
    let (backup, left) = {
        // What another command is about to write would be in it by half.
        let _lock = store.lock(&mut account::print_note).map_err(failed)?;
        collect(path, &config, &store)?
    };
    let sealed = backup.seal(passphrase.expose(), spare_memory(), &mut super::random()?);
    let sealed = sealed.map_err(|error| failed(format!("the backup {error}")))?;
    store::write_elsewhere(file, &sealed)
        .map_err(|error| failed(format!("{} cannot be written: {error}", file.display())))?;
    super::print(&format!("{} ({} bytes) has:\n{}", file.display(), sealed.len(), list(&backup)));
    super::print(&format!("it has not:\n{left}"));
    super::print(
        "whoever has it and the passphrase has your account's credentials; without the passphrase it is of no use to \
         anybody: keep the two apart, both off this box\n",
    );
    Ok(())
}

/// What is in a backup, a line each.
pub(super) fn list(backup: &Backup) -> String {
    backup.list().iter().map(|(name, size)| format!("  {name}  {size} bytes\n")).collect()
}

/// How many bytes may be spent on a passphrase while calls go on: half of what there is.
pub(super) fn spare_memory() -> u64 {
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map_or(UNKNOWN_MEMORY, |kib| kib.saturating_mul(512))
}

/// All that goes with it, and lines about what does not.
fn collect(path: &Path, config: &Config, store: &Store) -> Result<(Backup, String), Vec<String>> {
    // A state that cannot be understood is no state to begin anew from.
    told(store.secrets().map_err(failed)?);
    told(store.owned().map_err(failed)?);
    let mut left = String::new();
    let mut reader = Reader { room: MAX_CONTENT };
    let (text, _) = reader.read(path)?;
    let text = String::from_utf8(text).map_err(|_| failed(format!("{} is not UTF-8", path.display())))?;
    let mut state = BTreeMap::new();
    for (name, fate) in files::ALL {
        let is_there = store.path(name).exists();
        match fate {
            // Nobody looks for it in a backup.
            Fate::Left(_) if name == files::LOCK => {}
            Fate::Left(reason) if is_there => left.push_str(&format!("  {}: {reason}\n", store.path(name).display())),
            Fate::Taken if is_there => {
                let (content, _) = reader.read(&store.path(name))?;
                files::check(name, &content).map_err(|reason| {
                    failed(format!("{} cannot be understood ({reason}); remove it first", store.path(name).display()))
                })?;
                state.insert(name, content);
            }
            _ => {}
        }
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut beside = BTreeMap::new();
    for file in named(config) {
        match file.below(folder) {
            Some(_) => reader.read_named(&file, folder, &mut beside)?,
            None => left.push_str(&format!("  {}: {} names it, and it is elsewhere\n", file.path.display(), file.key)),
        }
    }
    if store.has_lent_token() {
        left.push_str("  the auth token that systemd lends (LoadCredential): write it on the new box, too\n");
    }
    left.push_str("  this program, its units and what else is changed in the system\n");
    let about = Backup::about(&config.site.name, WallClock::from_system(SystemTime::now()), folder);
    Ok((Backup { about, config: text, named: beside, state }, left))
}

/// Reads files as long as there is room for them.
struct Reader {
    room: usize,
}

impl Reader {
    /// Content and permission bits.
    fn read(&mut self, path: &Path) -> Result<(Vec<u8>, u32), Vec<String>> {
        let unread = |error: io::Error| failed(format!("{} cannot be read: {error}", path.display()));
        let file = folder::open_file(path).map_err(unread)?;
        let mode = file.metadata().map_err(unread)?.permissions().mode();
        let mut content = Vec::new();
        file.take(self.room as u64 + 1).read_to_end(&mut content).map_err(unread)?;
        self.room = self.room.checked_sub(content.len()).ok_or_else(|| {
            let way = "keep large files out of the folder of the config";
            failed(format!("with {} a backup has more than {MAX_CONTENT} bytes; {way}", path.display()))
        })?;
        Ok((content, mode))
    }

    /// A file that the config names, or all files of a folder.
    fn read_named(&mut self, file: &Named, folder: &Path, into: &mut BTreeMap<String, NamedFile>) -> Done {
        let paths = match file.is_folder {
            true => scan(&file.path).map_err(failed)?.into_iter().map(|file| file.source).collect(),
            false => vec![file.path.clone()],
        };
        for path in paths {
            let (content, mode) = self.read(&path)?;
            let name = below(&path, folder);
            let name = name.ok_or_else(|| failed(format!("{}: its name is not UTF-8; rename it", path.display())))?;
            into.insert(name, NamedFile { content, is_private: mode & 0o004 == 0 });
        }
        Ok(())
    }
}
