//! `gateway restore FILE`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Done, account, ask, check, failed, passphrase};
use crate::backup::named::named;
use crate::backup::{Backup, MAX_FILE};
use crate::config_file;
use crate::disk::{Disk, RealDisk};
use crate::store::files::{self, Fate};
use crate::store::{Outside, Store};
use gateway_core::config::tunnel::Driver;
use gateway_core::config::{self, Config};
use gateway_core::plain::{plain, plain_lines};

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// What "gateway backup" wrote
    file: PathBuf,
    /// A file with the passphrase as its one line; - is standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Replace the config and the state that are here; they are kept as NAME.old
    #[arg(long)]
    force: bool,
    /// Check it and show what is in it, without secrets; write nothing
    #[arg(long, visible_alias = "dry-run")]
    list: bool,
}

pub(super) fn run(path: &Path, arguments: &RestoreArguments) -> Done {
    let file = arguments.file.as_path();
    let of_file = |error: &dyn std::fmt::Display| failed(format!("{} {error}", file.display()));
    let sealed = read(file)?;
    let passphrase = passphrase::known(arguments.passphrase_file.as_deref())?;
    let mut backup =
        Backup::open(&sealed, passphrase.expose(), super::backup::spare_memory()).map_err(|error| of_file(&error))?;
    drop(sealed);
    super::print(&title(&backup));
    if arguments.list {
        super::print(&super::backup::list(&backup));
    }
    let mut config = parse(&backup.config, path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    if backup.is_named_by(&config, folder).is_err() {
        let mut moved = backup.moved(&config);
        std::mem::swap(&mut backup.config, &mut moved);
        config = parse(&backup.config, path)?;
    }
    super::print(&programs(&config));
    backup.is_named_by(&config, folder).map_err(|error| {
        let way = "the config names it by a path of another folder: restore it where it was, by --config";
        failed(format!("{} {error}; {way}", file.display()))
    })?;
    if arguments.list {
        return Ok(());
    }
    is_stopped(path, &config)?;
    let outside = outside(&backup, path, folder);
    // Nothing has been written until here.
    let is_half = config.site.state_dir.join(files::RESTORING).exists();
    if !arguments.force && !is_half {
        is_new(&outside, &config)?;
    }
    let store = Store::open_to_restore(&config.site.state_dir).map_err(failed)?;
    let _lock = store.lock(&mut account::print_note).map_err(failed)?;
    let state: Vec<(&'static str, &[u8])> = backup.state.iter().map(|(name, content)| (*name, &content[..])).collect();
    store.restore(&outside, &state).map_err(|error| {
        let way = "once that is mended, run the same command again";
        failed(format!("{error}; {way}"))
    })?;
    super::print(&super::backup::list(&backup));
    if arguments.force && !is_half {
        super::print("what was here before is kept as NAME.old beside each of them\n");
    }
    // Mistakes are of this box, such as an address that it does not have: told, and no reason to take all of it back.
    if let Err(lines) = check::run(path) {
        super::warn(&lines);
    }
    super::warn(&missing(&config));
    super::print(
        "stop the old box before this one runs: two boxes with the same credentials take each other's calls\n\
         next: systemctl restart gateway, then \"gateway status\" and \"gateway plan\" (nothing to change)\n",
    );
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Vec<String>> {
    let unread = |error: std::io::Error| failed(format!("{} cannot be read: {error}", file.display()));
    let mut content = Vec::new();
    File::open(file).map_err(unread)?.take(MAX_FILE + 1).read_to_end(&mut content).map_err(unread)?;
    match content.len() as u64 > MAX_FILE {
        true => Err(failed(format!("{} has more than {MAX_FILE} bytes and is no backup", file.display()))),
        false => Ok(content),
    }
}

/// What it is of, and when it was made.
fn title(backup: &Backup) -> String {
    let about = &backup.about;
    let day = about.made.date().map(|(year, month, day)| format!(", made {year}-{month:02}-{day:02} by its clock"));
    // Before it is trusted it is not for the terminal to obey.
    let title = format!("backup of {} by gateway {}{}", about.site, about.gateway, day.unwrap_or_default());
    format!("{}:\n", plain(&title))
}

/// The config as it will stand at `path`. What does not fit this box is told at the end; what no box could read, now.
fn parse(text: &str, path: &Path) -> Result<Config, Vec<String>> {
    let name = path.display().to_string();
    let host = config_file::host().unwrap_or_default();
    config::parse(text, &name, &host).map_err(|mistakes| {
        let of_backup = |mistake: &config::ConfigError| format!("the backup's config: {mistake}");
        mistakes.iter().map(of_backup).collect()
    })
}

/// The programs that the config runs, and as whom: a backup may be a stranger's.
fn programs(config: &Config) -> String {
    let mut lines = String::new();
    if let Driver::Command(program) = &config.tunnel.driver {
        lines.push_str(&format!("  runs {:?} as the service's user (tunnel.command)\n", program.argv));
    }
    if !config.upgrade.restart.is_empty() {
        lines.push_str(&format!("  runs {:?} as root, at an upgrade (upgrade.restart)\n", config.upgrade.restart));
    }
    plain_lines(&lines)
}

/// A service that runs would write its own state over the restored one.
fn is_stopped(path: &Path, config: &Config) -> Done {
    let of_now = path.exists().then(|| config_file::load(path).ok()).flatten();
    for config in [of_now.as_ref(), Some(config)].into_iter().flatten() {
        if ask::ask(config, "status").is_ok() {
            return Err(failed("the service runs here; stop it first: \"systemctl stop gateway\""));
        }
    }
    Ok(())
}

/// The config file first, then those that it names.
fn outside<'a>(backup: &'a Backup, path: &Path, folder: &Path) -> Vec<Outside<'a>> {
    let config = Outside { path: path.to_owned(), content: backup.config.as_bytes(), is_private: false };
    let named = backup.named.iter().map(|(name, file)| {
        let path = folder.join(name);
        Outside { path, content: &file.content, is_private: file.is_private }
    });
    [config].into_iter().chain(named).collect()
}

/// Refuses where something would be replaced.
fn is_new(outside: &[Outside<'_>], config: &Config) -> Done {
    let state = files::ALL.into_iter().filter(|(_, fate)| *fate == Fate::Taken);
    let state = state.map(|(name, _)| config.site.state_dir.join(name)).filter(|path| path.exists());
    // A certificate that is the same already is no obstacle.
    let is_same =
        |file: &Outside<'_>| matches!(RealDisk.read(&file.path), Ok(Some((there, _))) if there == file.content);
    let differs = |file: &&Outside<'_>| file.path.exists() && !is_same(file);
    let others = outside[1..].iter().filter(differs).map(|file| file.path.clone());
    let config = Some(outside[0].path.clone()).filter(|path| path.exists());
    let there: Vec<String> =
        config.into_iter().chain(others).chain(state).map(|path| path.display().to_string()).collect();
    match there.is_empty() {
        true => Ok(()),
        false => Err(failed(format!(
            "this box is set up already ({}); --force replaces that and keeps it as NAME.old",
            there.join(", ")
        ))),
    }
}

/// What the config names and neither the backup nor this box has.
fn missing(config: &Config) -> Vec<String> {
    let absent = named(config).into_iter().filter(|file| !file.path.exists());
    absent
        .map(|file| format!("{} names {}, which is not here; copy it from the old box", file.key, file.path.display()))
        .collect()
}
