//! tailscale: a heading, the URL, and under it what it leads to.
//!
//! Sources: `tailscale funnel` of 1.52 and later (`cmd/tailscale/cli/serve_v2.go`: "Available on the internet:", a line
//! with the URL, `|-- proxy http://127.0.0.1:8080`), `tailscale funnel status` (`https://HOST (Funnel on)`, pull request
//! 9943). The same block below "Available within your tailnet:" is `tailscale serve`, which Twilio cannot reach.

use super::upstream::Upstream;
use gateway_core::url::PublicUrl;

const PUBLIC: &str = "Available on the internet:";
const PRIVATE: &str = "Available within your tailnet";
const FUNNEL_ON: &str = " (Funnel on)";
const TAILNET_ONLY: &str = " (tailnet only)";
const PROXY: &str = "|-- ";

/// Where in the output we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    heading: Option<Heading>,
    /// A public URL whose local end has not been named yet.
    pending: Option<PublicUrl>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    Public,
    Private,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No part of such a block.
    Nothing,
    /// A part of it that announces nothing.
    Part,
    Announced(PublicUrl),
}

impl Block {
    pub fn line(&mut self, line: &str, upstream: &Upstream) -> Heard {
        if line == PUBLIC {
            *self = Block { heading: Some(Heading::Public), pending: None };
            return Heard::Part;
        }
        if line.starts_with(PRIVATE) {
            *self = Block { heading: Some(Heading::Private), pending: None };
            return Heard::Part;
        }
        if let Some(url) = line.strip_suffix(FUNNEL_ON) {
            *self = Block { heading: Some(Heading::Public), pending: PublicUrl::parse(url) };
            return Heard::Part;
        }
        if line.ends_with(TAILNET_ONLY) {
            *self = Block { heading: Some(Heading::Private), pending: None };
            return Heard::Part;
        }
        let Some(heading) = self.heading else { return Heard::Nothing };
        if line.starts_with("https://") {
            self.pending = PublicUrl::parse(line).filter(|_| heading == Heading::Public);
            return Heard::Part;
        }
        let Some(target) = line.strip_prefix(PROXY) else { return Heard::Nothing };
        let target = target.strip_prefix("/ ").unwrap_or(target).trim_start();
        let leads_here = target.strip_prefix("proxy ").is_some_and(|addr| upstream.may_be(addr.trim()));
        match self.pending.take_if(|_| leads_here) {
            Some(url) => Heard::Announced(url),
            None => Heard::Part,
        }
    }
}
