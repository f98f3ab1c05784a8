//! The little that is needed of URLs: parts, the address of a relative one, and the overrides in a fragment.

/// The parts of an absolute URL, as written.
pub struct Url<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host without `user:pass@` and port.
    pub host: &'a str,
    /// Port if written.
    pub port: Option<&'a str>,
    /// Everything from the path to the end of the query.
    pub path_and_query: &'a str,
}

impl<'a> Url<'a> {
    /// Splits an absolute URL; the fragment must be off already.
    pub fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        let hostport = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let colon = hostport.rfind(':').filter(|at| !hostport[*at..].contains(']'));
        let (host, port) = match colon {
            Some(at) => (&hostport[..at], Some(&hostport[at + 1..])),
            None => (hostport, None),
        };
        Some(Self { scheme, host, port, path_and_query })
    }
}

/// The absolute URL that `reference` means in a document from `base` (TWILIO.md "Documents").
pub fn resolve(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let base = base.split(['#', '?']).next().unwrap_or(base);
    let start = base.find("://").map_or(0, |at| at + 3);
    let path = base[start..].find('/').map_or(base.len(), |at| start + at);
    match reference.strip_prefix('/') {
        Some(_) => format!("{}{reference}", &base[..path]),
        None if reference.is_empty() => base.to_owned(),
        None => {
            let directory = base[path..].rfind('/').map_or(base.len(), |at| path + at);
            format!("{}/{reference}", &base[..directory])
        }
    }
}

/// Connection overrides of the fragment (TWILIO.md "Webhook limits"): `ct`, `rt`, `tt` in milliseconds and `rc`.
pub struct Overrides {
    /// Connect timeout.
    pub connect_ms: u64,
    /// Whole time.
    pub total_ms: u64,
    /// Retries.
    pub retries: u32,
    /// Retry also on 5xx, 4xx or read timeouts.
    pub policy: String,
}

impl Overrides {
    /// Reads the fragment; what is out of range keeps its default.
    pub fn of(url: &str) -> Self {
        let mut own = Self { connect_ms: 5000, total_ms: 15_000, retries: 1, policy: "ct".to_owned() };
        for part in url.split_once('#').map_or("", |(_, fragment)| fragment).split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let number = value.parse::<u64>();
            match (name, number) {
                ("ct", Ok(n)) if (100..=10_000).contains(&n) => own.connect_ms = n,
                ("rt" | "tt", Ok(n)) if (100..=15_000).contains(&n) => own.total_ms = own.total_ms.min(n),
                ("rc", Ok(n)) if n <= 5 => own.retries = n as u32,
                ("rp", _) => own.policy = value.to_owned(),
                _ => {}
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_addresses_are_found_from_the_document() {
        let base = "http://127.0.0.1:80/voice/out?x=1#rc=2";
        assert_eq!(resolve(base, "/done"), "http://127.0.0.1:80/done");
        assert_eq!(resolve(base, "done"), "http://127.0.0.1:80/voice/done");
        assert_eq!(resolve(base, "https://other/x"), "https://other/x");
        assert_eq!(resolve("http://host", "done"), "http://host/done");
        assert_eq!(Overrides::of(base).retries, 2);
    }
}
