//! `gateway dial EXTENSION NUMBER`: the dialplan of real calls, run offline.

use std::path::Path;

use super::{Done, failed};
use crate::store::Store;
use crate::twilio::public_url;
use gateway_core::config::tunnel::UrlFrom;
use gateway_core::twiml::explain::explain;

pub(super) fn run(path: &Path, environment: Option<&str>, extension: &str, number: &str, twiml: bool) -> Done {
    let config = super::load_selected(path, environment)?;
    // Who may not look into the state sees the URL of the file.
    let is_told = config.tunnel.url_from != UrlFrom::Config;
    let config = match is_told.then(|| Store::open(&config.site.state_dir)) {
        Some(Ok(store)) => public_url::in_force(config, &store),
        _ => config,
    };
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
