//! The passphrase of a backup: typed unseen, or a file's one line; never an argument and never in the environment, where
//! others could see it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{failed, setup};
use crate::backup::{MAX_PASSPHRASE, passphrase_mistake};
use gateway_core::secret::Secret;

/// For a new backup: one that is good enough, typed twice.
pub(super) fn new(file: Option<&Path>) -> Result<Secret<String>, Vec<String>> {
    if let Some(file) = file {
        let passphrase = read(file)?;
        return match passphrase_mistake(&passphrase) {
            Some(mistake) => Err(failed(format!("the passphrase in {} {mistake}", name(file)))),
            None => Ok(Secret::new(passphrase)),
        };
    }
    is_at_terminal()?;
    loop {
        let passphrase = setup::ask_unseen("Passphrase for the backup (not shown)")?;
        if let Some(mistake) = passphrase_mistake(&passphrase) {
            super::account::print_note(&format!("the passphrase {mistake}"));
            continue;
        }
        if setup::ask_unseen("The same again")? == passphrase {
            return Ok(Secret::new(passphrase));
        }
        super::account::print_note("these are two; type the passphrase again");
    }
}

/// Of a backup that is there.
pub(super) fn known(file: Option<&Path>) -> Result<Secret<String>, Vec<String>> {
    match file {
        Some(file) => read(file).map(Secret::new),
        None => {
            is_at_terminal()?;
            setup::ask_unseen("Passphrase of the backup (not shown)").map(Secret::new)
        }
    }
}

fn is_at_terminal() -> Result<(), Vec<String>> {
    match setup::is_possible_to_ask() {
        true => Ok(()),
        false => Err(failed(
            "the passphrase is asked for at a terminal; without one, --passphrase-file FILE reads it, and \
             \"--passphrase-file -\" from standard input",
        )),
    }
}

fn name(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}

/// The first and only line.
fn read(file: &Path) -> Result<String, Vec<String>> {
    let name = name(file);
    let unread = |error: io::Error| failed(format!("the passphrase in {name} cannot be read: {error}"));
    let mut text = String::new();
    // With room for an end of line.
    let most = MAX_PASSPHRASE as u64 + 3;
    if file == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(failed(
                "standard input is a terminal, which would show the passphrase; leave --passphrase-file out",
            ));
        }
        io::stdin().lock().take(most).read_to_string(&mut text).map_err(unread)?;
    } else {
        let file = File::open(file).map_err(unread)?;
        let metadata = file.metadata().map_err(unread)?;
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            return Err(failed(format!("others can read the passphrase in {name}; run \"chmod 600 {name}\"")));
        }
        file.take(most).read_to_string(&mut text).map_err(unread)?;
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.contains('\n') {
        true => Err(failed(format!("{name} has more than one line; the passphrase must stand there alone"))),
        false => Ok(line.to_owned()),
    }
}
