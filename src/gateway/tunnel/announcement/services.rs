//! Hosting services that are reached by ssh, and localtunnel: a sentence around the URL.

use super::upstream::Upstream;
use gateway_core::url::PublicUrl;

/// localhost.run (its session of 2020 to 2026): `HOST tunneled with tls termination, https://HOST`; until 2021 without
/// the URL (nexphisher issue 58).
pub(super) fn localhost_run(line: &str, _: &Upstream) -> Option<PublicUrl> {
    let (host, rest) = line.split_once(" tunneled with tls termination")?;
    let host = PublicUrl::of_authority(host)?;
    match rest.strip_prefix(", ") {
        Some(url) => PublicUrl::parse(url).filter(|url| *url == host),
        None => rest.is_empty().then_some(host),
    }
}

/// serveo.net (its session of 2019 to 2026). It also prints `HTTP request from ADDRESS to https://HOST/PATH`.
pub(super) fn serveo(line: &str, _: &Upstream) -> Option<PublicUrl> {
    PublicUrl::parse(line.strip_prefix("Forwarding HTTP traffic from ")?)
}

/// localtunnel (`bin/lt.js` of 1.8 to 2.0). It prints `your cachedUrl is: …`, too, which is no tunnel.
pub(super) fn localtunnel(line: &str, _: &Upstream) -> Option<PublicUrl> {
    PublicUrl::parse(line.strip_prefix("your url is: ")?)
}

/// sish (`HTTPS: https://…`) and pinggy's app (`HTTPS : https://…`).
pub(super) fn labelled(line: &str, _: &Upstream) -> Option<PublicUrl> {
    PublicUrl::parse(line.strip_prefix("HTTPS")?.trim_start().strip_prefix(':')?.trim_start())
}

/// A line that is nothing but the URL: pinggy's session (`*.a.free.pinggy.link` until 2024, then `*.free.pinggy.net` and
/// `*.run.pinggy-free.link`), zrok, and what a script of one's own may print.
pub(super) fn bare(line: &str, _: &Upstream) -> Option<PublicUrl> {
    PublicUrl::parse(line)
}

/// What a script of one's own may print: `url=https://…`, `url: https://…`, `public url: https://…`.
pub(super) fn named(line: &str, _: &Upstream) -> Option<PublicUrl> {
    let (name, url) = line.split_once(['=', ':'])?;
    let is_name =
        ["url", "public url", "public_url", "tunnel url", "tunnel_url"].contains(&&*name.to_ascii_lowercase());
    is_name.then(|| PublicUrl::parse(url.trim_start()))?
}
