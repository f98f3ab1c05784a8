//! `gateway reload`: the running service reads its config file again.

use std::path::Path;

use serde_json::Value;

use super::{Done, failed};

pub(super) fn run(path: &Path) -> Done {
    // Told here first, with all mistakes on lines of their own.
    let config = super::load(path).map_err(|mut lines| {
        lines.push("the service was not asked and keeps the configuration that it has".to_string());
        lines
    })?;
    let answer = super::ask::ask(&config, "reload").map_err(failed)?;
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|error| failed(format!("the service answers something else: {error}; is it of the same version?")))?;
    let text = answer.get("text").and_then(Value::as_str).unwrap_or("the service gives no reason");
    match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => {
            super::print(&format!("{text}\n"));
            Ok(())
        }
        _ => Err(failed(text)),
    }
}
