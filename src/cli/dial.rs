//! `gateway dial EXTENSION NUMBER`: the dialplan of real calls, run offline.

use std::path::Path;

use super::{Done, failed};
use crate::twiml::explain::explain;

pub(super) fn run(path: &Path, environment: Option<&str>, extension: &str, number: &str, twiml: bool) -> Done {
    let config = super::load_selected(path, environment)?;
    if config.extension(extension).is_none() {
        return Err(failed(super::no_extension(&config, path, extension)));
    }
    let explanation = explain(&config, extension, number);
    for line in &explanation.lines {
        super::print(&format!("{line}\n"));
    }
    if twiml {
        super::print(&format!("{}\n", explanation.document.to_xml().trim_end()));
    }
    Ok(())
}
