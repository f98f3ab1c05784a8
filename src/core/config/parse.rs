//! From the text of `gateway.toml` to [`Config`], section by section.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::host::{is_private, lan_addresses};
use super::reader::{Section, Source};
use super::value::{self, Listen};
use super::*;
use super::{account, emergency, environment, own, tunnel, upgrade};
use crate::sip::transaction::MAX_OCTETS;

/// UDP ports of one call: two legs, RTP and RTCP each.
const PORTS_PER_CALL: usize = 4;

/// Twilio's media addresses (TWILIO.md "Twilio's addresses").
const TWILIO_MEDIA: &str = "168.86.128.0/18";

/// Reads the text of a config file for this host. Relative paths in it are meant from the file's folder.
///
/// Pure: the same text and host give the same answer. All mistakes are returned, in the order of the file.
pub fn parse(text: &str, file_name: &str, host: &Host) -> Result<Config, Vec<ConfigError>> {
    let source = Source::new(file_name, text);
    let (document, mistakes) = DeTable::parse_recoverable(text);
    let mut last = 0;
    for mistake in mistakes {
        let line = mistake.span().map_or(1, |span| source.line(&span));
        // After the first mistake of a line the reader guesses.
        if std::mem::replace(&mut last, line) == line {
            continue;
        }
        source.error(line, format!("is not TOML: {}", mistake.message()));
    }
    // What a broken file would mean is a guess, and errors about a guess mislead.
    if !source.is_clean() {
        return Err(source.into_errors());
    }
    let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
    let config = file(Section::new(&source, document.get_ref(), "", 1), folder, host);
    match source.is_clean() {
        true => Ok(config),
        false => Err(source.into_errors()),
    }
}

fn file(mut root: Section<'_>, folder: &Path, host: &Host) -> Config {
    let limits_section = root.section("limits");
    let mut limits_section = limits_section;
    let allowance = allowance(&mut limits_section, "calls_per_extension", Allowance::default());
    let emergency_section = root.section("emergency");
    let (extensions, lines) =
        extensions(root.sections("extension", MAX_EXTENSIONS), emergency_section.has("caller_id"), allowance);
    let limits = limits(limits_section, allowance, extensions.len());
    let emergency = emergency::read(emergency_section, &lines, folder);
    let tunnel = tunnel::tunnel(root.section("tunnel"), folder);
    let (site, trunk, webhook, environments) = environment::read(&mut root, folder, &tunnel.url_from);
    let site = Site { user: own::user(&site.name, &extensions), ..site };
    let addresses = account::addresses(root.sections("address", MAX_ADDRESSES));
    let numbers = numbers(root.sections("number", MAX_NUMBERS), &lines, &addresses, &environments);
    let metrics = metrics(root.section("metrics"), webhook.listen);
    let emergency = emergency.complete(&extensions, &numbers, &addresses);
    emergency::check_names(root.source(), &emergency, &lines);
    let config = Config {
        site,
        twilio: account::twilio(root.required_section("twilio"), folder),
        trunk,
        lan: lan(root.section("lan"), host),
        media: media(root.section("media"), &limits),
        dscp: dscp(root.section("dscp")),
        webhook,
        tunnel,
        metrics,
        emergency,
        clock: clock(root.section("clock")),
        limits,
        access: account::access(root.section("access")),
        dialing: account::dialing(root.section("dialing")),
        spend: account::spend(root.section("spend")),
        hosted: account::hosted(root.section("hosted"), folder),
        upgrade: upgrade::upgrade(root.section("upgrade")),
        extensions,
        numbers,
        addresses,
        environments,
    };
    root.finish();
    config
}

/// A path, meant from the folder of the file.
pub(super) fn path(section: &mut Section<'_>, key: &'static str, folder: &Path) -> Option<PathBuf> {
    section.optional(key, value::text).map(|path| folder.join(path))
}

fn clock(mut section: Section<'_>) -> Clock {
    let given = section.list("sntp", value::time_server);
    if given.as_ref().is_some_and(|given| given.len() > MAX_TIME_SERVERS) {
        section.error(section.line_of("sntp"), format!("sntp has too many servers; write at most {MAX_TIME_SERVERS}"));
    }
    let clock = given.map_or_else(Clock::default, |given| Clock {
        sntp: given.into_iter().map(|(server, _)| server).take(MAX_TIME_SERVERS).collect(),
    });
    section.finish();
    clock
}

