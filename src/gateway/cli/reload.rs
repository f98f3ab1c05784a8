//! `gateway reload`: the running service reads its config file again.

use std::path::Path;

use serde_json::Value;

use super::ask::AskError;
use super::{Done, failed};
use gateway_core::config::Config;

pub(super) fn run(path: &Path) -> Done {
    // Told here first, with all mistakes on lines of their own.
    let config = super::load(path).map_err(|mut lines| {
        lines.push("the service was not asked and keeps the configuration that it has".to_string());
        lines
    })?;
    match asked(&config).map_err(failed)? {
        Ok(text) => {
            super::print(&format!("{text}\n"));
            Ok(())
        }
        Err(text) => Err(failed(text)),
    }
}

/// Asks the service after a change of secrets; `None` when it does not run.
pub(super) fn if_running(config: &Config) -> Option<Result<String, String>> {
    match asked(config) {
        Ok(answer) => Some(answer),
        Err(AskError::NotRunning(_)) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// What the service says: `Err` holds why the old configuration stays.
fn asked(config: &Config) -> Result<Result<String, String>, AskError> {
    let answer = super::ask::ask(config, "reload")?;
    let answer: Value = match serde_json::from_str(&answer) {
        Ok(answer) => answer,
        Err(error) => {
            return Ok(Err(format!("the service answers something else: {error}; is it of the same version?")));
        }
    };
    let text = answer.get("text").and_then(Value::as_str).unwrap_or("the service gives no reason").to_owned();
    Ok(match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => Ok(text),
        _ => Err(text),
    })
}
