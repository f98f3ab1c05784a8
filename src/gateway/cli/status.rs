//! `gateway status`: what the running service does, as a table or JSON.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Done, failed};
use gateway_core::plain::{plain, plain_lines};
use gateway_core::status::{
    ClockStatus, DatagramStatus, DriftStatus, HandsetStatus, OwnStatus, RegistrationStatus, StandbyStatus, Status,
    TunnelStatus,
};
use gateway_core::time::WallClock;

/// How long the comparison of the account may take: Twilio may be busy.
const DRIFT_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) fn run(path: &Path, json: bool, drift: bool) -> Done {
    if drift {
        super::in_force::ask(path, "drift", DRIFT_TIMEOUT).map_err(failed)?;
    }
    let (answer, status) = asked(path)?;
    if json {
        super::print(answer.trim_end());
        super::print("\n");
        return Ok(());
    }
    // Also what Twilio's side said is not for the terminal to obey.
    super::print(&plain_lines(&table(&status)));
    Ok(())
}

/// What the running service says of itself: as it says it, and read.
pub(super) fn asked(path: &Path) -> Result<(String, Status), Vec<String>> {
    let answer = super::in_force::ask(path, "status", super::ask::TIMEOUT).map_err(failed)?;
    let status = serde_json::from_str(&answer)
        .map_err(|error| failed(format!("the service answers something else: {error}; is it of the same version?")))?;
    Ok((answer, status))
}

/// The picture for people.
fn table(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "gateway {}, up {}", status.version, span(status.uptime));
    if let Some(stopping) = &status.stopping {
        let _ = writeln!(text, "stopping: {stopping}");
    }
    if let Some(trial) = &status.upgrade {
        let _ = writeln!(text, "upgrade: {trial}");
    }
    for trouble in &status.troubles {
        let _ = writeln!(text, "problem: {trouble}");
    }
    let public_url = match status.public_url.as_str() {
        "" => "a URL that the tunnel has not told yet",
        url => url,
    };
    let _ = writeln!(text, "{}: {}, webhooks at {public_url}", status.environment, status.domain);
    let trunk = &status.trunk;
    let _ = write!(text, "trunk {}", trunk.state);
    if let Some(flow) = &trunk.flow {
        let _ = write!(text, ", {flow}");
    }
    if let Some(reason) = &trunk.reason {
        let _ = write!(text, ": {reason}");
    }
    if let Some(retry) = trunk.retry_in {
        let _ = write!(text, "; next try in {}", span(retry));
    }
    if let Some(standby) = &trunk.standby {
        let _ = write!(text, "\nsecond edge {}", second_edge(standby));
    }
    if let Some(tunnel) = &status.tunnel {
        let _ = write!(text, "\ntunnel {}", self::tunnel(tunnel));
    }
    let _ = write!(text, "\naccount {}", account(&status.drift));
    for reason in &status.lan.waiting {
        let _ = write!(text, "\nLAN {reason}");
    }
    if let Some(buffer) = buffer(&status.lan.datagrams) {
        let _ = write!(text, "\nLAN buffer {buffer}");
    }
    if let Some(trouble) = &status.store.trouble {
        let _ = write!(text, "\nstate not saved: {trouble}");
    }
    if let Some(clock) = clock(&status.clock) {
        let _ = write!(text, "\nclock {clock}");
    }
    text.push_str("\n\n");

    let mut rows = vec![["extension", "at Twilio", "next", "handset", "expires", "phone"].map(str::to_owned)];
    if let Some(OwnStatus { name, registration }) = &status.own {
        let next = registration.next_in.map(span).unwrap_or_default();
        let handset = "your box itself".to_owned();
        rows.push([name.clone(), upstream(registration), next, handset, String::new(), String::new()]);
    }
    for extension in &status.extensions {
        let registration = &extension.registration;
        let next = registration.next_in.map(span).unwrap_or_default();
        let mut left = [extension.name.clone(), upstream(registration), next];
        if extension.handsets.is_empty() {
            let [name, upstream, next] = left;
            rows.push([name, upstream, next, "none".to_owned(), String::new(), String::new()]);
            continue;
        }
        for handset in &extension.handsets {
            let [name, upstream, next] = std::mem::take(&mut left);
            rows.push([
                name,
                upstream,
                next,
                place(handset),
                span(handset.expires_in),
                handset.user_agent.clone().unwrap_or_default(),
            ]);
        }
    }
    text.push_str(&columns(&rows));

    text.push('\n');
    if status.calls.is_empty() {
        text.push_str("no calls\n");
        return text;
    }
    let mut rows = vec![["call", "from", "to", "state", "since"].map(str::to_owned)];
    for call in &status.calls {
        // An emergency call must be seen as one; the others show their kind by from and to.
        let state = match call.is_emergency() {
            true => format!("{}, {}", call.kind, call.state),
            false => call.state.to_string(),
        };
        rows.push([call.id.to_string(), call.from.clone(), call.to.clone(), state, span(call.since)]);
    }
    text.push_str(&columns(&rows));
    text
}