fn lan(mut section: Section<'_>, host: &Host) -> Lan {
    let allow_wan = section.optional("allow_wan", value::boolean).unwrap_or(false);
    let given = section.list("listen", value::listen).unwrap_or_else(|| vec![(Listen::Auto, section.line)]);
    if given.is_empty() && section.is_empty_list("listen") {
        section.error(section.line_of("listen"), "listen is empty; write listen = [\"auto\"]");
    }
    let mut listen = Vec::new();
    let auto = given.iter().any(|(entry, _)| matches!(entry, Listen::Auto));
    for (entry, line) in given {
        let addresses = match entry {
            Listen::Auto => lan_addresses(&host.addresses, SIP_PORT).collect(),
            Listen::At(address) => vec![address],
        };
        for address in addresses {
            if !allow_wan && !is_private(address.ip()) {
                let way = "write a private address or \"auto\", or allow it with allow_wan = true";
                section.error(line, format!("listen \"{address}\" can be reached from the internet; {way}"));
            } else if !listen.contains(&address) {
                listen.push(address);
            }
        }
    }
    let min_expires = section.optional("min_expires", value::seconds(30..=3600)).unwrap_or(Duration::from_secs(60));
    let max_expires = section.optional("max_expires", value::seconds(60..=86400)).unwrap_or(Duration::from_secs(3600));
    if max_expires < min_expires {
        let line = section.line_of("max_expires");
        section.error(line, format!("max_expires is below min_expires; write {} or more", min_expires.as_secs()));
    }
    let realm = section.optional("realm", value::display).unwrap_or_else(|| "gateway".to_owned());
    section.finish();
    Lan { listen, auto, realm, min_expires, max_expires }
}

fn metrics(mut section: Section<'_>, webhook: SocketAddr) -> Metrics {
    let listen = section.optional("listen", value::socket_address);
    let line = section.line_of("listen");
    if let Some(address) = listen.filter(|address| !is_private(address.ip())) {
        let way = "write a private address, \"127.0.0.1:9464\"";
        section.error(line, format!("listen \"{address}\" can be reached from the internet; {way}"));
    }
    if listen == Some(webhook) {
        let way = "write another port, \"127.0.0.1:9464\"";
        section.error(line, format!("listen \"{webhook}\" is webhook.listen, which the tunnel makes public; {way}"));
    }
    section.finish();
    Metrics { listen }
}

fn media(mut section: Section<'_>, limits: &Limits) -> Media {
    let ports = section.optional("ports", value::ports).unwrap_or((20000, 29999));
    let (have, need) = (usize::from(ports.1 - ports.0) + 1, limits.calls.saturating_mul(PORTS_PER_CALL));
    if have < need {
        let line = section.line_of("ports");
        let way = format!("write at least {need} ports, or lower limits.calls to {}", have / PORTS_PER_CALL);
        section
            .error(line, format!("ports \"{}-{}\" is too small for {} calls; {way}", ports.0, ports.1, limits.calls));
    }
    let twilio: Vec<Subnet> = TWILIO_MEDIA.parse().into_iter().collect();
    let media = Media {
        ports,
        trunk_sources: section
            .list("trunk_sources", |value| {
                value::text(value)?.parse().map_err(|_| "is not an address range; write \"168.86.128.0/18\"".to_owned())
            })
            .map_or(twilio, |sources| sources.into_iter().map(|(source, _)| source).collect()),
        public_address: section.optional("public_address", value::ip),
    };
    section.finish();
    media
}

fn dscp(mut section: Section<'_>) -> Dscp {
    let mut class = |key, usual| section.optional(key, value::integer(0..=63)).map_or(usual, |class| class as u8);
    let dscp = Dscp { rtp: class("rtp", 46), sip: class("sip", 24) };
    section.finish();
    dscp
}

/// What an extension may use: `[limits]`, or an extension's own table, where what it leaves out is as in `[limits]`.
fn allowance(section: &mut Section<'_>, calls: &'static str, default: Allowance) -> Allowance {
    let amount = |value: Option<u64>, default| value.map_or(default, |amount| amount as u32);
    Allowance {
        calls: section.optional(calls, value::integer(0..=2000)).map_or(default.calls, |calls| calls as usize),
        minutes: amount(section.optional("minutes_per_day", value::integer(0..=100_000)), default.minutes),
        new_numbers: amount(section.optional("new_numbers_per_hour", value::integer(0..=1000)), default.new_numbers),
    }
}

