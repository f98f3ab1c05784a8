//! `gateway check [FILE]`

use std::path::Path;

use super::Done;

pub(super) fn run(file: &Path) -> Done {
    let config = super::load(file)?;
    let (extensions, numbers) = (config.extensions.len(), config.numbers.len());
    super::print(&format!("{}: no mistakes; extensions: {extensions}, numbers: {numbers}\n", file.display()));
    Ok(())
}