/// Where a handset is.
fn place(handset: &HandsetStatus) -> String {
    let mut text = format!("{} {}", handset.address, handset.transport);
    if let Some(at) = &handset.answers_at {
        let _ = write!(text, ", answers at {at}");
    }
    if let Some(silent) = handset.not_responding_for {
        let _ = write!(text, ", not responding since {} ago", span(silent));
    }
    text
}

/// Where emergency calls go that the trunk does not take.
fn second_edge(standby: &StandbyStatus) -> String {
    let mut text = standby.state.to_string();
    if let Some(flow) = &standby.flow {
        text.push_str(&format!(", {flow}"));
    }
    if let Some(reason) = &standby.reason {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(retry) = standby.retry_in {
        text.push_str(&format!("; next try in {}", span(retry)));
    }
    text
}

/// Whether Twilio can reach us.
fn tunnel(tunnel: &TunnelStatus) -> String {
    let mut text = format!("({}) {} for {}", tunnel.driver, tunnel.state.name(), span(tunnel.since));
    if let (Some(ago), Some(latency)) = (tunnel.last_proof, tunnel.latency) {
        text.push_str(&format!(", last proof {} ago in {latency} ms", span(ago)));
    }
    if !tunnel.written {
        text.push_str(&format!(", Twilio has not been told of {} yet", tunnel.public_url));
    }
    if let Some(reason) = &tunnel.reason {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(retry) = tunnel.retry_in {
        text.push_str(&format!("; next try in {}", span(retry)));
    }
    text
}

/// Nothing as long as the system's clock is what counts.
fn clock(clock: &ClockStatus) -> Option<String> {
    let shown = WallClock(clock.system);
    match (&clock.doubt, &clock.server, clock.trusted) {
        (Some(doubt), ..) => Some(format!("not set: it says {doubt}")),
        (None, Some(server), Some(time)) => Some(format!("{} by {server}; the system's says {shown}", WallClock(time))),
        _ => None,
    }
}

/// Most differences that the table shows; JSON has more.
const SHOWN_CHANGES: usize = 3;

/// Whether the account is what the config says.
fn account(drift: &DriftStatus) -> String {
    let Some(ago) = drift.checked_ago else {
        return match drift.next_in {
            Some(next) => format!("not compared with the config yet; in {}", span(next)),
            None => "not compared with the config yet".to_owned(),
        };
    };
    let ago = span(ago);
    if let Some(reason) = &drift.failed {
        return format!("could not be compared with the config {ago} ago: {reason}");
    }
    match drift.changes.unwrap_or_default() {
        0 => format!("as the config says, {ago} ago"),
        changes => {
            let mut text = format!("not as the config says, {ago} ago; \"gateway plan\" shows what to change:");
            for sentence in drift.sentences.iter().take(SHOWN_CHANGES) {
                text.push_str(&format!("\n  {sentence}"));
            }
            if changes > SHOWN_CHANGES {
                text.push_str(&format!("\n  and {} more", changes - SHOWN_CHANGES));
            }
            text
        }
    }
}

fn upstream(registration: &RegistrationStatus) -> String {
    match &registration.reason {
        Some(reason) => format!("{}: {reason}", registration.state),
        None => registration.state.to_string(),
    }
}

/// Columns as wide as their widest cell, which may hold what handsets wrote.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Seconds for people: `45 s`, `12 min`, `3 h 5 min`, `2 d 1 h`.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// What the kernel holds of phones' datagrams, and what did not get through.
fn buffer(datagrams: &DatagramStatus) -> Option<String> {
    let DatagramStatus { buffer, dropped, lost, .. } = datagrams;
    let mut text = format!("{} kB", (*buffer)? / 1024);
    if *lost > 0 {
        let _ = write!(text, ", {lost} datagrams lost there");
    }
    if *dropped > 0 {
        let _ = write!(text, ", {dropped} of floods dropped");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use gateway_core::status::{StandbyState, StoreStatus};

    #[test]
    fn the_table_shows_both_sides_of_each_extension() {
        assert_eq!(
            table(&sample::status()),
            "gateway 0.1.0, up 3 h 5 min\n\
             prod: office.sip.twilio.com, webhooks at https://gateway.example.com\n\
             trunk up, office.sip.ashburn.twilio.com 192.0.2.9:5061\n\
             tunnel (ssh) down for 12 s, last proof 30 s ago in 80 ms: the server refuses the key of this box; add this \
             line; next try in 60 s\n\
             account as the config says, 90 s ago\n\
             \n\
             extension   at Twilio                             next   handset                expires  phone\n\
             box-office  registered                            4 min  your box itself\n\
             101         registered                            4 min  192.168.1.20:5060 udp  4 min    Grandstream[2J\n\
             \x20                                                        192.168.1.21:5060 udp  4 min\n\
             102         refused: 403 (32202): wrong password  4 min  none\n\
             \n\
             call  from  to            state     since\n\
             7     101   +15035551212  answered  61 s\n"
        );
    }

    #[test]
    fn a_handset_is_shown_with_the_port_where_it_answers_and_since_when_it_does_not() {
        let mut status = sample::status();
        let handset = &mut status.extensions[0].handsets[0];
        (handset.address, handset.answers_at) = ("192.168.1.20:50933".into(), Some("192.168.1.20:5060".into()));
        assert!(table(&status).contains(" 192.168.1.20:50933 udp, answers at 192.168.1.20:5060  4 min"));
        let handset = &mut status.extensions[0].handsets[1];
        handset.not_responding_for = Some(240);
        assert!(table(&status).contains(" 192.168.1.21:5060 udp, not responding since 4 min ago  "));
        // A service older than this command says nothing of it.
        let mut older = serde_json::to_value(&status).unwrap();
        let handset = older["extensions"][0]["handsets"][1].as_object_mut().unwrap();
        handset.remove("not_responding_for");
        assert_eq!(serde_json::from_value::<Status>(older).unwrap().extensions[0].handsets[1].not_responding_for, None);
    }

    #[test]
    fn the_second_edge_is_told_of_where_the_service_knows_of_one() {
        let standby = |state, flow: Option<&str>, reason: Option<&str>, retry_in| {
            let own = |text: &str| text.to_owned();
            StandbyStatus { state, flow: flow.map(own), reason: reason.map(own), retry_in }
        };
        let up = standby(
            StandbyState::Up,
            Some("office.sip.umatilla.twilio.com (192.0.2.8:5061) from 192.0.2.1:4000"),
            None,
            None,
        );
        let mut status = sample::status();
        status.trunk.standby = Some(up);
        let line = "\nsecond edge up, office.sip.umatilla.twilio.com (192.0.2.8:5061) from 192.0.2.1:4000\n";
        assert!(table(&status).contains(line), "{}", table(&status));
        status.trunk.standby = Some(standby(StandbyState::Waiting, None, Some("edge: connection refused"), Some(7)));
        assert!(table(&status).contains("\nsecond edge waiting: edge: connection refused; next try in 7 s\n"));
        // A service older than this command says nothing of it.
        let mut older = serde_json::to_value(&status).unwrap();
        older["trunk"].as_object_mut().unwrap().remove("standby");
        assert_eq!(serde_json::from_value::<Status>(older).unwrap().trunk.standby, None);
    }

    #[test]
    fn state_that_cannot_be_saved_is_told() {
        let mut status = sample::status();
        let trouble = "/var/lib/gateway/bindings.json cannot be written: No space left on device";
        status.store = StoreStatus { writes: 3, trouble: Some(trouble.to_owned()) };
        assert!(table(&status).contains(&format!("\nstate not saved: {trouble}\n\n")), "{}", table(&status));
    }

    #[test]
    fn a_lan_that_is_waited_for_is_told_of_with_its_reason() {
        let mut status = sample::status();
        let reason = "192.168.2.1:5060: no interface has this address yet";
        status.lan.waiting = vec![reason.to_owned()];
        assert!(table(&status).contains(&format!("\nLAN {reason}\n\n")), "{}", table(&status));
    }

    #[test]
    fn the_buffer_for_datagrams_is_told_with_what_was_lost() {
        let granted = DatagramStatus { buffer: Some(212_992), received: 7, ..DatagramStatus::default() };
        assert_eq!(buffer(&granted).unwrap(), "208 kB");
        let flooded = DatagramStatus { lost: 3, dropped: 9000, ..granted };
        assert_eq!(buffer(&flooded).unwrap(), "208 kB, 3 datagrams lost there, 9000 of floods dropped");
        assert_eq!(buffer(&DatagramStatus::default()), None);
    }

    #[test]
    fn the_clock_is_told_of_only_when_it_is_not_the_systems() {
        let set = ClockStatus { system: 1_795_332_000, trusted: Some(1_795_332_000), ..ClockStatus::default() };
        assert_eq!(clock(&set), None);
        let told = ClockStatus { system: 7, server: Some("0.pool.ntp.org".to_owned()), ..set };
        assert_eq!(clock(&told).unwrap(), "2026-11-22 by 0.pool.ntp.org; the system's says 1970-01-01");
        let lost = ClockStatus { system: 7, doubt: Some("1970-01-01, before X".to_owned()), ..ClockStatus::default() };
        assert_eq!(clock(&lost).unwrap(), "not set: it says 1970-01-01, before X");
    }

    #[test]
    fn drift_shows_its_first_sentences_and_failures_their_reason() {
        let drift = |changes, sentences: &[&str]| DriftStatus {
            checked_ago: Some(7200),
            changes: Some(changes),
            sentences: sentences.iter().map(|one| (*one).to_owned()).collect(),
            ..DriftStatus::default()
        };
        assert_eq!(
            account(&drift(5, &["a", "b", "c", "d", "e"])),
            "not as the config says, 2 h 0 min ago; \"gateway plan\" shows what to change:\n  a\n  b\n  c\n  and 2 more"
        );
        let failed = DriftStatus { checked_ago: Some(1), failed: Some("no answer".to_owned()), ..drift(0, &[]) };
        assert_eq!(account(&failed), "could not be compared with the config 1 s ago: no answer");
        let never = DriftStatus { next_in: Some(300), ..DriftStatus::default() };
        assert_eq!(account(&never), "not compared with the config yet; in 5 min");
    }
}
