//! What is written down about an upgrade: lines of `key=value`, which `upgrade-guard`, a shell script, reads and writes, too.
//!
//! There is no time of day in it: a router may believe that it is 1970. A trial is bounded by starts, which are counted
//! here, and by seconds that its judge counts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::trial::Before;

/// Where an upgrade stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The new binary is, or is about to be, in place, and not yet known to be healthy.
    Trial,
    /// It was healthy.
    Kept,
    /// The old one came back.
    Returned,
    /// Somebody, such as the package manager, put another binary in place: nobody's trial.
    Dropped,
}

const PHASES: [(Phase, &str); 4] =
    [(Phase::Trial, "trial"), (Phase::Kept, "kept"), (Phase::Returned, "returned"), (Phase::Dropped, "dropped")];

/// One upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub phase: Phase,
    /// Why it came back or was dropped.
    pub reason: String,
    /// SHA-256 of both binaries in hexadecimal: which of them is in place is asked of the file and of nothing else.
    pub old: String,
    pub new: String,
    /// Their versions, for people.
    pub from: String,
    pub to: String,
    /// How often the new one may yet be started.
    pub starts: u32,
    /// How long it may take to become healthy.
    pub within: Duration,
    /// What was healthy before.
    pub before: Before,
    /// The control socket, and where handsets are answered. Not looked up in the config: the judge must do without it.
    pub socket: PathBuf,
    pub lan: Vec<SocketAddr>,
    /// What restarts the service: program and arguments.
    pub restart: Vec<String>,
}

impl Record {
    /// Reads the lines; `None` when one is missing. Unknown ones are those of another version.
    pub fn parse(text: &str) -> Option<Record> {
        let values = |key: &'static str| {
            text.lines().filter_map(move |line| line.split_once('=').filter(|(name, _)| *name == key)).map(|(_, v)| v)
        };
        let value = |key| values(key).next();
        let number = |key| value(key)?.parse().ok();
        let phase = value("phase")?;
        Some(Record {
            phase: PHASES.iter().find(|(_, name)| *name == phase)?.0,
            reason: value("reason").unwrap_or_default().to_owned(),
            old: value("old")?.to_owned(),
            new: value("new")?.to_owned(),
            from: value("from")?.to_owned(),
            to: value("to")?.to_owned(),
            starts: value("starts")?.parse().ok()?,
            within: Duration::from_secs(number("within")?),
            before: Before { trunk: value("trunk")? == "up", registered: usize::try_from(number("registered")?).ok()? },
            socket: value("socket")?.into(),
            lan: values("lan").filter_map(|address| address.parse().ok()).collect(),
            restart: values("restart").map(str::to_owned).collect(),
        })
    }

    /// The lines. A value is one line: what has line breaks in it loses them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            // Writing to a String does not fail.
            let _ = writeln!(text, "{key}={value}");
        };
        // Every phase is in the list.
        let phase = PHASES.iter().find(|(phase, _)| *phase == self.phase).map_or("dropped", |(_, name)| name);
        line("phase", phase);
        line("reason", &self.reason);
        line("old", &self.old);
        line("new", &self.new);
        line("from", &self.from);
        line("to", &self.to);
        line("starts", &self.starts.to_string());
        line("within", &self.within.as_secs().to_string());
        line("trunk", if self.before.trunk { "up" } else { "down" });
        line("registered", &self.before.registered.to_string());
        line("socket", &self.socket.to_string_lossy());
        for address in &self.lan {
            line("lan", &address.to_string());
        }
        for argument in &self.restart {
            line("restart", argument);
        }
        text
    }
}

#[cfg(test)]
pub(super) fn example() -> Record {
    Record {
        phase: Phase::Trial,
        reason: String::new(),
        old: "0".repeat(64),
        new: "1".repeat(64),
        from: "0.1.0".to_owned(),
        to: "0.2.0".to_owned(),
        starts: 3,
        within: Duration::from_secs(120),
        before: Before { trunk: true, registered: 2 },
        socket: "/run/gateway/gateway.sock".into(),
        lan: vec!["192.168.1.1:5060".parse().unwrap(), "[fd00::1]:5060".parse().unwrap()],
        restart: ["systemctl", "--no-block", "restart", "gateway.service"].map(str::to_owned).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for (phase, _) in PHASES {
            let record = Record { phase, reason: "a = b".to_owned(), ..example() };
            assert_eq!(Record::parse(&record.text()), Some(record));
        }
    }

    #[test]
    fn a_reason_with_line_breaks_is_one_line() {
        let record = Record { reason: "a\nphase=kept\r\n".to_owned(), ..example() };
        let read = Record::parse(&record.text()).unwrap();
        assert_eq!((read.phase, read.reason.as_str()), (Phase::Trial, "a phase=kept  "));
    }

    #[test]
    fn lines_of_another_version_do_not_matter() {
        let text = format!("moon=full\n{}tide=low\nno value\n", example().text());
        assert_eq!(Record::parse(&text), Some(example()));
    }

    #[test]
    fn a_record_that_is_cut_is_none_or_whole_but_for_its_lists() {
        let text = example().text();
        for end in 0..text.len() {
            if let Some(record) = Record::parse(&text[..end]) {
                assert_eq!((record.phase, record.old), (Phase::Trial, example().old));
            }
        }
        assert_eq!(Record::parse(""), None);
    }
}