fn limits(mut section: Section<'_>, allowance: Allowance, extensions: usize) -> Limits {
    // One extension alone never uses up what the house may; a big house has more than four that call.
    let shares = (extensions as u64).div_ceil(4).max(4);
    let mut house = |key, own: u32| {
        let bound = section.optional(key, value::integer(0..=100_000_000)).unwrap_or(u64::from(own) * shares);
        u32::try_from(bound).unwrap_or(u32::MAX)
    };
    let house_minutes = house("house_minutes_per_day", allowance.minutes);
    let house_new_numbers = house("house_new_numbers_per_hour", allowance.new_numbers);
    let limits = Limits {
        calls: section.optional("calls", value::integer(1..=2000)).unwrap_or(100) as usize,
        bindings_per_extension: section.optional("bindings_per_extension", value::integer(1..=100)).unwrap_or(10)
            as usize,
        // Twilio's own bounds for <Dial timeLimit> and <Dial timeout> (TWILIO.md "Dial").
        call_duration: section
            .optional("call_duration", value::seconds(60..=14400))
            .unwrap_or(Duration::from_secs(3600)),
        ring: section.optional("ring", value::seconds(5..=600)).unwrap_or(Duration::from_secs(30)),
        allowance,
        house_minutes,
        house_new_numbers,
        // In MB.
        memory: section.optional("memory", value::integer(Limits::MIN_MEMORY >> 20..=65_536)).map(|mb| mb << 20),
        transactions: MAX_OCTETS,
    };
    section.finish();
    limits
}

/// The extensions, and the line of each name. `site_has_number`: `[emergency] caller_id` stands for those without one.
fn extensions(
    sections: Vec<Section<'_>>,
    site_has_number: bool,
    usual: Allowance,
) -> (Vec<Extension>, BTreeMap<String, usize>) {
    let mut lines = BTreeMap::new();
    let mut extensions = Vec::new();
    for mut section in sections {
        let name = section.required("name", "\"101\"", value::extension);
        if !name.is_empty() {
            section.label = format!("extension {name}");
            let line = section.line_of("name");
            if let Some(first) = lines.insert(name.clone(), line) {
                section.error(line, format!("is there twice, first on line {first}; give it another name"));
                lines.insert(name.clone(), first);
            }
        }
        let extension = Extension {
            display_name: section.optional("display_name", value::display),
            caller_id: section.optional("caller_id", value::e164),
            emergency: section.optional("emergency", value::boolean).unwrap_or(true),
            allowance: allowance(&mut section, "calls", usual),
            srtp: section.optional("srtp", value::srtp).unwrap_or_default(),
            name,
        };
        // Twilio refuses an emergency call whose From is not an E.164 number of the account
        // (TWILIO.md "Emergency caller").
        if extension.emergency && !site_has_number && !section.has("caller_id") {
            let way = "write caller_id, or [emergency] caller_id for all, or emergency = false";
            section.error(section.line, format!("may call emergency numbers and has no number of its own; {way}"));
        }
        section.finish();
        extensions.push(extension);
    }
    (extensions, lines)
}

fn numbers(
    sections: Vec<Section<'_>>,
    extensions: &BTreeMap<String, usize>,
    addresses: &[Address],
    environments: &[Environment],
) -> Vec<Number> {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut numbers = Vec::new();
    for mut section in sections {
        let number = section.required("number", "\"+15035551212\"", value::e164);
        if !number.is_empty() {
            section.label = format!("number {number}");
            let line = section.line_of("number");
            if let Some(first) = lines.insert(number.clone(), line) {
                section.error(line, format!("is there twice, first on line {first}; keep one of them"));
            }
        }
        let mut ring = Vec::new();
        for (name, line) in section.list("ring", value::extension).unwrap_or_default() {
            if ring.contains(&name) {
                section.error(line, format!("ring {name:?} is there twice; keep one of them"));
            } else if !extensions.contains_key(&name) {
                let way = nearest(&name, extensions.keys(), "an [[extension]]");
                section.error(line, format!("ring {name:?} is no extension; {way}"));
            } else {
                ring.push(name);
            }
        }
        if ring.len() > MAX_RING {
            let (line, count) = (section.line_of("ring"), ring.len());
            section.error(line, format!("ring has {count} extensions; at most {MAX_RING} ring at once, remove some"));
        }
        let number = Number {
            number,
            ring,
            friendly_name: section.optional("name", value::display),
            address: account::address_of(&mut section, addresses),
            environment: environment::one_of(&mut section, environments),
        };
        section.finish();
        numbers.push(number);
    }
    numbers
}

/// The way out of a name that refers to nothing: the known one that is most like it, or a new table.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n String>, table: &str) -> String {
    match known.max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b))) {
        Some(known) => format!("write {known:?}, or add {table} with name = {name:?}"),
        None => format!("add {table} with name = {name:?}"),
    }
}
