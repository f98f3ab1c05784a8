//! cloudflared: quick tunnels draw a box around their URL, in whatever form the version logs.
//!
//! Sources: cloudflared 2020.11 (`origin/supervisor`: "Your free tunnel has started! Visit it:"), issue 261 (logrus),
//! Shopify app template pull request 1164 (2022, zerolog), log of 2026.8.3, `--output json`. The box's heading has
//! changed between versions, its frame has not: so a row that holds nothing but the URL is what counts. Lines about
//! requests (`dest=https://HOST/PATH`, issues 1012, 1105, 1379) are text outside of a box.

use serde_json::Value;

use super::logfmt::Fields;
use super::upstream::Upstream;
use gateway_core::url::PublicUrl;

/// A row of the box that holds the URL.
pub(super) fn row(line: &str, _: &Upstream) -> Option<PublicUrl> {
    if line.starts_with('{') {
        return boxed(&message_of_json(line)?);
    }
    if let Some(fields) = Fields::parse(line) {
        // logrus where it does not write to a terminal.
        return (fields.get("level")? == "info").then(|| boxed(fields.get("msg")?))?;
    }
    boxed(message(line))
}

/// `| URL |`, the frame drawn in ASCII or with box-drawing characters.
fn boxed(text: &str) -> Option<PublicUrl> {
    let frame = ['|', '\u{2502}'];
    PublicUrl::parse(text.trim().strip_prefix(frame)?.strip_suffix(frame)?.trim())
}

/// What stands behind time and level: `2022-11-11T19:57:58Z INF …` (zerolog), `INFO[2020-11-17T18:31:22Z] …` (logrus).
fn message(line: &str) -> &str {
    if let Some((_, message)) = line.strip_prefix("INFO[").and_then(|rest| rest.split_once("] ")) {
        return message;
    }
    let is_time = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":.+-".contains(&byte))
    };
    let untimed = match line.split_once(' ') {
        Some((time, rest)) if is_time(time) => rest.trim_start(),
        _ => line,
    };
    untimed.strip_prefix("INF ").unwrap_or(untimed)
}

/// `message` of zerolog, `msg` of logrus; of no other level than information.
fn message_of_json(line: &str) -> Option<String> {
    let Value::Object(record) = serde_json::from_str(line).ok()? else { return None };
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    (text("level")? == "info").then(|| text("message").or_else(|| text("msg")).map(str::to_owned))?
}

/// The answer of `GET /quicktunnel` at the metrics address (cloudflared since 2021): `{"hostname":"…"}`, of one process.
pub(super) fn quick_tunnel(document: &Value) -> Option<PublicUrl> {
    PublicUrl::of_authority(document.as_object()?.get("hostname")?.as_str()?)
}
