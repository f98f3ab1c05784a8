//! ngrok: `started tunnel` in its log, with the local end as `addr`, and the lists of its agent's API.
//!
//! Sources: ngrok 2 and 3, `--log=stdout` with `--log-format` logfmt, json and term; ngrok.com/docs/agent/api (`/api/tunnels`
//! of 2 and 3, `/api/endpoints` of 3). Region hosts, `ngrok-free.dev` and custom domains need no list: the record decides.

use serde_json::Value;

use super::logfmt::Fields;
use super::upstream::Upstream;
use gateway_core::url::PublicUrl;

/// The message of the record that announces a tunnel.
const STARTED: &str = "started tunnel";
/// What such a record is about.
const TUNNELS: &str = "tunnels";

/// `t=… lvl=info msg="started tunnel" obj=tunnels addr=http://localhost:8080 url=https://…`, or the same as JSON, or
/// `INFO[01-02|15:04:05] started tunnel   obj=tunnels …`.
pub(super) fn record(line: &str, upstream: &Upstream) -> Option<PublicUrl> {
    if line.starts_with('{') {
        return json(line, upstream);
    }
    let fields = match line.strip_prefix("INFO[").and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => Fields::parse(rest.strip_prefix(STARTED)?)?,
        None => {
            let fields = Fields::parse(line)?;
            (fields.get("msg")? == STARTED).then_some(fields)?
        }
    };
    let is_as_said = |key, said: &str| !fields.has(key) || fields.get(key) == Some(said);
    let leads_here = !fields.has("addr") || fields.get("addr").is_some_and(|addr| upstream.may_be(addr));
    let is_it = is_as_said("lvl", "info") && is_as_said("obj", TUNNELS) && leads_here;
    is_it.then(|| PublicUrl::parse(fields.get("url")?))?
}

fn json(line: &str, upstream: &Upstream) -> Option<PublicUrl> {
    let Value::Object(record) = serde_json::from_str(line).ok()? else { return None };
    let is_as_said = |key: &str, said: &str| record.get(key).is_none_or(|value| value.as_str() == Some(said));
    let leads_here = match record.get("addr") {
        None => true,
        Some(Value::String(addr)) => upstream.may_be(addr),
        // Some versions write the parsed URL.
        Some(Value::Object(addr)) => {
            let part = |key: &str| addr.get(key).and_then(Value::as_str).unwrap_or_default();
            part("Scheme") == "http" && upstream.may_be(part("Host"))
        }
        Some(_) => false,
    };
    let is_it = record.get("msg")?.as_str()? == STARTED
        && is_as_said("lvl", "info")
        && is_as_said("obj", TUNNELS)
        && leads_here;
    is_it.then(|| PublicUrl::parse(record.get("url")?.as_str()?))?
}

/// `Forwarding   https://…` or `Forwarding   https://… -> http://localhost:8080`: the console, and the session of
/// `ssh -R 443:… v2@connect.ngrok-agent.com http`.
pub(super) fn forwarding(line: &str, upstream: &Upstream) -> Option<PublicUrl> {
    let rest = line.strip_prefix("Forwarding ")?.trim();
    match rest.split_once(" -> ") {
        Some((url, addr)) => upstream.may_be(addr.trim()).then(|| PublicUrl::parse(url.trim()))?,
        None => PublicUrl::parse(rest),
    }
}

/// A tunnel that the agent lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed<'a> {
    pub url: PublicUrl,
    pub addr: &'a str,
}

/// The https tunnels of `/api/tunnels`, `/api/tunnels/NAME`, `/api/endpoints` and `/api/endpoints/NAME`.
pub(super) fn listed(document: &Value) -> Vec<Listed<'_>> {
    let entries = match document.get("tunnels").or_else(|| document.get("endpoints")) {
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(_) => &[],
        None => std::slice::from_ref(document),
    };
    entries
        .iter()
        .filter_map(|entry| {
            let pair = |url: &str, addr: &str| Some((entry.get(url)?.as_str()?, entry.pointer(addr)?.as_str()?));
            let (url, addr) = pair("public_url", "/config/addr").or_else(|| pair("url", "/upstream/url"))?;
            Some(Listed { url: PublicUrl::parse(url)?, addr })
        })
        .collect()
}
